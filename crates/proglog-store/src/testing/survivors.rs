//! The pending changes that survive a crash.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::image::Image;
use super::pending::{Cached, Change, FileChange, NameChange, Op};
use super::rng::Rng;
use super::state::{Inode, Run, State};

/// The bytes that a drive writes whole or not at all.
const SECTOR_LEN: usize = 512;

/// The pending changes that survive a crash. They are numbered from 0 in the order they were made, across
/// all files and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Survivors {
    /// The process dies, the machine lives: everything is visible as before, and pending changes stay pending.
    KeepAll,
    /// The power fails, and nothing pending was on the device.
    LoseAll,
    /// The power fails, and a seeded choice of the pending changes was on the device. One seed in
    /// four keeps a beginning of them, as a journal would; the others keep few, half or most, in no
    /// order. Writes may be torn.
    Seeded(u64),
    /// The power fails, and exactly the changes whose bit is set were on the device, each of them
    /// whole. There are [`SimDisk::pending`](super::SimDisk::pending) bits; a change past the 64th
    /// is lost.
    Ops(u64),
    /// As [`Survivors::Ops`], with [`SimDisk::pending_parts`](super::SimDisk::pending_parts) bits: a
    /// write has one for each sector of 512 bytes that it touches, and before these, if it made the
    /// file longer, one for the length alone (the new bytes then read as zeros).
    Parts(u64),
}

/// A change, ordered by time.
enum Entry<'a> {
    File(u64, &'a Op<FileChange>),
    Name(&'a Op<NameChange>),
}

impl Entry<'_> {
    fn time(&self) -> u64 {
        match self {
            Self::File(_, op) => op.time,
            Self::Name(op) => op.time,
        }
    }

    fn is_pending(&self) -> bool {
        match self {
            Self::File(_, op) => op.is_pending(),
            Self::Name(op) => op.is_pending(),
        }
    }

    fn parts(&self) -> usize {
        match self {
            Self::File(
                _,
                Op {
                    change:
                        FileChange::Write {
                            offset,
                            bytes,
                            grows,
                        },
                    ..
                },
            ) => usize::from(*grows) + sectors(*offset, bytes.len()).count(),
            _ => 1,
        }
    }
}

impl State {
    /// All changes that are not yet applied to the durable state, certain or not.
    fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries: Vec<_> = self.names.ops().iter().map(Entry::Name).collect();
        for (id, inode) in &self.inodes {
            if !inode.content.ops().is_empty() && self.is_reachable(*id) {
                entries.extend(inode.content.ops().iter().map(|op| Entry::File(*id, op)));
            }
        }
        entries.sort_unstable_by_key(Entry::time);
        entries
    }

    pub(super) fn pending(&self) -> usize {
        self.entries()
            .iter()
            .filter(|entry| entry.is_pending())
            .count()
    }

    pub(super) fn pending_parts(&self) -> usize {
        self.entries()
            .iter()
            .filter(|entry| entry.is_pending())
            .map(Entry::parts)
            .sum()
    }

    pub(super) fn crash(&self, survivors: Survivors) -> Self {
        if survivors == Survivors::KeepAll {
            return Self {
                run: Run::default(),
                ..self.without_handles()
            };
        }
        let entries = self.entries();
        let pending = entries.iter().filter(|entry| entry.is_pending()).count();
        let mut judge = Judge::new(survivors, pending);
        let mut names = Arc::clone(self.names.durable());
        let mut images: BTreeMap<u64, Arc<Image>> = self
            .inodes
            .iter()
            .map(|(id, inode)| (*id, Arc::clone(inode.content.durable())))
            .collect();
        for entry in entries {
            match entry {
                Entry::Name(op) => {
                    if !op.is_pending() || judge.keeps() {
                        op.change.apply(Arc::make_mut(&mut names));
                    }
                }
                Entry::File(id, op) => {
                    let image = images.get_mut(&id).expect("an entry's inode exists");
                    if op.is_pending() {
                        judge.apply(&op.change, image);
                    } else {
                        op.change.apply(Arc::make_mut(image));
                    }
                }
            }
        }
        let rest =
            |id: &u64| Inode::at_rest(Arc::clone(&images[id]), self.inodes[id].unreadable.clone());
        Self {
            inodes: names.values().map(|id| (*id, rest(id))).collect(),
            names: Cached::at_rest(names),
            next_id: self.next_id,
            capacity: self.capacity,
            is_copy_on_write: self.is_copy_on_write,
            counts_only_changes: self.counts_only_changes,
            run: Run::default(),
        }
    }
}

/// The parts of `offset..offset + len` that lie in one sector each.
fn sectors(offset: usize, len: usize) -> impl Iterator<Item = Range<usize>> {
    let end = offset + len;
    let mut start = offset;
    std::iter::from_fn(move || {
        let sector = start..end.min((start / SECTOR_LEN + 1) * SECTOR_LEN);
        start = sector.end;
        (!sector.is_empty()).then_some(sector)
    })
}

/// Decides about one change after another.
struct Judge {
    survivors: Survivors,
    /// The number of decisions so far.
    taken: u64,
    rng: Rng,
    style: Style,
}

/// The rule of a seeded judge.
enum Style {
    /// All changes before this decision are kept; the one it falls on is torn.
    Before(u64),
    /// Keeps this many of eight.
    OfEight(u64),
}

impl Judge {
    fn new(survivors: Survivors, pending: usize) -> Self {
        let Survivors::Seeded(seed) = survivors else {
            return Self {
                survivors,
                taken: 0,
                rng: Rng::new(0),
                style: Style::OfEight(0),
            };
        };
        let mut rng = Rng::new(seed);
        let style = match rng.below(4) {
            0 => Style::Before(rng.below(pending as u64 + 1)),
            1 => Style::OfEight(1),
            2 => Style::OfEight(4),
            _ => Style::OfEight(7),
        };
        Self {
            survivors,
            taken: 0,
            rng,
            style,
        }
    }

    fn keeps(&mut self) -> bool {
        let index = self.taken;
        self.taken += 1;
        match (self.survivors, &self.style) {
            (Survivors::KeepAll, _) => true,
            (Survivors::LoseAll, _) => false,
            (Survivors::Ops(mask) | Survivors::Parts(mask), _) => {
                index < 64 && (mask >> index) & 1 == 1
            }
            (Survivors::Seeded(_), Style::Before(cut)) => index < *cut,
            (Survivors::Seeded(_), Style::OfEight(kept)) => self.rng.below(8) < *kept,
        }
    }

    /// Applies the part of `change` that survives.
    fn apply(&mut self, change: &FileChange, image: &mut Arc<Image>) {
        match (self.survivors, change) {
            (
                Survivors::Parts(_),
                FileChange::Write {
                    offset,
                    bytes,
                    grows,
                },
            ) => {
                let keeps_len = *grows && self.keeps();
                self.apply_parts(*offset, bytes, keeps_len, image, |judge, _| judge.keeps());
            }
            (
                Survivors::Seeded(_),
                FileChange::Write {
                    offset,
                    bytes,
                    grows,
                },
            ) if self.tears() => {
                self.taken += 1;
                let keeps_len = *grows && self.rng.below(2) == 0;
                let parts = sectors(*offset, bytes.len()).count() as u64;
                let cut = (self.rng.below(2) == 0).then(|| self.rng.below(parts + 1));
                self.apply_parts(*offset, bytes, keeps_len, image, |judge, part| match cut {
                    Some(cut) => part < cut,
                    None => judge.rng.below(2) == 0,
                });
            }
            _ => {
                if self.keeps() {
                    change.apply(Arc::make_mut(image));
                }
            }
        }
    }

    fn tears(&mut self) -> bool {
        match self.style {
            Style::Before(cut) => self.taken == cut,
            Style::OfEight(_) => self.rng.below(4) == 0,
        }
    }

    fn apply_parts(
        &mut self,
        offset: usize,
        bytes: &[u8],
        keeps_len: bool,
        image: &mut Arc<Image>,
        mut keeps: impl FnMut(&mut Self, u64) -> bool,
    ) {
        if keeps_len {
            Arc::make_mut(image).grow(offset + bytes.len());
        }
        for (number, part) in (0..).zip(sectors(offset, bytes.len())) {
            if keeps(self, number) {
                let bytes = &bytes[part.start - offset..part.end - offset];
                Arc::make_mut(image).write(bytes, part.start);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_split_a_range_at_multiples_of_512() {
        let split = |offset, len| {
            sectors(offset, len)
                .map(|sector| (sector.start, sector.end))
                .collect::<Vec<_>>()
        };
        assert_eq!(split(0, 512), [(0, 512)]);
        assert_eq!(split(500, 600), [(500, 512), (512, 1024), (1024, 1100)]);
        assert_eq!(split(513, 1), [(513, 514)]);
        assert_eq!(split(7, 0), []);
    }
}
