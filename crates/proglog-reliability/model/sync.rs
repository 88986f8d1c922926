//! The locks and atomics of this crate, under a scheduler that chooses which thread takes the next step. It stands
//! in the place of `sync.rs` where the interleavings are searched.

pub(crate) use proglog_model_sync::*;
