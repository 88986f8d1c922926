//! Reading: what is visible, and the ways through it.

pub(crate) mod cursor;
pub(crate) mod follow;
pub(crate) mod notify;
pub(crate) mod reader;
pub(crate) mod seek;
pub(crate) mod verify;
pub(crate) mod view;
mod watermark;
