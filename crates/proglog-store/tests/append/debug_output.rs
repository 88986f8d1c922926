//! `Debug` output shows positions, and no payload.

use proglog_store::Position;

use super::open;

#[test]
fn debug_output_of_a_store_and_its_frames_shows_positions_and_no_payload() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.append(b"secret").unwrap();
    let mut frames = store.frames(..);
    let place = "position: Position(0)";
    let frame = frames.next().unwrap().unwrap();
    let rest = "end: Position(14), ends_batch: true, payload_len: 6 }";
    assert_eq!(format!("{frame:?}"), format!("Frame {{ {place}, {rest}"));
    let printed = format!("{frames:?}");
    assert_eq!(
        printed,
        "Frames { position: Position(14), failed: false, .. }"
    );
    assert_eq!(frames.position(), frame.end);
    let mut frames = store.frames(..);
    let lent = frames.next_ref().unwrap().unwrap();
    assert_eq!(format!("{lent:?}"), format!("FrameRef {{ {place}, {rest}"));
    let printed = format!("{store:?}");
    assert!(
        printed.starts_with("Store { file: \"a.store\", written: "),
        "{printed}"
    );
    assert!(!printed.contains("secret"), "{printed}");
    assert_eq!(Position::new(14).to_string(), "14");
}
