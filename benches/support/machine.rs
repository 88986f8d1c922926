//! Machine, date and file system of a bench.

use std::fs;
use std::io;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::SystemTime;

/// Describes the machine: processor, number of hardware threads, operating system.
#[must_use]
pub fn machine() -> String {
    let cores = available_parallelism().map_or(1, usize::from);
    let of = |path, field| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        line.map(|value| value.trim_start_matches([' ', '\t', ':']).trim().to_owned())
    };
    let processor = of("/proc/cpuinfo", "model name").unwrap_or(std::env::consts::ARCH.to_owned());
    let release = of("/proc/sys/kernel/osrelease", "").unwrap_or_default();
    // The part after a hyphen identifies the build.
    let version = release.split('-').next().unwrap_or_default();
    let system = format!("{} {version}", std::env::consts::OS);
    format!("{processor}, {cores} cores, {}", system.trim_end())
}

/// Returns the date in UTC: `2026-01-31`.
#[must_use]
pub fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.chars().take_while(|letter| *letter != 'T').collect()
}

/// Syncs the file system of `directory`, so that the next measurement does not pay for earlier writes.
/// Linux only: other systems cannot sync a single file system, and nothing happens.
///
/// # Errors
///
/// Fails if the directory cannot be opened, or if the device fails.
pub fn settle(directory: impl AsRef<Path>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(fs::File::open(directory)?)?;
    #[cfg(not(target_os = "linux"))]
    let _ = directory;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_year_month_and_day() {
        assert_eq!(today().split('-').count(), 3);
    }

    #[test]
    fn the_file_system_of_any_directory_settles() {
        settle(std::env::temp_dir()).unwrap();
    }
}
