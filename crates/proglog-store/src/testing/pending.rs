//! The durable state of a disk, the visible state, and the pending changes between the two.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::image::Image;

/// A change of a `Target` that a crash may undo. Each sets what it touches, whatever was there.
pub(super) trait Change {
    type Target: Clone;

    fn apply(&self, target: &mut Self::Target);

    /// Returns whether nothing is left of this change after `later` ones, which are certain.
    fn is_overtaken<'a>(&'a self, later: impl Iterator<Item = &'a Self>) -> bool;
}

/// The state of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The next sync makes it durable.
    Dirty,
    /// A sync failed on it: seen, but no sync makes it durable any more.
    Lost,
    /// It survives every crash. It still waits for an earlier one that may survive.
    Durable,
}

#[derive(Debug, Clone)]
pub(super) struct Op<C> {
    /// The number of the change among all changes of the disk.
    pub(super) time: u64,
    pub(super) standing: Standing,
    pub(super) change: C,
}

impl<C> Op<C> {
    pub(super) fn is_pending(&self) -> bool {
        self.standing != Standing::Durable
    }
}

/// A file's bytes, or the names of the directory, with a page cache above.
///
/// `current` is always `durable` with all of `ops` applied in order. The first of `ops` is pending.
pub(super) struct Cached<C: Change> {
    durable: Arc<C::Target>,
    current: Arc<C::Target>,
    ops: Vec<Op<C>>,
}

impl<C: Change> Cached<C> {
    pub(super) fn at_rest(target: Arc<C::Target>) -> Self {
        Self {
            durable: Arc::clone(&target),
            current: target,
            ops: Vec::new(),
        }
    }

    pub(super) fn durable(&self) -> &Arc<C::Target> {
        &self.durable
    }

    pub(super) fn current(&self) -> &Arc<C::Target> {
        &self.current
    }

    pub(super) fn ops(&self) -> &[Op<C>] {
        &self.ops
    }

    pub(super) fn change(&mut self, time: u64, change: C) {
        change.apply(Arc::make_mut(&mut self.current));
        self.ops.push(Op {
            time,
            standing: Standing::Dirty,
            change,
        });
    }

    /// Makes a change that is durable at once, though earlier ones are not.
    pub(super) fn change_durably(&mut self, time: u64, change: C) {
        change.apply(Arc::make_mut(&mut self.current));
        self.ops.push(Op {
            time,
            standing: Standing::Durable,
            change,
        });
        self.fold();
    }

    pub(super) fn sync(&mut self) {
        self.set_dirty_to(Standing::Durable);
        self.fold();
    }

    pub(super) fn fail_sync(&mut self) {
        self.set_dirty_to(Standing::Lost);
    }

    /// Changes both the durable and the visible state.
    pub(super) fn damage(&mut self, damage: impl Fn(&mut C::Target)) {
        damage(Arc::make_mut(&mut self.durable));
        if self.ops.is_empty() {
            self.current = Arc::clone(&self.durable);
        } else {
            damage(Arc::make_mut(&mut self.current));
        }
    }

    fn set_dirty_to(&mut self, standing: Standing) {
        for op in self
            .ops
            .iter_mut()
            .filter(|op| op.standing == Standing::Dirty)
        {
            op.standing = standing;
        }
    }

    /// Drops changes that can no longer matter, and applies those that are certain to `durable`.
    fn fold(&mut self) {
        if !self.ops.iter().any(Op::is_pending) {
            self.durable = Arc::clone(&self.current);
            self.ops.clear();
            return;
        }
        for at in (0..self.ops.len()).rev() {
            let (op, later) = (&self.ops[at], &self.ops[at + 1..]);
            let certain = later
                .iter()
                .filter(|op| !op.is_pending())
                .map(|op| &op.change);
            if op.is_pending() && op.change.is_overtaken(certain) {
                self.ops.remove(at);
            }
        }
        let certain = self.ops.iter().take_while(|op| !op.is_pending()).count();
        for op in self.ops.drain(..certain) {
            op.change.apply(Arc::make_mut(&mut self.durable));
        }
    }
}

impl<C: Change + Clone> Clone for Cached<C> {
    fn clone(&self) -> Self {
        Self {
            durable: Arc::clone(&self.durable),
            current: Arc::clone(&self.current),
            ops: self.ops.clone(),
        }
    }
}

/// A change of a file.
#[derive(Clone)]
pub(super) enum FileChange {
    /// `grows`: it reached past the end when it was made.
    Write {
        offset: usize,
        bytes: Arc<[u8]>,
        grows: bool,
    },
    SetLen(usize),
}

impl Change for FileChange {
    type Target = Image;

    fn apply(&self, image: &mut Image) {
        match self {
            Self::Write { offset, bytes, .. } => image.write(bytes, *offset),
            Self::SetLen(len) => image.set_len(*len),
        }
    }

    fn is_overtaken<'a>(&'a self, mut later: impl Iterator<Item = &'a Self>) -> bool {
        match self {
            Self::SetLen(len) => {
                later.any(|change| matches!(change, Self::SetLen(later) if later <= len))
            }
            Self::Write { offset, bytes, .. } => {
                let whole = *offset..offset + bytes.len();
                let left = later.fold(Vec::from([whole]), |left, change| {
                    let covered = change.covered();
                    left.iter()
                        .flat_map(|range| without(range, &covered))
                        .collect()
                });
                left.is_empty()
            }
        }
    }
}

impl FileChange {
    /// The bytes that after this change no longer depend on what was there.
    fn covered(&self) -> Range<usize> {
        match self {
            Self::Write { offset, bytes, .. } => *offset..offset + bytes.len(),
            Self::SetLen(len) => *len..usize::MAX,
        }
    }
}

/// The parts of `range` before and after `covered`.
fn without(range: &Range<usize>, covered: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let before = range.start..range.end.min(covered.start);
    let after = range.start.max(covered.end)..range.end;
    [before, after].into_iter().filter(|part| !part.is_empty())
}

impl fmt::Debug for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { offset, bytes, .. } => {
                write!(f, "Write({offset}..{})", offset + bytes.len())
            }
            Self::SetLen(len) => write!(f, "SetLen({len})"),
        }
    }
}

/// The names of the directory, and the inode of each.
pub(super) type Names = BTreeMap<Arc<str>, u64>;

/// A change of names: one is removed, one is added, or both at once.
#[derive(Debug, Clone)]
pub(super) struct NameChange {
    pub(super) gone: Option<Arc<str>>,
    pub(super) made: Option<(Arc<str>, u64)>,
}

impl NameChange {
    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.gone
            .iter()
            .chain(self.made.iter().map(|(name, _)| name))
    }
}

impl Change for NameChange {
    type Target = Names;

    fn apply(&self, names: &mut Names) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((name, inode)) = &self.made {
            names.insert(Arc::clone(name), *inode);
        }
    }

    fn is_overtaken<'a>(&'a self, later: impl Iterator<Item = &'a Self>) -> bool {
        let set: Vec<_> = later.flat_map(Self::names).collect();
        self.names().all(|name| set.contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::rng::Rng;
    use super::*;

    /// All that `ops` can leave of nothing, whichever of the pending ones survive.
    fn outcomes<C: Change, K: Ord>(
        start: &C::Target,
        ops: &[Op<C>],
        key: impl Fn(&C::Target) -> K,
    ) -> BTreeSet<K> {
        let pending = ops.iter().filter(|op| op.is_pending()).count();
        let outcome = |mask: u32| {
            let (mut target, mut bit) = (start.clone(), 0);
            for op in ops {
                let survives = !op.is_pending() || (mask >> bit) & 1 == 1;
                bit += u32::from(op.is_pending());
                if survives {
                    op.change.apply(&mut target);
                }
            }
            key(&target)
        };
        (0..1 << pending).map(outcome).collect()
    }

    /// Compares folding as syncs come with remembering every change for good.
    fn fold_like_a_full_history<C: Change + Clone, K: Ord + std::fmt::Debug>(
        seed: u64,
        random: impl Fn(&mut Rng) -> C,
        key: impl Fn(&C::Target) -> K + Copy,
    ) where
        C::Target: Default,
    {
        let mut rng = Rng::new(seed);
        let mut cached = Cached::at_rest(Arc::new(C::Target::default()));
        let mut history: Vec<Op<C>> = Vec::new();
        for time in 0..14 {
            let settle = |history: &mut Vec<Op<C>>, standing| {
                for op in history
                    .iter_mut()
                    .filter(|op| op.standing == Standing::Dirty)
                {
                    op.standing = standing;
                }
            };
            match rng.below(8) {
                0 | 1 => {
                    cached.sync();
                    settle(&mut history, Standing::Durable);
                }
                2 => {
                    cached.fail_sync();
                    settle(&mut history, Standing::Lost);
                }
                kind => {
                    let change = random(&mut rng);
                    let standing = if kind == 3 {
                        Standing::Durable
                    } else {
                        Standing::Dirty
                    };
                    history.push(Op {
                        time,
                        standing,
                        change: change.clone(),
                    });
                    if standing == Standing::Durable {
                        cached.change_durably(time, change);
                    } else {
                        cached.change(time, change);
                    }
                }
            }
            let expected = outcomes::<C, K>(&C::Target::default(), &history, key);
            assert_eq!(
                outcomes::<C, K>(&cached.durable, &cached.ops, key),
                expected,
                "seed {seed}"
            );
            let mut current = C::Target::default();
            for op in &history {
                op.change.apply(&mut current);
            }
            assert_eq!(key(&cached.current), key(&current), "seed {seed}");
        }
    }

    #[test]
    fn folding_a_file_changes_nothing_that_a_crash_can_leave() {
        let random = |rng: &mut Rng| {
            let offset = usize::try_from(rng.below(6)).unwrap();
            if rng.below(3) == 0 {
                return FileChange::SetLen(offset);
            }
            let len = usize::try_from(1 + rng.below(4)).unwrap();
            let bytes = vec![rng.next().to_be_bytes()[0]; len];
            FileChange::Write {
                offset,
                bytes: Arc::from(bytes),
                grows: false,
            }
        };
        for seed in 0..500 {
            fold_like_a_full_history(seed, random, Image::to_vec);
        }
    }

    #[test]
    fn folding_names_changes_nothing_that_a_crash_can_leave() {
        let name =
            |rng: &mut Rng| Arc::from(["a", "b", "c"][usize::try_from(rng.below(3)).unwrap()]);
        let random = |rng: &mut Rng| {
            let gone = (rng.below(2) == 0).then(|| name(rng));
            let makes = gone.is_none() || rng.below(2) == 0;
            NameChange {
                gone,
                made: makes.then(|| (name(rng), rng.next())),
            }
        };
        for seed in 0..500 {
            fold_like_a_full_history(seed, random, Names::clone);
        }
    }
}
