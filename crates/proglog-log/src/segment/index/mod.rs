//! Index of a segment: the position in the store of each record, by its number in the segment.
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
//! The index is a cache. The check of a page shows if it is damaged, or of another file or place; then, or if
//! it is missing, it is rebuilt from the store. A valid page that is still wrong does no harm: a record carries
//! its own offset, which is compared.
//!
//! Entries are kept in memory until their page is full and their records can no longer be rolled back.

pub(crate) mod cached_pages;
mod page;
mod unwritten;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use proglog_store::io::{Directory, OpenMode, Storage};
use proglog_store::{Operation, Position};

use crate::error::reason::{Reason, Result};
use crate::segment::index::cached_pages::CachedPages;
use crate::segment::index::page::Page;
use crate::segment::index::unwritten::Unwritten;
use crate::sync::Mutex;

pub(crate) use crate::segment::index::page::Entry;
pub(crate) use crate::segment::index::unwritten::{Appender, PAGE_ENTRIES};

pub(crate) const PAGE_LEN: usize = 4096;
const ENTRIES_AT: usize = 4;
const CHECK_AT: usize = ENTRIES_AT + PAGE_ENTRIES * 4;
const _: () = assert!(CHECK_AT + 4 == PAGE_LEN);

/// The index of one segment.
#[derive(Debug)]
pub(crate) struct Index {
    directory: Arc<dyn Directory>,
    name: String,
    /// Closed while the log is idle.
    file: Mutex<Option<Arc<dyn Storage>>>,
    cached: Arc<CachedPages>,
    salt: u64,
    unwritten: Unwritten,
    /// True if all pages are in the file: none is written, and reads take no lock.
    is_read_only: bool,
    /// Held while pages are written.
    writing: Mutex<()>,
}

/// The pages that are in an index's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// All of them: the index is only read.
    All,
    /// The first pages, by their number, each of which is full.
    Full(u64),
}

/// Returns the number of the page that holds entry `number`, and the entry's place in it.
pub(crate) fn page_of(number: u64) -> (u64, usize) {
    let entries = PAGE_ENTRIES as u64;
    (
        number / entries,
        usize::try_from(number % entries).expect("less than a page has"),
    )
}

/// Returns the entry for this position. A log has none past 4 GiB; in a forged file that has one, the record
/// there counts as damaged.
fn entry(position: u64) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Returns the length of the file of an index of `count` entries.
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

fn decode_page(page: &[u8], salt: u64, number: u64) -> Option<Page> {
    if page.len() != PAGE_LEN || BigEndian::read_u32(&page[CHECK_AT..]) != check(page, salt, number)
    {
        return None;
    }
    let count = BigEndian::read_u32(page) as usize;
    let bytes = page.get(ENTRIES_AT..ENTRIES_AT + count.min(PAGE_ENTRIES) * 4)?;
    let entries = bytes.chunks_exact(4).map(BigEndian::read_u32);
    Some(Page::new(&entries.collect::<Vec<_>>()))
}

/// Does the work of [`Index::limit`], with the entries that `entry` returns.
fn limit(
    numbers: Range<u64>,
    bytes_max: u64,
    entry: impl Fn(u64) -> Option<u32>,
) -> Option<(u64, Position)> {
    let Range { start, end } = numbers;
    let first = u64::from(entry(start)?);
    let fits = |entry: &u32| u64::from(*entry).saturating_sub(first) <= bytes_max;
    let ends = (start + 1..=end).map_while(&entry);
    let count = ends.take_while(fits).count() as u64;
    if count < end - start {
        // Without an entry after them, the end of the last of them is not known.
        entry(start + count + 1)?;
    }
    let count = count.max(1);
    Some((count, Position::new(entry(start + count)?.into())))
}

impl Index {
    /// Returns an index of which `pages` are taken to be in the file `name`.
    pub(crate) fn new(
        directory: Arc<dyn Directory>,
        name: String,
        cached: Arc<CachedPages>,
        salt: u64,
        pages: Pages,
    ) -> Self {
        Self {
            directory,
            name,
            file: Mutex::new(None),
            cached,
            salt,
            unwritten: Unwritten::new(match pages {
                Pages::All => 0,
                Pages::Full(count) => count,
            }),
            is_read_only: pages == Pages::All,
            writing: Mutex::new(()),
        }
    }

    /// Removes the file and all entries: the index is to be filled again from the start.
    pub(crate) fn clear(&mut self) -> Result<()> {
        match self.directory.remove(&self.name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Reason::io(Operation::Remove, &self.name, error));
            }
            _ => {}
        }
        let directory = Arc::clone(&self.directory);
        let name = std::mem::take(&mut self.name);
        let cached = Arc::clone(&self.cached);
        *self = Self::new(directory, name, cached, self.salt, Pages::Full(0));
        Ok(())
    }

    /// Returns the entry of record `number`; `None` if its page is missing or damaged.
    pub(crate) fn entry(&self, number: u64) -> Option<Entry> {
        self.find(number, |page| self.load(page))
    }

    /// As [`Index::entry`], but `None` too if the page would have to be waited for.
    pub(crate) fn try_entry(&self, number: u64) -> Option<Entry> {
        self.find(number, |page| self.try_load(page))
    }

    /// Finds the entry of record `number`, with a page that is not in memory from `load`.
    #[inline]
    fn find(&self, number: u64, load: impl FnOnce(u64) -> Option<Page>) -> Option<Entry> {
        let (page, at) = page_of(number);
        if !self.is_read_only {
            let entries = self.unwritten.read();
            if page >= entries.first_page() {
                let position = |number| Some(Position::new(entries.get(number)?.into()));
                return Some(Entry {
                    position: position(number)?,
                    next: position(number + 1),
                });
            }
        }
        self.read_page(page, |page| page.entry(at), load)?
    }

    /// Returns how many of the records `numbers` lie within `bytes_max` bytes from the start of the first, at
    /// least one, and where the last of them ends. Reads one page; `None` if the answer is not in it.
    pub(crate) fn limit(&self, numbers: Range<u64>, bytes_max: u64) -> Option<(u64, Position)> {
        self.find_limit(numbers, bytes_max, |page| self.load(page))
    }

    /// As [`Index::limit`], but `None` if the page would have to be waited for.
    pub(crate) fn try_limit(&self, numbers: Range<u64>, bytes_max: u64) -> Option<(u64, Position)> {
        self.find_limit(numbers, bytes_max, |page| self.try_load(page))
    }

    /// Finds a limit, with pages that are not in memory from `load`.
    fn find_limit(
        &self,
        numbers: Range<u64>,
        bytes_max: u64,
        load: impl FnOnce(u64) -> Option<Page>,
    ) -> Option<(u64, Position)> {
        let (page, at) = page_of(numbers.start);
        if !self.is_read_only {
            let entries = self.unwritten.read();
            if page >= entries.first_page() {
                return limit(numbers, bytes_max, |number| entries.get(number));
            }
        }
        let first = numbers.start;
        let find = |page: &Page| {
            limit(numbers.clone(), bytes_max, |number| {
                let skip = usize::try_from(number - first).ok()?;
                page.get(at + skip)
            })
        };
        self.read_page(page, find, load)?
    }

    /// Puts a page that was rebuilt from the store in the cache. It is not written, since reading changes no
    /// file.
    pub(crate) fn restore_page(&self, page: u64, entries: &[u32]) {
        self.cached.insert(page, Page::new(entries));
    }

    /// Returns what `read` finds in a page that is in memory, or that `load` returns.
    #[inline]
    fn read_page<T>(
        &self,
        page: u64,
        read: impl Fn(&Page) -> T,
        load: impl FnOnce(u64) -> Option<Page>,
    ) -> Option<T> {
        let found = self.cached.read(page, &read);
        found.or_else(|| load(page).map(|page| read(&page)))
    }

    /// Returns a page of the file, if it is valid, and puts it in memory.
    #[cold]
    pub(crate) fn load(&self, page: u64) -> Option<Page> {
        let mut bytes = [0; PAGE_LEN];
        let mode = if self.is_read_only {
            OpenMode::Read
        } else {
            OpenMode::Write
        };
        let file = self.file(mode)?;
        let read = file.read_full_at(&mut bytes, page * PAGE_LEN as u64).ok()?;
        self.keep(page, &bytes[..read])
    }

    /// As [`Index::load`], if the file is open and that takes no waiting for the device.
    #[cold]
    fn try_load(&self, page: u64) -> Option<Page> {
        let mut bytes = [0; PAGE_LEN];
        let file = self.file.lock().clone()?;
        let read = file
            .try_read_at(&mut bytes, page * PAGE_LEN as u64)
            .ok()??;
        self.keep(page, &bytes[..read])
    }

    /// Returns the page with these bytes, if it is valid, and puts it in memory.
    fn keep(&self, page: u64, bytes: &[u8]) -> Option<Page> {
        let entries = decode_page(bytes, self.salt, page)?;
        self.cached.insert(page, entries.clone());
        Some(entries)
    }

    /// Returns the appender of this index; another that was returned before is invalid.
    pub(crate) fn appender(&self) -> Appender {
        self.unwritten.appender()
    }

    /// Adds the entry of the next record. Returns whether a page is full now, and can be written.
    #[inline]
    pub(crate) fn push(&self, appender: &mut Appender, position: Position) -> bool {
        appender.push_all(&self.unwritten, std::iter::once(entry(position.get())))
    }

    /// Adds the entries of consecutive records from `first` on: each takes the number of bytes in `lens`, and
    /// `overhead` more. Returns whether a page is full now, and can be written.
    #[inline]
    pub(crate) fn push_batch(
        &self,
        appender: &mut Appender,
        first: Position,
        lens: &[usize],
        overhead: u64,
    ) -> bool {
        let mut position = first.get();
        let entries = lens.iter().map(|len| {
            let start = position;
            position += *len as u64 + overhead;
            entry(start)
        });
        appender.push_all(&self.unwritten, entries)
    }

    /// Frees memory that is kept for later entries, and returns the appender.
    pub(crate) fn release_memory(&self) -> Appender {
        self.unwritten.release_memory()
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> u64 {
        self.unwritten.len()
    }

    /// Returns whether none of the pages in the file has an entry of record `count` or of one after it.
    pub(crate) fn can_truncate(&self, count: u64) -> bool {
        page_of(count).0 >= self.unwritten.read().first_page()
    }

    /// Drops the entries of record `count` and those after it, which are not in the file, and returns the appender.
    pub(crate) fn truncate(&self, count: u64) -> Appender {
        self.unwritten.truncate(count)
    }

    /// Writes the full pages of the first `stable` entries, those of records that can no longer be rolled back,
    /// and drops them from memory. A page that cannot be written stays there.
    pub(crate) fn write_full_pages(&self, stable: u64) {
        let _writing = self.writing.lock();
        loop {
            let (page, entries) = {
                let unwritten = self.unwritten.read();
                let page = unwritten.first_page();
                if (page + 1) * PAGE_ENTRIES as u64 > stable.min(self.len()) {
                    return;
                }
                (page, unwritten.first_page_entries())
            };
            if !self.write_page(page, &entries) {
                return;
            }
            self.unwritten.drop_first_page();
        }
    }

    /// Writes all pages, including the last, and syncs them if `sync` is set. Returns whether the file now
    /// holds the whole index.
    pub(crate) fn write_all(&self, sync: bool) -> bool {
        self.write_full_pages(u64::MAX);
        let _writing = self.writing.lock();
        let (page, entries) = {
            let unwritten = self.unwritten.read();
            (unwritten.first_page(), unwritten.first_page_entries())
        };
        if entries.len() >= PAGE_ENTRIES {
            return false;
        }
        if !entries.is_empty() && !self.write_page(page, &entries) {
            return false;
        }
        // An index without pages has no file.
        let has_pages = page > 0 || !entries.is_empty();
        let sync_file = |file: Arc<dyn Storage>| file.sync_data().is_ok();
        !sync || !has_pages || self.file(OpenMode::Write).is_some_and(sync_file)
    }

    fn write_page(&self, page: u64, entries: &[u32]) -> bool {
        let bytes = encode_page(entries, self.salt, page);
        // An older version of the page, which was not full.
        self.cached.remove(page);
        self.file(OpenMode::CreateIfMissing)
            .is_some_and(|file| file.write_all_at(&bytes, page * PAGE_LEN as u64).is_ok())
    }

    /// Returns the file, and opens it if it is not open.
    fn file(&self, mode: OpenMode) -> Option<Arc<dyn Storage>> {
        if let Some(file) = &*self.file.lock() {
            return Some(Arc::clone(file));
        }
        let opened = self.directory.open(&self.name, mode).ok()?;
        // Another thread may have been first; either handle will do.
        Some(Arc::clone(self.file.lock().get_or_insert(opened)))
    }

    /// Closes the file; the next page that is read or written opens it again.
    pub(crate) fn close_file(&self) {
        drop(self.file.lock().take());
    }
}

#[cfg(test)]
mod tests;
