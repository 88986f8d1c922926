#![doc = include_str!("../README.md")]

mod connections;
mod draining;
mod error;
mod extract;
mod grpc;
mod options;
mod routes;
mod serve;
mod state;
mod stream;

pub use options::ServerOptions;
pub use routes::router;
pub use serve::serve;
