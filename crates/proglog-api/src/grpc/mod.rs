//! Clients and servers of the gRPC services, for tonic.
//!
//! The code is generated from the proto files, which are part of the package. The messages are those of
//! [`v1`](crate::v1) and [`proglog::v1`](crate::proglog::v1).

/// The descriptors of all proto files, for gRPC reflection: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!("descriptors.binpb");

/// Package `log.v1`.
pub mod log {
    /// Version 1: the service `Log` of the book "Distributed Services with Go".
    #[allow(
        clippy::allow_attributes_without_reason,
        clippy::pedantic,
        reason = "generated"
    )]
    pub mod v1 {
        include!("log.v1.rs");
    }
}

/// Package `proglog.v1`.
pub mod proglog {
    /// Version 1: the service `Records` of named logs.
    #[allow(
        clippy::allow_attributes_without_reason,
        clippy::pedantic,
        reason = "generated"
    )]
    pub mod v1 {
        include!("proglog.v1.rs");
    }
}
