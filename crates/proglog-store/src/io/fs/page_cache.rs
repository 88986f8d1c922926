//! Reads of what is in the page cache of Linux.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::sync::{Arc, LazyLock};

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::sync::{AtomicBool, Ordering};

/// The page cache, for the files of one file system. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct PageCache {
    /// True once the file system has refused such a read, or if the kernel cannot be trusted with one.
    is_off: Arc<AtomicBool>,
}

impl PageCache {
    pub(super) fn new() -> Self {
        static IS_BROKEN: LazyLock<bool> = LazyLock::new(|| {
            let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
            release.is_ok_and(|release| is_broken(&release))
        });
        Self {
            is_off: Arc::new(AtomicBool::new(*IS_BROKEN)),
        }
    }

    /// Does what [`Storage::try_read_at`](crate::io::Storage::try_read_at) says.
    pub(super) fn read(
        &self,
        file: &File,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<Option<usize>> {
        if self.is_off.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut [IoSliceMut::new(&mut buffer[filled..])];
            match preadv2(file, rest, offset + filled as u64, ReadWriteFlags::NOWAIT) {
                // After a short read: the end of the file. What is not cached is an error.
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    self.is_off.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(filled))
    }
}

/// Returns whether the kernel of this release may return 0, as at the end of a file, where a page is not cached.
fn is_broken(release: &str) -> bool {
    let mut numbers = release.split(|byte: char| !byte.is_ascii_digit());
    matches!(
        (numbers.next(), numbers.next()),
        (Some("5"), Some("9" | "10"))
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn kernels_that_take_what_is_not_cached_for_the_end_are_known() {
        for release in [
            "5.9.0",
            "5.9.16-arch1",
            "5.10.0-8-amd64",
            "5.10.236",
            "5.10",
        ] {
            assert!(is_broken(release), "{release}");
        }
        for release in [
            "5.8.18", "5.11.0", "5.1.9", "5.100.1", "4.9.10", "6.5.10", "15.10.1", "",
        ] {
            assert!(!is_broken(release), "{release}");
        }
    }

    #[test]
    fn a_part_that_is_cached_is_not_taken_for_the_whole() {
        use rustix::fs::{Advice, fadvise};

        const LEN: usize = 1 << 20;
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<_> = (0..=u8::MAX).cycle().take(LEN).collect();
        file.write_all(&bytes).unwrap();
        let (cache, mut buffer) = (PageCache::new(), vec![0; LEN]);
        assert_eq!(cache.read(&file, &mut buffer, 0).unwrap(), Some(LEN));
        assert_eq!(buffer, bytes);
        for (offset, len) in [(LEN as u64 - 5, 5), (LEN as u64, 0), (LEN as u64 + 9, 0)] {
            let read = cache.read(&file, &mut [0; 9], offset).unwrap();
            assert_eq!(read, Some(len), "at {offset}");
        }
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        fadvise(&file, 0, None, Advice::Random).unwrap();
        // The first page is cached again, unless all are, on a file system that is nothing but a cache.
        file.read_exact_at(&mut [0; 9], 0).unwrap();
        assert_eq!(cache.read(&file, &mut [0; 9], 0).unwrap(), Some(9));
        let read = cache.read(&file, &mut buffer, 0).unwrap();
        assert!(matches!(read, None | Some(LEN)), "{read:?}");
    }

    #[test]
    fn a_file_system_is_asked_no_more_once_it_has_refused() {
        let cache = PageCache::new();
        // The kernel makes up the bytes of its own files.
        let refusing = File::open("/proc/self/stat").unwrap();
        assert_eq!(cache.clone().read(&refusing, &mut [0; 9], 0).unwrap(), None);
        assert!(cache.is_off.load(Ordering::Relaxed));
    }
}
