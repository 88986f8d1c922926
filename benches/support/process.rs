//! Resources of this process, as reported by Linux.

use std::fs;

/// Resources of a process at one time. Fields are `None` where the system does not report them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Threads.
    pub threads: Option<u64>,
    /// Open files and directories.
    pub descriptors: Option<u64>,
    /// Resident anonymous memory in bytes: `RssAnon`.
    pub anonymous_bytes: Option<u64>,
    /// Peak resident memory in bytes: `VmHWM`.
    pub peak_bytes: Option<u64>,
}

impl Usage {
    /// Reads the current resources of this process.
    #[must_use]
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line?.split_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |field| number(field).map(|kib| kib << 10);
        // Without the descriptor that reads the directory.
        let descriptors = fs::read_dir("/proc/self/fd").map(|entries| entries.count() as u64 - 1);
        Self {
            threads: number("Threads:"),
            descriptors: descriptors.ok(),
            anonymous_bytes: bytes("RssAnon:"),
            peak_bytes: bytes("VmHWM:"),
        }
    }
}

/// Formats `bytes` in MiB, if known.
#[must_use]
pub fn mebibytes(bytes: Option<u64>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let shown = bytes.map(|bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)));
    shown.unwrap_or("unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_mebibytes() {
        assert_eq!(mebibytes(Some(3 << 19)), "1.5 MiB");
        assert_eq!(mebibytes(None), "unknown");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_has_memory_threads_and_descriptors() {
        let usage = Usage::now();
        assert!(usage.threads > Some(0) && usage.descriptors > Some(0));
        assert!(usage.anonymous_bytes > Some(0) && usage.peak_bytes >= usage.anonymous_bytes);
    }
}
