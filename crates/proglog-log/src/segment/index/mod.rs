//! A segment's index: from a record's number in the segment to its position in the store.
//!
//! The file is a sequence of pages, each of which verifies itself. Big-endian:
//!
//! ```text
//!  0       4                        4092    4096
//!  +-------+------------------------+-------+      `count` entries are used, the rest are zero. The
//!  | count | positions              | check |      i-th entry of page p is the position of record
//!  | u32   | 1022 x u32             | u32   |      p * 1022 + i. `check` is the CRC-32C of the bytes
//!  +-------+------------------------+-------+      before it, mixed with the store's salt and p.
//! ```
//!
//! The index is a cache. A page that is missing, damaged, of another file or of another place is
//! known by its check, and is made again from the store. A page that is valid and still wrong does no
//! harm: the record found by it carries its own offset, which is compared.
//!
//! Entries that are not in the file yet are in memory. Only entries of records that are sure to stay
//! are written.

use std::io;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use byteorder::{BigEndian, ByteOrder};
use proglog_store::{Directory, OpenMode, Operation, Position, Storage};

use crate::error::{Error, Result};
use crate::sync::{Cache, Mutex, OnceLock};

/// How many entries a page has.
pub(crate) const PAGE_ENTRIES: usize = 1022;
pub(crate) const PAGE_LEN: usize = 4096;
const ENTRIES_AT: usize = 4;
const CHECK_AT: usize = ENTRIES_AT + PAGE_ENTRIES * 4;
const _: () = assert!(CHECK_AT + 4 == PAGE_LEN);

/// How many pages of all indexes of the process are kept in memory: 16 MiB.
const CACHED_PAGES: usize = 4096;

static PAGES: LazyLock<Cache<PageKey, Arc<[u32]>>> = LazyLock::new(|| Cache::new(CACHED_PAGES));

/// The number that the segment has in this process, and the page's.
type PageKey = (u64, u64);

/// The index of one segment.
#[derive(Debug)]
pub(crate) struct Index {
    directory: Arc<dyn Directory>,
    name: String,
    file: OnceLock<Arc<dyn Storage>>,
    /// Names the segment in the cache of pages.
    id: u64,
    salt: u64,
    tail: Mutex<Tail>,
    /// Whether all pages are taken to be in the file, for ever: none is ever written, and who looks for
    /// an entry takes no lock.
    is_read_only: bool,
    /// Held by whoever writes pages.
    writing: Mutex<()>,
}

/// The entries that are not in the file.
#[derive(Debug, Default)]
struct Tail {
    /// The page that the first of them is the first entry of.
    first_page: u64,
    entries: Vec<u32>,
}

/// The number of the page that holds entry `number`, and its place there.
pub(crate) fn place(number: u64) -> (u64, usize) {
    let entries = PAGE_ENTRIES as u64;
    (
        number / entries,
        usize::try_from(number % entries).expect("less than a page has"),
    )
}

/// The entry for this position. A log writes none past 4 GiB; in a file that was made to have one,
/// the record there counts as damaged.
fn entry(position: u64) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// How long the file of an index of `count` entries is.
pub(crate) fn file_len(count: u64) -> u64 {
    count
        .div_ceil(PAGE_ENTRIES as u64)
        .saturating_mul(PAGE_LEN as u64)
}

fn check(page: &[u8], salt: u64, number: u64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the halves are folded into one"
    )]
    let mixed = (salt ^ (salt >> 32) ^ number.wrapping_mul(0x9e37_79b9)) as u32;
    crc_fast::crc32_iscsi(&page[..CHECK_AT]) ^ mixed
}

fn encode_page(entries: &[u32], salt: u64, number: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE_LEN];
    let count = u32::try_from(entries.len()).expect("at most a page's entries");
    BigEndian::write_u32(&mut page, count);
    let end = ENTRIES_AT + entries.len() * 4;
    BigEndian::write_u32_into(entries, &mut page[ENTRIES_AT..end]);
    let check = check(&page, salt, number);
    BigEndian::write_u32(&mut page[CHECK_AT..], check);
    page
}

fn decode_page(page: &[u8], salt: u64, number: u64) -> Option<Arc<[u32]>> {
    if page.len() != PAGE_LEN || BigEndian::read_u32(&page[CHECK_AT..]) != check(page, salt, number)
    {
        return None;
    }
    let count = BigEndian::read_u32(page) as usize;
    let bytes = page.get(ENTRIES_AT..ENTRIES_AT + count.min(PAGE_ENTRIES) * 4)?;
    Some(bytes.chunks_exact(4).map(BigEndian::read_u32).collect())
}

/// What an index knows of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    /// Where the next record is, if that is known: this one takes no more bytes than up to there.
    pub(crate) next: Option<Position>,
}

impl Entry {
    pub(crate) fn of(entries: &[u32], at: usize) -> Option<Self> {
        let position = |at: usize| entries.get(at).map(|entry| Position::new((*entry).into()));
        Some(Self {
            position: position(at)?,
            next: position(at + 1),
        })
    }
}

impl Index {
    /// The index of a segment whose first `in_file` pages are taken to be in the file `name`.
    pub(crate) fn new(
        directory: Arc<dyn Directory>,
        name: String,
        id: u64,
        salt: u64,
        in_file: u64,
    ) -> Self {
        Self {
            directory,
            name,
            file: OnceLock::new(),
            id,
            salt,
            tail: Mutex::new(Tail {
                first_page: in_file,
                entries: Vec::new(),
            }),
            is_read_only: in_file == u64::MAX,
            writing: Mutex::new(()),
        }
    }

    /// Removes the file: from here on the index has no entries, and takes all that come.
    pub(crate) fn clear(&mut self) -> Result<()> {
        match self.directory.remove(&self.name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(Operation::Remove, &self.name, error));
            }
            _ => {}
        }
        let directory = Arc::clone(&self.directory);
        let name = std::mem::take(&mut self.name);
        *self = Self::new(directory, name, self.id, self.salt, 0);
        Ok(())
    }

    /// The entry of record `number` of the segment; `None` if its page is missing or damaged.
    pub(crate) fn entry(&self, number: u64) -> Option<Entry> {
        let (page, at) = place(number);
        if !self.is_read_only {
            let tail = self.tail.lock();
            if page >= tail.first_page {
                let skip = usize::try_from(page - tail.first_page).ok()?;
                return Entry::of(&tail.entries, skip * PAGE_ENTRIES + at);
            }
        }
        Entry::of(&self.page(page)?, at)
    }

    /// How many of the records `numbers` lie within `bytes_max` bytes from the start of the first, but
    /// at least one, and where the last record ends that does, be it one of them or behind them. Looks at
    /// one page; `None` if that does not tell.
    pub(crate) fn limit(&self, numbers: Range<u64>, bytes_max: u64) -> Option<(u64, Position)> {
        let (page, at) = place(numbers.start);
        let tail = self.tail.lock();
        let in_file;
        let entries = if page >= tail.first_page {
            let skip = usize::try_from(page - tail.first_page).ok()?;
            tail.entries.get(skip * PAGE_ENTRIES + at..)?
        } else {
            drop(tail);
            in_file = self.page(page)?;
            in_file.get(at..)?
        };
        let first = u64::from(*entries.first()?);
        let fits = |entry: &&u32| u64::from(**entry).saturating_sub(first) <= bytes_max;
        let count = entries[1..].iter().take_while(fits).count();
        if count + 1 == entries.len() {
            // Where the last of them ends is not known.
            return None;
        }
        let count = count.max(1);
        let end = Position::new((*entries.get(count)?).into());
        let count = (count as u64).min(numbers.end - numbers.start);
        Some((count, end))
    }

    /// Puts a page that was made again from the store in the cache. It is not written: whoever
    /// reads changes no file.
    pub(crate) fn restore_page(&self, page: u64, entries: &[u32]) {
        PAGES.insert((self.id, page), entries.into());
    }

    /// The entries of a page in the file, if it is whole.
    pub(crate) fn page(&self, page: u64) -> Option<Arc<[u32]>> {
        if let Some(entries) = PAGES.get(&(self.id, page)) {
            return Some(entries);
        }
        let mut bytes = [0; PAGE_LEN];
        let mode = if self.is_read_only {
            OpenMode::Read
        } else {
            OpenMode::Write
        };
        let file = self.file(mode)?;
        let read = file.read_full_at(&mut bytes, page * PAGE_LEN as u64).ok()?;
        let entries = decode_page(&bytes[..read], self.salt, page)?;
        PAGES.insert((self.id, page), Arc::clone(&entries));
        Some(entries)
    }

    /// Adds the entry of the next record.
    pub(crate) fn push(&self, position: Position) {
        self.tail.lock().entries.push(entry(position.get()));
    }

    /// Adds the first entries of a page, which was read from the file.
    pub(crate) fn push_page(&self, entries: &[u32]) {
        self.tail.lock().entries.extend_from_slice(entries);
    }

    /// Adds the entries of records that lie one behind the other from `first` on: each is as long as
    /// `lens` says, and `overhead` more. Returns whether there is a full page to be written.
    #[inline]
    pub(crate) fn push_batch(&self, first: Position, lens: &[usize], overhead: u64) -> bool {
        let mut position = first.get();
        let entries = lens.iter().map(|len| {
            let start = position;
            position += *len as u64 + overhead;
            entry(start)
        });
        let mut tail = self.tail.lock();
        tail.entries.extend(entries);
        tail.entries.len() >= PAGE_ENTRIES
    }

    /// Gives back memory that is kept for entries to come.
    pub(crate) fn release_memory(&self) {
        self.tail.lock().entries.shrink_to_fit();
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> u64 {
        let tail = self.tail.lock();
        tail.first_page * PAGE_ENTRIES as u64 + tail.entries.len() as u64
    }

    /// Drops the entries of record `count` and those after it, which were not written yet.
    pub(crate) fn truncate(&self, count: u64) {
        let mut tail = self.tail.lock();
        let kept = count.checked_sub(tail.first_page * PAGE_ENTRIES as u64);
        let kept = kept.expect("only entries of records that are sure to stay are written");
        tail.entries
            .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    }

    /// Writes the full pages of the first `sure` entries and drops them from memory. A page that
    /// cannot be written stays there.
    pub(crate) fn write_full_pages(&self, sure: u64) {
        let _writing = self.writing.lock();
        loop {
            let (page, entries) = {
                let tail = self.tail.lock();
                let end = (tail.first_page + 1) * PAGE_ENTRIES as u64;
                if end > sure || tail.entries.len() < PAGE_ENTRIES {
                    return;
                }
                (tail.first_page, tail.entries[..PAGE_ENTRIES].to_vec())
            };
            if !self.write_page(page, &entries) {
                return;
            }
            let mut tail = self.tail.lock();
            tail.entries.drain(..PAGE_ENTRIES);
            tail.first_page += 1;
        }
    }

    /// Writes all pages, the last one as it is, and syncs them if `sync` says so. Returns whether
    /// the file now holds the whole index.
    pub(crate) fn write_all(&self, sync: bool) -> bool {
        self.write_full_pages(u64::MAX);
        let _writing = self.writing.lock();
        let tail = self.tail.lock();
        let (page, entries) = (tail.first_page, tail.entries.clone());
        drop(tail);
        if entries.len() >= PAGE_ENTRIES {
            return false;
        }
        if !entries.is_empty() && !self.write_page(page, &entries) {
            return false;
        }
        // An index that was never written to has no file, and none to sync.
        !sync || self.file.get().is_none_or(|file| file.sync_data().is_ok())
    }

    fn write_page(&self, page: u64, entries: &[u32]) -> bool {
        let bytes = encode_page(entries, self.salt, page);
        // What was read of it when it was not full yet.
        PAGES.remove(&(self.id, page));
        self.file(OpenMode::CreateIfMissing)
            .is_some_and(|file| file.write_all_at(&bytes, page * PAGE_LEN as u64).is_ok())
    }

    fn file(&self, mode: OpenMode) -> Option<&Arc<dyn Storage>> {
        if self.file.get().is_none() {
            let file = self.directory.open(&self.name, mode).ok()?;
            // Another thread may have been first; one handle is as good as the other.
            drop(self.file.set(file));
        }
        self.file.get()
    }
}

#[cfg(test)]
mod tests;
