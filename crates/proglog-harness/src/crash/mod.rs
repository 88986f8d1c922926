//! A log on the simulated disk that is stopped, or failed, at any call; and what it must show from then on.

pub mod background;
pub mod copies;
pub mod damage;
pub mod explore;
pub mod faults;
pub mod history;
pub mod keeping;
pub mod workload;
pub mod workloads;
