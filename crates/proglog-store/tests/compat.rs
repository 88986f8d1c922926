//! Stores written by earlier versions open, and have the same contents.
//!
//! The files of format version 1 lie in `tests/data/v1`. `PROGLOG_REGENERATE=1 cargo test -p proglog-store
//! --test compat` rewrites them, which is right only before a version is released.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use proglog_store::testing::{SimDisk, Survivors};
use proglog_store::{Store, StoreOptions};

const NAMES: [&str; 2] = ["closed.store", "killed.store"];

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v1")
}

/// The payloads, batch by batch.
fn batches() -> Vec<Vec<Vec<u8>>> {
    vec![
        vec![b"first".to_vec()],
        vec![b"one".to_vec(), Vec::new(), b"three".to_vec()],
        vec![vec![0xff; 300]],
        vec![b"last".to_vec(), b"and all".to_vec()],
    ]
}

fn regenerate() {
    let disk = SimDisk::new();
    let options = StoreOptions::new().label(b"compat").payload_len_max(1000);
    let store = Store::open_in(&*disk.directory(), "a", &options).unwrap();
    for batch in batches() {
        let payloads = batch.iter().map(Vec::as_slice).collect::<Vec<_>>();
        store.append_batch(&payloads).unwrap();
        store.sync().unwrap();
    }
    let killed = disk.crash(Survivors::KeepAll);
    store.close().unwrap();
    std::fs::create_dir_all(data()).unwrap();
    std::fs::write(data().join(NAMES[0]), disk.read_file("a")).unwrap();
    std::fs::write(data().join(NAMES[1]), killed.read_file("a")).unwrap();
}

#[test]
fn stores_of_version_1_open_and_hold_what_they_held() {
    if std::env::var_os("PROGLOG_REGENERATE").is_some() {
        regenerate();
    }
    for name in NAMES {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.store");
        std::fs::copy(data().join(name), &path).unwrap();
        let mut expected = batches().concat();
        for round in 0..2 {
            let store = Store::open(&path, &StoreOptions::new()).unwrap();
            let recovery = store.recovery();
            assert_eq!(recovery.clean, round > 0 || name == "closed.store");
            assert_eq!((&recovery.set_aside, recovery.damaged), (&None, None));
            assert!(!recovery.header_restored);
            assert_eq!(
                (store.label(), store.payload_len_max()),
                (&b"compat"[..], 1000)
            );
            let frames = store.frames(..).map(Result::unwrap).collect::<Vec<_>>();
            assert!(frames.iter().map(|frame| &frame.payload[..]).eq(&expected));
            let ends = frames.iter().map(|frame| frame.ends_batch);
            assert_eq!(
                ends.take(7).collect::<Vec<_>>(),
                [true, false, false, true, true, false, true]
            );
            store.append(b"new").unwrap();
            expected.push(b"new".to_vec());
            store.close().unwrap();
        }
    }
}
