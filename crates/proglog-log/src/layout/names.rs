//! Names of the files in a log's directory.

use proglog_store::segment;

use crate::offset::Offset;

/// Locked while the log is open.
pub(crate) const LOCK: &str = "LOCK";
/// File of the checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// File that is removed where the checkpoint needs its room.
pub(crate) const RESERVE: &str = "reserve";
/// Suffix of a file that is being created.
pub(crate) const TEMPORARY: &str = ".tmp";

const DIGITS: usize = 20;
const STORE: &str = ".log";
const INDEX: &str = ".index";

/// Returns the name of the store of the segment with this base offset.
pub(crate) fn store(base: Offset) -> String {
    format!("{:0DIGITS$}{STORE}", base.get())
}

/// Returns the name of the index of the segment with this base offset.
pub(crate) fn index(base: Offset) -> String {
    format!("{:0DIGITS$}{INDEX}", base.get())
}

/// Returns the base offset in the name of a segment's store; `None` for any other name.
pub(crate) fn parse_store(name: &str) -> Option<Offset> {
    parse(name, STORE)
}

/// Returns the base offset of the segment from whose store a file of this name was set aside; `None` for any other
/// name.
pub(crate) fn parse_set_aside(name: &str) -> Option<Offset> {
    parse_store(segment::store_of_set_aside(name)?)
}

/// Names in lower case that file systems, desktops and indexers make in any directory, or at the top of a volume,
/// without being asked. None of them is a name that somebody gives to data.
const SYSTEM_NAMES: [&str; 15] = [
    // File systems, and snapshots of them.
    "lost+found",
    ".snapshot",
    ".snapshots",
    ".zfs",
    // macOS.
    ".ds_store",
    ".localized",
    ".fseventsd",
    ".spotlight-v100",
    ".temporaryitems",
    ".trashes",
    // Windows.
    "desktop.ini",
    "thumbs.db",
    "system volume information",
    "$recycle.bin",
    // KDE.
    ".directory",
];

/// Beginnings of such names: files that are removed and still open over NFS, attributes that macOS keeps on foreign
/// file systems, and the trash of desktops.
const SYSTEM_PREFIXES: [&str; 3] = [".nfs", "._", ".trash-"];

/// Returns whether a directory without a log may hold a file of this name: those that an interrupted creation
/// of a log leaves, and those that systems make by themselves.
pub(crate) fn may_precede_log(name: &str) -> bool {
    name == LOCK
        || name == RESERVE
        || name
            .strip_suffix(TEMPORARY)
            .is_some_and(|name| name == CHECKPOINT)
        || is_of_the_system(name)
}

fn is_of_the_system(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut prefixes = SYSTEM_PREFIXES.iter();
    SYSTEM_NAMES.contains(&&*name) || prefixes.any(|prefix| name.starts_with(prefix))
}

fn parse(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain
        .then(|| digits.parse().ok().map(Offset::new))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_the_offsets_they_were_made_of() {
        for number in [0, 1, 42, u64::from(u32::MAX), u64::MAX] {
            let offset = Offset::new(number);
            assert_eq!(parse_store(&store(offset)), Some(offset));
            assert_eq!(parse(&index(offset), INDEX), Some(offset));
            let torn = format!("{}.torn-{number}.1", store(offset));
            assert_eq!(parse_set_aside(&torn), Some(offset));
        }
        assert_eq!(store(Offset::new(42)), "00000000000000000042.log");
        assert_eq!(index(Offset::new(42)), "00000000000000000042.index");
    }

    #[test]
    fn other_names_are_never_taken_for_a_segment() {
        let names = [
            "",
            ".log",
            "0.log",
            "0000000000000000000x.log",
            "+0000000000000000001.log",
            "00000000000000000042.index",
            "00000000000000000042.log.tmp",
            "00000000000000000042.log.torn-7",
            "00000000000000000042.log.torn-7.bak",
            "00000000000000000042.log.torn-notes.txt",
            "000000000000000000042.log",
            "18446744073709551616.log",
        ];
        for name in names {
            assert_eq!(parse_store(name), None, "{name}");
            let set_aside = parse_set_aside(name);
            assert_eq!(set_aside.is_some(), name.ends_with("torn-7"), "{name}");
        }
    }
}
