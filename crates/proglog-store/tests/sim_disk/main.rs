//! The simulated disk loses, tears, reorders and refuses what a real one may, and nothing else.

mod crashes;
mod faults;
mod names;
mod support;
mod writes;
