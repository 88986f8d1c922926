//! A device that is filled and emptied again under an open log, on a file system that writes nothing in place.

use fastrand::Rng;

use super::full_disk::{Room, fill};
use super::row::Row;
use crate::job::Job;
use crate::system::Need;
use crate::system::disk::{Disk, Kind};

pub(super) const ROW: Row = Row {
    number: 23,
    name: "copy-on-write",
    figure: "btrfs, of two kinds, filled under an open log of many segments or one, then trimmed (or, with mixed block \
             groups, emptied by others): a record lost, an append that does not work again without a restart",
    tried_min: 8,
    controls: &[
        (
            "reserve-not-given-up",
            &["no append works", "No space left"],
        ),
        ("remains-poison", &["Poisoned"]),
    ],
    needs: &[Need::Disk(Kind::Btrfs), Need::Disk(Kind::MixedBtrfs)],
    run,
};

fn run(job: &Job) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(job.seed);
    let mut logs = Vec::new();
    for kind in [Kind::Btrfs, Kind::MixedBtrfs] {
        for segment in [rng.u64(64 << 10..256 << 10), 64 << 20] {
            let room = match kind {
                // A new segment alone takes some MiB where its name is in the same room.
                Kind::MixedBtrfs => Room::Shared(rng.usize(4 << 10..5 << 10) << 10),
                _ => Room::Left(rng.usize(512..1 << 10) << 10),
            };
            logs.push((kind, room, segment, rng.u64(..)));
        }
    }
    job.try_each(&logs, |(kind, room, segment, seed)| {
        let disk = Disk::new(*kind, kind.len_min())?;
        Ok(fill(&disk, *room, *segment, &mut Rng::with_seed(*seed)))
    })
}
