//! Random changes of cursors, stopped at each call to the disk, and compared with a table in memory.

use std::collections::BTreeMap;

use fastrand::Rng;
use proglog_store::testing::{Fault, When};

use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The cursors of a log by their names.
type Cursors = BTreeMap<String, Cursor>;

/// The cursors as they were acknowledged, and what a change that was not may have made of them.
#[derive(Clone, Default)]
struct Model {
    now: Cursors,
    next: Option<Cursors>,
}

impl Model {
    /// Does a change, which makes `changed` of the cursors.
    fn change<T>(&mut self, changed: Cursors, change: impl FnOnce() -> Result<T>) -> Result<T> {
        self.next = Some(changed);
        let result = change()?;
        self.now = self.next.take().unwrap_or_default();
        Ok(result)
    }

    fn put(&self, text: &str, cursor: Option<Cursor>) -> Cursors {
        let mut changed = self.now.clone();
        match cursor {
            Some(cursor) => changed.insert(text.to_owned(), cursor),
            None => changed.remove(text),
        };
        changed
    }
}

fn listed(cursors: &CursorLog) -> Cursors {
    let cursors = cursors.list(id(1), None, 100);
    cursors
        .into_iter()
        .map(|cursor| (cursor.name.to_string(), cursor))
        .collect()
}

/// Compares all but the times.
fn is_same(left: &Cursors, right: &Cursors) -> bool {
    let facts = |cursors: &Cursors| {
        let cursors = cursors.values();
        let facts = cursors.map(|cursor| {
            (
                cursor.name.clone(),
                cursor.next_offset,
                cursor.metadata.clone(),
            )
        });
        facts.collect::<Vec<_>>()
    };
    facts(left) == facts(right)
}

fn try_open(disk: &SimDisk) -> Result<(Log, CursorLog)> {
    let log = Log::open_in(disk.directory(), &options().segment_bytes_max(2048))?;
    let cursors = CursorLog::open(Arc::new(log.clone()))?;
    Ok((log, cursors))
}

/// What a change makes of a cursor.
fn set_by(set: &SetCursor, text: &str) -> Cursor {
    Cursor {
        name: name(text),
        next_offset: set.next_offset,
        version: 0,
        updated_at: SystemTime::UNIX_EPOCH,
        metadata: set.metadata.clone(),
    }
}

fn run(disk: &SimDisk, seed: u64, model: &mut Model) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let (mut log, mut cursors) = try_open(disk)?;
    for _ in 0..25 {
        let text = rng.choice(NAMES).unwrap();
        let current = model.now.get(text).cloned();
        let at = SetCursor::new(rng.u64(..100)).metadata("m".repeat(rng.usize(..100)));
        match rng.u8(..10) {
            0..6 => {
                let set = if rng.bool() { at.forward() } else { at };
                let put = Some(set_by(&set, text)).filter(|put| {
                    let current = current.as_ref().map(|cursor| cursor.next_offset);
                    !set.forward || current <= Some(put.next_offset)
                });
                let changed = model.put(text, put.or(current));
                model.change(changed, || {
                    done(cursors.set(id(1), &name(text), &set, end_100, Wait::ForDevice))
                })?;
            }
            6 => {
                let changed = model.put(text, None);
                model.change(changed, || {
                    match done(cursors.delete(id(1), &name(text), Expect::Any, Wait::ForDevice)) {
                        Err(Error::CursorNotFound) => Ok(None),
                        deleted => deleted,
                    }
                })?;
            }
            7 => {
                let end = at.next_offset;
                let mut changed = model.now.clone();
                for cursor in changed.values_mut() {
                    cursor.next_offset = cursor.next_offset.min(end);
                }
                model.change(changed, || cursors.set_back(id(1), end))?;
            }
            8 => cursors.compact()?,
            _ => {
                log.close()?;
                (log, cursors) = try_open(disk)?;
            }
        }
        cursors.catch_up(Wait::ForDevice)?;
        assert!(is_same(&listed(&cursors), &model.now));
    }
    Ok(())
}

#[test]
fn cursors_are_as_acknowledged_wherever_the_process_was_stopped() {
    let mut stops = 0;
    for seed in 0..6 {
        let disk = SimDisk::new();
        disk.count_only_changes();
        run(&disk, seed, &mut Model::default()).unwrap();
        for call in 0..disk.calls() {
            let (disk, mut model) = (SimDisk::new(), Model::default());
            disk.count_only_changes();
            disk.inject(When::Call(call), Fault::crash().after_writing(usize::MAX));
            let stopped = run(&disk, seed, &mut model);
            assert!(stopped.is_err() || disk.has_crashed());
            for survivors in [
                Survivors::KeepAll,
                Survivors::LoseAll,
                Survivors::Seeded(call),
            ] {
                let disk = disk.crash(survivors);
                let (_, cursors) = try_open(&disk).unwrap();
                let found = listed(&cursors);
                let is_next = model
                    .next
                    .as_ref()
                    .is_some_and(|next| is_same(&found, next));
                assert!(
                    is_same(&found, &model.now) || is_next,
                    "seed {seed}, call {call}, {survivors:?}: {found:?} instead of {:?}",
                    model.now
                );
                // What was found stays, and a compaction that was interrupted can be made again.
                cursors.compact().unwrap();
                let (one, last) = (SetCursor::new(1), name("d"));
                done(cursors.set(id(1), &last, &one, end_100, Wait::ForDevice)).unwrap();
                let (_, cursors) = try_open(&disk.crash(Survivors::LoseAll)).unwrap();
                let mut again = listed(&cursors);
                assert!(again.remove("d").is_some());
                assert_eq!(again, found);
                stops += 1;
            }
        }
    }
    assert!(stops > 1500, "{stops}");
}
