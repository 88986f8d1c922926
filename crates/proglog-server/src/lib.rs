#![doc = include_str!("../README.md")]

mod connections;
mod draining;
mod error;
mod grpc;
mod options;
mod read_only;
mod rest;
mod serve;
mod state;
mod stream;

pub use options::ServerOptions;
pub use rest::router;
pub use serve::serve;
