//! Real records over 32 connections into a server that is killed repeatedly, and read back.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use proglog_api::json;
use support::{NEVER, Program};
use tempfile::TempDir;

const CONNECTIONS: usize = 32;
/// The number of times that the server is killed under load.
const KILLS: usize = 3;

type Value = bytes::Bytes;

/// Real records: those of `../shared/data` beside the workspace, or else the sample in it.
fn records() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::fs::read_dir(root.join("../shared/data"));
    let entries = shared.into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "ndjson")
    });
    if files.is_empty() {
        files.push(root.join("examples/data/earthquakes-sample.ndjson"));
    }
    let texts = files
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.map(Value::from).collect()
}

/// A connection to the server. Its errors are those of the connection.
struct Connection {
    agent: ureq::Agent,
    url: String,
}

impl Connection {
    fn new(program: &Program) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None);
        let agent = config.timeout_global(Some(NEVER)).build().into();
        let url = format!("http://{}/", program.address);
        Self { agent, url }
    }

    fn append(&self, record: Value) -> Result<u64, ureq::Error> {
        let request = serde_json::to_vec(&json::ProduceRequest { record }).unwrap();
        let mut response = self.agent.post(&self.url).send(&request)?;
        let body = response.body_mut().read_to_vec()?;
        assert_eq!(response.status(), 200, "{}", String::from_utf8_lossy(&body));
        let response: json::ProduceResponse = serde_json::from_slice(&body).unwrap();
        Ok(response.offset)
    }

    /// Reads a record; `None` if there is none yet.
    fn read(&self, offset: u64) -> Result<Option<Value>, ureq::Error> {
        let request = format!(r#"{{"offset":{offset}}}"#);
        let get = self.agent.get(&self.url).force_send_body();
        let mut response = get.send(&request)?;
        let body = response
            .body_mut()
            .with_config()
            .limit(2 << 20)
            .read_to_vec()?;
        if response.status() == 404 {
            return Ok(None);
        }
        assert_eq!(response.status(), 200, "{}", String::from_utf8_lossy(&body));
        let response: json::ConsumeResponse = serde_json::from_slice(&body).unwrap();
        Ok(Some(response.record))
    }
}

/// The clients' knowledge over all lives of the server.
#[derive(Default)]
struct Known {
    /// The values of offsets that were acknowledged or read.
    values: BTreeMap<u64, Value>,
    /// The offsets of acknowledged appends.
    acknowledged: HashSet<u64>,
    /// Records whose append got no response in this life of the server.
    unanswered: Vec<Value>,
    /// Such records of earlier lives, which were appended again.
    in_doubt: Vec<Value>,
}

impl Known {
    fn learn(&mut self, offset: u64, value: &Value) {
        let known = self.values.entry(offset).or_insert_with(|| value.clone());
        assert_eq!(known, value, "offset {offset} has two values");
    }
}

/// Appends the `pending` records until none is left or the server is gone. Kills the server once
/// `kill_at` records are acknowledged.
fn load(
    program: &mut Program,
    pending: &Mutex<VecDeque<Value>>,
    known: &Mutex<Known>,
    kill_at: usize,
) {
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| Connection::new(program)).collect();
    let program = Mutex::new(program);
    let work = |connection: Connection| {
        loop {
            let Some(record) = pending.lock().unwrap().pop_front() else {
                return;
            };
            let Ok(offset) = connection.append(record.clone()) else {
                known.lock().unwrap().unanswered.push(record);
                return;
            };
            let acknowledged = {
                let mut known = known.lock().unwrap();
                known.learn(offset, &record);
                assert!(
                    known.acknowledged.insert(offset),
                    "offset {offset} was assigned twice"
                );
                known.acknowledged.len()
            };
            if acknowledged == kill_at {
                program.lock().unwrap().kill();
            }
            // A record of another client, perhaps before its append is acknowledged.
            if let Ok(Some(value)) = connection.read(offset + 1) {
                known.lock().unwrap().learn(offset + 1, &value);
            }
        }
    };
    thread::scope(|scope| {
        for connection in connections {
            scope.spawn(|| work(connection));
        }
    });
}

/// All records in order.
fn read_all(program: &Program) -> Vec<Value> {
    let connection = Connection::new(program);
    let read = |offset| connection.read(offset).unwrap();
    (0..).map_while(read).collect()
}

fn count(values: impl IntoIterator<Item = Value>) -> HashMap<Value, usize> {
    let mut counts = HashMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

fn nothing_acknowledged_is_lost(durability: &str) {
    let data = TempDir::new().unwrap();
    let records = records();
    let known = Mutex::new(Known::default());
    let pending = Mutex::new(VecDeque::from(records.clone()));
    // Small segments, so that some kills hit a roll.
    let arguments = ["--durability", durability, "--segment-bytes", "65536"];
    let start = || Program::start(Program::command(data.path(), &arguments));
    for life in 1..=KILLS {
        let mut program = start();
        load(
            &mut program,
            &pending,
            &known,
            records.len() * life / (KILLS + 1),
        );
        assert_ne!(program.child.try_wait().unwrap(), None, "it was not killed");
        // Clients retry appends that got no response.
        let mut known = known.lock().unwrap();
        let Known {
            unanswered,
            in_doubt,
            ..
        } = &mut *known;
        pending.lock().unwrap().extend(unanswered.iter().cloned());
        in_doubt.append(unanswered);
    }
    let mut program = start();
    load(&mut program, &pending, &known, usize::MAX);
    let known = known.into_inner().unwrap();
    assert_eq!(
        (known.acknowledged.len(), &known.unanswered),
        (records.len(), &vec![])
    );
    let stored = read_all(&program);
    program.kill();
    assert_eq!(read_all(&start()), stored);

    for (offset, value) in &known.values {
        let stored = stored.get(usize::try_from(*offset).unwrap());
        assert_eq!(stored, Some(value), "offset {offset}");
    }
    // Each record is stored once, or more often if an append of it got no response.
    let allowed = count(records.iter().chain(&known.in_doubt).cloned());
    for (value, stored) in count(stored.iter().cloned()) {
        assert!(
            allowed
                .get(&value)
                .is_some_and(|allowed| stored <= *allowed),
            "{value:?}"
        );
    }
    assert!(stored.len() >= records.len());
    let extra = stored.len() - records.len();
    println!(
        "{durability}: {} records, {extra} stored but not answered",
        records.len()
    );
}

#[test]
fn nothing_acknowledged_is_lost_when_appends_are_synced() {
    nothing_acknowledged_is_lost("synced");
}

#[test]
fn nothing_acknowledged_is_lost_when_appends_are_synced_at_intervals() {
    nothing_acknowledged_is_lost("interval");
}
