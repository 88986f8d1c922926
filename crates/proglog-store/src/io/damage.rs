//! Errors of reads that say that the bytes are damaged.

use std::io;

/// Returns whether a read failed with `error` since the device or the file system found the bytes damaged: if it
/// fails again, they count as such, and what lies elsewhere can be read.
#[cfg(unix)]
#[must_use]
pub fn is_damage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if matches!(errno, Some(Errno::UCLEAN | Errno::NODATA)) {
        return true;
    }
    matches!(errno, Some(Errno::IO | Errno::ILSEQ | Errno::BADMSG))
}

/// Returns whether a read failed with `error` since the device or the file system found the bytes damaged, by the codes
/// of Windows.
#[cfg(not(unix))]
#[must_use]
pub fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(23 | 27 | 30 | 1117 | 1392 | 1393)
    )
}
