//! Protobuf messages of the proglog commit log.
