//! A store by itself: an append-only file of checksummed frames, read by position.
//!
//! ```text
//! $ cargo run -p examples --example bare_store
//! "one" takes 11 bytes at position 0
//! "two" takes 11 bytes at position 11
//! "three" takes 13 bytes at position 22
//! after reopening: 3 frames, of which the one at 11 is b"two"
//! a flipped bit is an error: checksum mismatch at 11: expected 0x27703c25, got 0x8231ae5b
//! ```

use std::error::Error;
use std::fs;

use proglog_store::{ErrorKind, Store, StoreOptions};

/// The length of a store's header, which precedes its frames.
const HEADER_LEN: usize = 8192;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("words.store");

    let store = Store::open(&path, &StoreOptions::new())?;
    let mut positions = Vec::new();
    for word in ["one", "two", "three"] {
        let appended = store.append(word.as_bytes())?;
        let (bytes, position) = (appended.bytes_written, appended.position);
        println!("{word:?} takes {bytes} bytes at position {position}");
        assert_eq!(store.read(position)?, word, "a read sees an append at once");
        positions.push(position);
    }
    store.close()?;

    let store = Store::open(&path, &StoreOptions::new())?;
    assert!(store.recovery().clean);
    let frames = store.frames(..).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(frames[2].payload, "three");
    let second = store.read(positions[1])?;
    let count = frames.len();
    println!(
        "after reopening: {count} frames, of which the one at {} is {second:?}",
        positions[1]
    );
    store.close()?;

    let mut bytes = fs::read(&path)?;
    let payload_at = HEADER_LEN + usize::try_from(positions[1].get())? + 8;
    bytes[payload_at] ^= 1;
    fs::write(&path, bytes)?;

    let store = Store::open(&path, &StoreOptions::new())?;
    let error = store.read(positions[1]).expect_err("it is damaged");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(store.read(positions[2])?, "three", "its neighbour is not");
    println!("a flipped bit is an error: {error}");
    Ok(())
}
