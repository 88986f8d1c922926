#![doc = include_str!("../README.md")]

mod error;
mod extract;
mod options;
mod routes;
mod serve;

pub use options::Options;
pub use routes::router;
pub use serve::serve;
