//! Reading: the view that readers share, and the ways to read through it.

pub(crate) mod cursor;
pub(crate) mod follow;
pub(crate) mod notify;
pub(crate) mod read_log;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod seek;
pub(crate) mod try_read;
pub(crate) mod verify;
pub(crate) mod view;
mod watermark;
