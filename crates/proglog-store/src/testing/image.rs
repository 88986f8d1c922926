//! The bytes of one file, in shared pages: a copy costs a count per page, a write copies the pages it
//! touches.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use super::rng::mix;

const PAGE_LEN: usize = 4096;

/// The longest file, in bytes: a bound on the page table that a stray offset makes us allocate.
pub(super) const FILE_LEN_MAX: u64 = 1 << 31;

#[derive(Clone)]
struct Page {
    bytes: [u8; PAGE_LEN],
    /// The hash of `bytes`, once it was computed; reset by each change.
    hash: OnceLock<u64>,
}

/// The bytes of a file. Every byte of a page past `len` is zero, so growing needs no clearing.
#[derive(Clone, Default)]
pub(super) struct Image {
    /// `len` bytes rounded up to pages; `None` is a page of zeros.
    pages: Vec<Option<Arc<Page>>>,
    len: usize,
}

impl Image {
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut image = Self::default();
        image.write(bytes, 0);
        image
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Fills `buffer` from `offset` on, as far as there are bytes, and returns their number.
    pub(super) fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let len = buffer.len().min(self.len.saturating_sub(offset));
        let mut done = 0;
        while done < len {
            let (page, within) = ((offset + done) / PAGE_LEN, (offset + done) % PAGE_LEN);
            let step = (len - done).min(PAGE_LEN - within);
            let target = &mut buffer[done..done + step];
            match &self.pages[page] {
                Some(page) => target.copy_from_slice(&page.bytes[within..within + step]),
                None => target.fill(0),
            }
            done += step;
        }
        len
    }

    /// Writes `bytes` at `offset`, and grows as needed.
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        self.grow(offset + bytes.len());
        let mut done = 0;
        while done < bytes.len() {
            let (page, within) = ((offset + done) / PAGE_LEN, (offset + done) % PAGE_LEN);
            let step = (bytes.len() - done).min(PAGE_LEN - within);
            let source = &bytes[done..done + step];
            if self.pages[page].is_some() || source.iter().any(|&byte| byte != 0) {
                self.page_mut(page)[within..within + step].copy_from_slice(source);
            }
            done += step;
        }
    }

    /// Makes the image at least `len` bytes long.
    pub(super) fn grow(&mut self, len: usize) {
        if len > self.len {
            self.pages.resize(len.div_ceil(PAGE_LEN), None);
            self.len = len;
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.grow(len);
        self.pages.truncate(len.div_ceil(PAGE_LEN));
        self.len = len;
        let end_in_page = len % PAGE_LEN;
        if end_in_page != 0 && self.pages[len / PAGE_LEN].is_some() {
            self.page_mut(len / PAGE_LEN)[end_in_page..].fill(0);
        }
    }

    /// Flips one bit; no effect if `byte` is past the end.
    pub(super) fn flip(&mut self, byte: usize, bit: u8) {
        if byte < self.len {
            self.page_mut(byte / PAGE_LEN)[byte % PAGE_LEN] ^= 1 << bit;
        }
    }

    /// A hash of length and bytes; pages not changed since the last one are not hashed again.
    pub(super) fn hash(&self) -> u64 {
        self.pages.iter().fold(mix(self.len as u64), |hash, page| {
            mix(hash ^ page.as_ref().map_or(*ZERO_PAGE_HASH, |page| page.hash()))
        })
    }

    fn page_mut(&mut self, page: usize) -> &mut [u8; PAGE_LEN] {
        let page = Arc::make_mut(self.pages[page].get_or_insert_with(|| Arc::new(Page::zeros())));
        page.hash = OnceLock::new();
        &mut page.bytes
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

static ZERO_PAGE_HASH: LazyLock<u64> = LazyLock::new(|| Page::zeros().hash());

impl Page {
    fn zeros() -> Self {
        Self {
            bytes: [0; PAGE_LEN],
            hash: OnceLock::new(),
        }
    }

    fn hash(&self) -> u64 {
        *self.hash.get_or_init(|| {
            let mut lanes = [1_u64, 2, 3, 4];
            let (words, _) = self.bytes.as_chunks::<8>();
            let (rows, _) = words.as_chunks::<4>();
            for row in rows {
                for (lane, word) in lanes.iter_mut().zip(row) {
                    let mixed =
                        (*lane ^ u64::from_be_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    *lane = mixed ^ (mixed >> 32);
                }
            }
            lanes.into_iter().fold(0, |hash, lane| mix(hash ^ lane))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cut_off_read_as_zeros_once_the_image_grows_again() {
        let mut image = Image::from_bytes(&[7; 3 * PAGE_LEN]);
        image.set_len(PAGE_LEN + 1);
        image.set_len(2 * PAGE_LEN + 5);
        let mut expected = vec![7; PAGE_LEN + 1];
        expected.resize(2 * PAGE_LEN + 5, 0);
        assert_eq!(image.to_vec(), expected);
    }

    #[test]
    fn an_image_written_in_pieces_equals_a_plain_vector() {
        let mut rng = super::super::rng::Rng::new(1);
        let (mut image, mut plain) = (Image::default(), Vec::new());
        for step in 0..500_u16 {
            let offset = usize::try_from(rng.below(20_000)).unwrap();
            let bytes = vec![step.to_be_bytes()[1]; usize::try_from(rng.below(9_000)).unwrap()];
            if step % 7 == 0 {
                image.set_len(offset);
                plain.resize(offset, 0);
            } else {
                image.write(&bytes, offset);
                plain.resize(plain.len().max(offset + bytes.len()), 0);
                plain[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
            assert_eq!(image.to_vec(), plain);
            assert_eq!(image.hash(), Image::from_bytes(&plain).hash());
        }
    }

    #[test]
    fn a_changed_bit_changes_the_hash_and_changing_it_back_restores_it() {
        let mut image = Image::from_bytes(&[7; 2 * PAGE_LEN]);
        let before = image.hash();
        image.flip(PAGE_LEN + 9, 3);
        assert_ne!(image.hash(), before);
        image.flip(PAGE_LEN + 9, 3);
        assert_eq!(image.hash(), before);
    }
}
