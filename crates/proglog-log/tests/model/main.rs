//! Model test: after any sequence of operations a log equals a plain `Vec` of records. It runs on the operating
//! system's files, on the simulated disk, where the process is killed too, and in memory.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod keepers;
mod ops;
mod reading;
mod state;

use std::time::Duration;

use proglog_log::{Durability, MemoryLog};
use proglog_store::testing::SimDisk;
use proptest::prelude::*;

use keepers::Keeper;
use ops::{Op, ops};
use state::Model;

fn run(keeper: &mut dyn Keeper, durability: Durability, segment_bytes: u64, ops: Vec<Op>) {
    let mut model = Model::new(keeper, durability, segment_bytes);
    for op in ops {
        model.apply(op);
    }
    model.check_all();
    model.reopen();
    model.check_all();
    model.log.close().unwrap();
}

fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![
        Just(Durability::Synced),
        Just(Durability::Interval(Duration::from_millis(1))),
        Just(Durability::INTERVAL),
        Just(Durability::Buffered),
    ]
}

fn segment_bytes() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1 << 10), Just(8 << 10), Just(64 << 20)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_log_on_a_simulated_disk_is_a_vec_that_kills_cannot_shorten(
        durability in durability(), segment_bytes in segment_bytes(), ops in ops(),
    ) {
        run(&mut SimDisk::new(), durability, segment_bytes, ops);
    }

    #[test]
    fn a_log_in_memory_is_a_vec(ops in ops()) {
        run(&mut MemoryLog::new(), Durability::Buffered, 1 << 10, ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_log_on_the_operating_systems_files_is_a_vec(
        durability in durability(), segment_bytes in segment_bytes(), ops in ops(),
    ) {
        run(&mut tempfile::tempdir().unwrap(), durability, segment_bytes, ops);
    }
}
