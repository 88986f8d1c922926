//! Messages of the server's own packages.

/// Version 1 of the messages, package `proglog.v1`.
///
/// The structs are generated from `proto/proglog/v1/records.proto`, which is part of the package.
#[expect(
    clippy::doc_markdown,
    clippy::must_use_candidate,
    reason = "prost generates it so for enumerations"
)]
pub mod v1 {
    include!("proglog.v1.rs");
}
