//! What was asked of a log and what it answered or showed, over all its lives; and so what it must
//! show ever after.

use proglog_log::{Batch, Durability, Error, ErrorKind, Log, Outcome, Record};

/// What a log did that it must never do.
pub(crate) type Violation = String;
pub(crate) type Checked<T = ()> = Result<T, Violation>;

/// How one life of a log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The process died, the machine lived.
    Kill,
    /// The power failed.
    PowerCut,
}

/// How many records a batch has, and how long the values are at least.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) records: usize,
    pub(crate) len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The log has not said yet what became of it.
    Open,
    /// It was acknowledged, or was found when the log was opened.
    Kept,
    /// It failed, and may be stored all the same.
    Unknown,
    /// It failed and is not stored, or was not found when the log was opened: it must never appear.
    Gone,
}

/// A batch that was asked to be appended. Its records' values name it.
#[derive(Debug, Clone, Copy)]
struct Asked {
    shape: Shape,
    /// The offset of its first record, once the log has told it.
    first: Option<u64>,
    state: State,
}

/// A record's batch, and its number there.
type Name = (usize, usize);

#[derive(Debug, Clone)]
pub(crate) struct History {
    durability: Durability,
    batches: Vec<Asked>,
    /// What somebody saw at each offset, by an acknowledgement or by reading.
    seen: Vec<Option<Name>>,
    /// The end of what was read in this life.
    read_end: u64,
    /// Below this offset all must be there after a kill.
    kept: u64,
    /// Below this offset all must be there after a power cut.
    durable: u64,
}

impl History {
    pub(crate) fn new(durability: Durability) -> Self {
        Self {
            durability,
            batches: Vec::new(),
            seen: Vec::new(),
            read_end: 0,
            kept: 0,
            durable: 0,
        }
    }

    /// A batch that was never asked for before; returns its number too.
    pub(crate) fn ask(&mut self, shape: Shape) -> (usize, Batch) {
        let number = self.batches.len();
        self.batches.push(Asked {
            shape,
            first: None,
            state: State::Open,
        });
        let batch = (0..shape.records).map(|index| Record::new(value((number, index), shape)));
        (number, batch.collect())
    }

    /// The log gave the batch its offsets.
    pub(crate) fn accepted(&mut self, number: usize, first: u64) -> Checked {
        let end = self.seen.len() as u64;
        if first < end {
            return Err(format!(
                "offset {first} is given again, what is below {end} was seen"
            ));
        }
        self.batches[number].first = Some(first);
        Ok(())
    }

    /// The log says that the batch is as durable as it promises.
    pub(crate) fn acknowledged(&mut self, number: usize) -> Checked {
        let Asked { shape, first, .. } = self.batches[number];
        let first = first.ok_or("a batch is acknowledged without offsets")?;
        self.batches[number].state = State::Kept;
        for index in 0..shape.records {
            self.note_seen(first + index as u64, (number, index))?;
        }
        self.note_visible(first + shape.records as u64);
        Ok(())
    }

    /// The log says that the batch failed.
    pub(crate) fn failed(&mut self, number: usize, outcome: Outcome) -> Checked {
        let state = match outcome {
            Outcome::NotAppended => State::Gone,
            Outcome::Unknown => State::Unknown,
        };
        if state == State::Gone && self.seen.iter().flatten().any(|name| name.0 == number) {
            return Err(format!(
                "batch {number} was seen, and is said to be nowhere"
            ));
        }
        self.batches[number].state = state;
        Ok(())
    }

    /// The log says that all it accepted is on the device.
    pub(crate) fn synced(&mut self) -> Checked {
        for number in 0..self.batches.len() {
            let Asked {
                shape,
                first,
                state,
            } = self.batches[number];
            let (Some(first), State::Open | State::Kept) = (first, state) else {
                continue;
            };
            self.acknowledged(number)?;
            self.on_device_below(first + shape.records as u64);
        }
        Ok(())
    }

    /// All below `end` is known to be on the device.
    pub(crate) fn on_device_below(&mut self, end: u64) {
        self.durable = self.durable.max(end);
        self.kept = self.kept.max(end);
    }

    /// Notes what readers of the open log see.
    pub(crate) fn observe(&mut self, log: &Log) -> Checked {
        let end = log.end_offset().get();
        let mut names = Vec::new();
        for offset in self.read_end..end {
            let record = read(log, offset)?;
            names.push(self.identify(offset, &record)?);
        }
        self.check_whole(&names)?;
        for (offset, name) in (self.read_end..).zip(names) {
            self.note_seen(offset, name)?;
        }
        self.read_end = end;
        self.note_visible(end);
        Ok(())
    }

    /// Checks all that the log shows, which was opened after its last life ended like `end`.
    pub(crate) fn reopened(&mut self, log: &Log, end: End) -> Checked {
        let records = records(log)?;
        let must = match end {
            End::Kill => self.kept,
            End::PowerCut => self.durable,
        };
        let shown = records.len() as u64;
        if shown < must {
            return Err(format!("records {shown}..{must} are lost"));
        }
        let names = (0..)
            .zip(&records)
            .map(|(offset, record)| self.identify(offset, record))
            .collect::<Checked<Vec<_>>>()?;
        self.check_whole(&names)?;
        for (offset, name) in (0..).zip(&names) {
            self.note_seen(offset, *name)?;
        }
        self.start_life(&names);
        Ok(())
    }

    /// What was found is all there is: the rest must not come back.
    fn start_life(&mut self, names: &[Name]) {
        for asked in &mut self.batches {
            asked.state = State::Gone;
        }
        for (offset, name) in (0..).zip(names) {
            let asked = &mut self.batches[name.0];
            asked.state = State::Kept;
            asked.first.get_or_insert(offset - name.1 as u64);
        }
        self.seen = names.iter().copied().map(Some).collect();
        self.read_end = names.len() as u64;
        (self.kept, self.durable) = (self.read_end, self.read_end);
    }

    /// Finds out which record this is, and whether it may be there.
    fn identify(&self, offset: u64, record: &Record) -> Checked<Name> {
        let name = parse(&record.value)
            .filter(|name| self.batches.len() > name.0)
            .ok_or_else(|| format!("offset {offset} holds what nobody appended: {record:?}"))?;
        let asked = &self.batches[name.0];
        if record.value[..] != value(name, asked.shape)[..] {
            return Err(format!("offset {offset} holds {name:?} with wrong bytes"));
        }
        if record.offset != offset
            || asked
                .first
                .is_some_and(|first| first + name.1 as u64 != offset)
        {
            return Err(format!(
                "offset {offset} holds the record {name:?} of {asked:?}"
            ));
        }
        if asked.state == State::Gone {
            return Err(format!(
                "offset {offset} holds {name:?}, which must not come back"
            ));
        }
        Ok(name)
    }

    /// Batches must be there wholly or not at all.
    fn check_whole(&self, names: &[Name]) -> Checked {
        let mut expected = None;
        for name in names {
            if *name != expected.unwrap_or((name.0, 0)) {
                return Err(format!("{name:?} stands where {expected:?} belongs"));
            }
            let more = name.1 + 1 < self.batches[name.0].shape.records;
            expected = more.then_some((name.0, name.1 + 1));
        }
        expected.map_or(Ok(()), |missing| {
            Err(format!("the batch ends before {missing:?}"))
        })
    }

    fn note_seen(&mut self, offset: u64, name: Name) -> Checked {
        let at = usize::try_from(offset).map_err(|error| error.to_string())?;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, None);
        }
        let before = *self.seen[at].get_or_insert(name);
        if before != name {
            return Err(format!("offset {offset} held {before:?} and now {name:?}"));
        }
        Ok(())
    }

    /// What was acknowledged or shown, all below `end`, is there for as long as the log promises.
    fn note_visible(&mut self, end: u64) {
        match self.durability {
            Durability::Synced => self.on_device_below(end),
            Durability::Interval(_) => self.kept = self.kept.max(end),
            _ => {}
        }
    }
}

/// All that the log shows, as iteration and as single reads show it.
fn records(log: &Log) -> Checked<Vec<Record>> {
    let (start, end) = (log.start_offset().get(), log.end_offset().get());
    if start != 0 {
        return Err(format!("the log starts at {start}"));
    }
    let records = twice(|| log.records(0).collect::<Result<Vec<_>, _>>())
        .map_err(|error| format!("a walk fails: {error:?}"))?;
    for (offset, record) in (0..).zip(&records) {
        if *record != read(log, offset)? {
            return Err(format!("at {offset} a walk and a read differ"));
        }
    }
    if records.len() as u64 != end || log.recovery().records != (0.into()..end.into()) {
        return Err(format!("{} records are below the end {end}", records.len()));
    }
    Ok(records)
}

fn read(log: &Log, offset: u64) -> Checked<Record> {
    twice(|| log.read(offset)).map_err(|error| format!("offset {offset} cannot be read: {error:?}"))
}

/// A call that fails, fails once. It may be a read instead of the write that was meant, where other
/// tests have made the process's caches forget a file.
fn twice<T>(read: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    match read() {
        Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::DiskFull) => read(),
        read => read,
    }
}

/// The value of a record: no two are equal.
fn value(name: Name, shape: Shape) -> Vec<u8> {
    let mut value = format!("{:06}.{:04}.", name.0, name.1).into_bytes();
    let fill = b'a' + u8::try_from((name.0 * 7 + name.1) % 26).unwrap_or_default();
    value.resize(value.len().max(shape.len + name.1 % 5), fill);
    value
}

fn parse(value: &[u8]) -> Option<Name> {
    let text = std::str::from_utf8(value.get(..11)?).ok()?;
    let (batch, index) = text.split_once('.')?;
    Some((batch.parse().ok()?, index.parse().ok()?))
}
