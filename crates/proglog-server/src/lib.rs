#![doc = include_str!("../README.md")]

mod error;
mod extract;
mod options;
mod routes;
mod serve;
mod state;
mod threads;

pub use options::ServerOptions;
pub use routes::router;
pub use serve::serve;
