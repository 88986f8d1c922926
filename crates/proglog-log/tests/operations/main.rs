//! Trimming, retention, truncating, resetting, following, seeking and verifying, step by step; what of it
//! is there after reopening; and what another process sees of it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod background;
mod costs;
mod dropping;
mod files;
mod looking;
mod opening;
mod overtaken;
mod printed;
mod read_only;
mod reading;
mod rolling;
mod room;
mod support;
mod surface;
mod walks;
