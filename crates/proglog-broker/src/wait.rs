//! Whether a call may block.

use std::time::Duration;

/// Whether a call may wait for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Never,
    ForDevice,
}

/// The longest time that a call which must not wait for the device spends on a lock.
pub(crate) const LOCK_WAIT_MAX: Duration = Duration::from_micros(50);
