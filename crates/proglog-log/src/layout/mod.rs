//! Files of a log's directory: names, headers of segments, checkpoint.

pub(crate) mod checkpoint;
pub(crate) mod checkpoint_file;
pub(crate) mod inventory;
pub(crate) mod log_position;
pub(crate) mod names;
pub(crate) mod reserve;
pub(crate) mod segment_label;
