//! The files of a log's directory: their names, and what is in those that are no stores.

pub(crate) mod checkpoint;
pub(crate) mod checkpoint_file;
pub(crate) mod inventory;
pub(crate) mod log_position;
pub(crate) mod names;
pub(crate) mod segment_label;
