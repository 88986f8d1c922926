//! Forks of a process that has a log open.

use super::row::Row;
use crate::job::Job;
use crate::system::forking::{self, DURABILITIES};
use crate::system::quick_folder;

pub(super) const ROW: Row = Row {
    number: 22,
    name: "forks",
    figure: "processes that are forked while a log is open: one that writes to, closes or unlocks the log of its \
             parent, or that has no callbacks or no syncs in the background for a log of its own; a record of the parent lost",
    tried_min: 6,
    controls: &[
        ("child-writes", &["writes to the log of its parent"]),
        ("threads-inherited", &["no callback"]),
    ],
    needs: &[],
    run,
};

fn run(job: &Job) -> anyhow::Result<()> {
    for _ in 0..job.size(2, 100) {
        for (number, durability) in DURABILITIES.iter().enumerate() {
            if job.is_over() {
                return Ok(());
            }
            let folder = quick_folder()?;
            let forked = forking::run(folder.path(), number)?;
            job.one(|| forked.map_or(Ok(1), |finding| Err(format!("{durability:?}: {finding}"))));
        }
    }
    Ok(())
}
