#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "json")]
pub mod json;
pub mod proglog;
pub mod v1;
