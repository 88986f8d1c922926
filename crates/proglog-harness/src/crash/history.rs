//! The history of a log over all its lives: its operations, their results and what readers saw, which it has to agree
//! with from then on.

use std::ops::Range;

use proglog_log::{Batch, Durability, Error, ErrorKind, Log, Outcome, Record, StoredRecord};

/// A violation: something that a log must never do.
pub type Violation = String;
pub type Checked<T = ()> = Result<T, Violation>;

/// The end of one life of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process died, the machine lived.
    Kill,
    /// The power failed.
    PowerCut,
}

/// The number of records of a batch, and the least length of their values.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub records: usize,
    pub len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The log has not said yet what became of it.
    Open,
    /// It was acknowledged, or was found when the log was opened.
    Kept,
    /// It failed, and may be stored all the same.
    Unknown,
    /// It failed and is not stored, was dropped, or was not found when the log was opened: it must
    /// never appear.
    Gone,
}

/// A batch that was asked to be appended. Its records' values name it.
#[derive(Debug, Clone, Copy)]
struct Asked {
    shape: Shape,
    /// The offset of its first record, once it is known.
    first: Option<u64>,
    /// The number of its first records that were not truncated.
    left: usize,
    state: State,
}

/// A log that is to be cut: what is done of it when the log is opened again is all or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The offset that the next record gets.
    pub end: u64,
    /// True if the records before it are dropped, instead of those after it.
    pub is_reset: bool,
}

/// A record's batch, and its number there.
type Name = (usize, usize);

#[derive(Debug, Clone)]
pub struct History {
    durability: Durability,
    batches: Vec<Asked>,
    /// The record at each offset, by an acknowledgement or a read.
    seen: Vec<Option<Name>>,
    /// The start of the log.
    start: u64,
    /// Other possible starts: trims that were requested and not acknowledged.
    starts: Vec<u64>,
    /// A cut that was asked for and not acknowledged.
    cut: Option<Cut>,
    /// The end of what was read in this life.
    read_end: u64,
    /// Below this offset all must be there after a kill.
    kept: u64,
    /// Below this offset all must be there after a power cut.
    durable: u64,
}

impl History {
    pub fn new(durability: Durability) -> Self {
        Self {
            durability,
            batches: Vec::new(),
            seen: Vec::new(),
            start: 0,
            starts: Vec::new(),
            cut: None,
            read_end: 0,
            kept: 0,
            durable: 0,
        }
    }

    /// A batch that was never asked for before; returns its number too.
    pub fn ask(&mut self, shape: Shape) -> (usize, Batch) {
        let number = self.batches.len();
        self.batches.push(Asked {
            shape,
            first: None,
            left: shape.records,
            state: State::Open,
        });
        let batch = (0..shape.records).map(|index| Record::new(value((number, index), shape)));
        (number, batch.collect())
    }

    /// The log gave the batch its offsets.
    pub fn accepted(&mut self, number: usize, first: u64) -> Checked {
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
    pub fn acknowledged(&mut self, number: usize) -> Checked {
        let Asked { left, first, .. } = self.batches[number];
        let first = first.ok_or("a batch is acknowledged without offsets")?;
        if left == 0 {
            // It was dropped meanwhile.
            return Ok(());
        }
        self.batches[number].state = State::Kept;
        for index in 0..left {
            self.note_seen(first + index as u64, (number, index))?;
        }
        self.note_visible(first + left as u64);
        Ok(())
    }

    /// The log says that the batch failed.
    pub fn failed(&mut self, number: usize, outcome: Outcome) -> Checked {
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
    pub fn synced(&mut self) -> Checked {
        for number in 0..self.batches.len() {
            let Asked {
                left, first, state, ..
            } = self.batches[number];
            let (Some(first), State::Open | State::Kept) = (first, state) else {
                continue;
            };
            self.acknowledged(number)?;
            self.on_device_below(first + left as u64);
        }
        Ok(())
    }

    /// All below `end` is known to be on the device.
    pub fn on_device_below(&mut self, end: u64) {
        self.durable = self.durable.max(end);
        self.kept = self.kept.max(end);
    }

    /// Notes what readers of the open log see.
    pub fn observe(&mut self, log: &Log) -> Checked {
        let shown = log.start_offset().get()..log.end_offset().get();
        if self.cut.is_some_and(|cut| cut.is_done(&shown)) {
            // The next opening finishes the truncation.
            return Ok(());
        }
        self.started(shown.start)?;
        let from = self.read_end.max(shown.start);
        // What is to be cut may have lost its files.
        let end = match self.cut {
            Some(cut) if cut.is_reset => from,
            Some(cut) => shown.end.min(cut.end).max(from),
            None => shown.end,
        };
        let mut names = Vec::new();
        for offset in from..end {
            let record = read(log, offset)?;
            names.push(self.identify(offset, &record)?);
        }
        self.check_whole(from, &names)?;
        for (offset, name) in (from..).zip(names) {
            self.note_seen(offset, name)?;
        }
        if let Some(below) = shown.start.checked_sub(1) {
            let read = log.read(below);
            if !matches!(&read, Err(error) if error.kind() == ErrorKind::Trimmed) {
                return Err(format!("{below} is below the start and gives {read:?}"));
            }
        }
        self.read_end = end;
        self.note_visible(end);
        Ok(())
    }

    /// Checks all that the log shows, which was opened after its last life ended like `end`.
    pub fn reopened(&mut self, log: &Log, end: End) -> Checked {
        let shown = log.start_offset().get()..log.end_offset().get();
        if self.cut.is_some_and(|cut| cut.is_done(&shown)) {
            self.was_cut();
        }
        self.started(shown.start)?;
        let must = match end {
            End::Kill => self.kept,
            End::PowerCut => self.durable,
        };
        if shown.end < must {
            return Err(format!("records {}..{must} are lost", shown.end));
        }
        let records = records(log)?;
        let names = (shown.start..)
            .zip(&records)
            .map(|(offset, record)| self.identify(offset, record))
            .collect::<Checked<Vec<_>>>()?;
        self.check_whole(shown.start, &names)?;
        for (offset, name) in (shown.start..).zip(&names) {
            self.note_seen(offset, *name)?;
        }
        self.start_life(shown, &names);
        Ok(())
    }

    /// The records below `start` are asked to be dropped.
    pub fn trimming(&mut self, start: u64) {
        self.starts.push(start);
    }

    /// True if a trim to `start` was requested.
    pub fn may_start(&self, start: u64) -> bool {
        start == self.start || self.starts.contains(&start)
    }

    /// The log starts at `start`, and says that this is durable.
    pub fn started(&mut self, start: u64) -> Checked {
        if !self.may_start(start) {
            let Self {
                start: known,
                starts,
                ..
            } = self;
            return Err(format!(
                "the log starts at {start}, instead of {known} or any of {starts:?}"
            ));
        }
        self.start = start;
        self.starts.retain(|asked| *asked > start);
        self.on_device_below(start);
        Ok(())
    }

    /// The log is asked to be cut.
    pub fn cutting(&mut self, cut: Cut) {
        self.cut = Some(cut);
    }

    /// True if a truncation was requested whose result is unknown.
    pub fn is_being_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Notes the result of the truncation, which an open log shows.
    pub fn failed_to_cut(&mut self, log: &Log) {
        let shown = log.start_offset().get()..log.end_offset().get();
        if self.cut.is_some_and(|cut| cut.is_done(&shown)) {
            self.was_cut();
        }
        self.cut = None;
    }

    /// The cut that was asked for is done: what it drops must not come back.
    pub fn was_cut(&mut self) {
        let Some(Cut { end, is_reset }) = self.cut.take() else {
            return;
        };
        let kept_below = if is_reset { 0 } else { end };
        for asked in &mut self.batches {
            let left = match asked.first {
                Some(first) => kept_below.saturating_sub(first),
                None => kept_below,
            };
            asked.left = asked.left.min(usize::try_from(left).unwrap_or(usize::MAX));
            if asked.left == 0 {
                asked.state = State::Gone;
            }
        }
        let [kept_len, len] = [kept_below, end].map(|at| usize::try_from(at).unwrap_or_default());
        self.seen.truncate(kept_len);
        self.seen.resize(len, None);
        if is_reset {
            (self.start, self.read_end) = (end, end);
            self.starts.clear();
        }
        self.read_end = self.read_end.min(end);
        // All that stays was synced before.
        (self.kept, self.durable) = (end, end);
    }

    /// Notes that the records found are all there are: the others must not come back.
    fn start_life(&mut self, shown: Range<u64>, names: &[Name]) {
        for asked in &mut self.batches {
            asked.state = State::Gone;
        }
        for (offset, name) in (shown.start..).zip(names) {
            let asked = &mut self.batches[name.0];
            asked.state = State::Kept;
            asked.first.get_or_insert(offset - name.1 as u64);
        }
        let below = (0..shown.start).map(|_| None);
        self.seen = below.chain(names.iter().copied().map(Some)).collect();
        self.starts.clear();
        self.cut = None;
        self.read_end = shown.end;
        (self.kept, self.durable) = (shown.end, shown.end);
    }

    /// Finds out which record this is, and whether it may be there.
    fn identify(&self, offset: u64, record: &StoredRecord) -> Checked<Name> {
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
        if asked.state == State::Gone || name.1 >= asked.left {
            return Err(format!(
                "offset {offset} holds {name:?}, which must not come back"
            ));
        }
        Ok(name)
    }

    /// Batches must be there wholly or not at all, from `from` on; but what was trimmed or truncated
    /// need not.
    fn check_whole(&self, from: u64, names: &[Name]) -> Checked {
        let mut expected = names.first().copied().filter(|_| from == self.start);
        for name in names {
            if *name != expected.unwrap_or((name.0, 0)) {
                return Err(format!("{name:?} stands where {expected:?} belongs"));
            }
            let more = name.1 + 1 < self.batches[name.0].left;
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

    /// Notes that everything acknowledged or shown below `end` is durable, as the log promises.
    fn note_visible(&mut self, end: u64) {
        match self.durability {
            Durability::Synced => self.on_device_below(end),
            Durability::Interval(_) => self.kept = self.kept.max(end),
            _ => {}
        }
    }
}

impl Cut {
    /// True if a log that shows these records was truncated so.
    fn is_done(self, shown: &Range<u64>) -> bool {
        shown.end == self.end && (shown.start == self.end || !self.is_reset)
    }
}

/// All that the log shows, as iteration and as single reads show it.
fn records(log: &Log) -> Checked<Vec<StoredRecord>> {
    let range = log.offsets();
    let (start, end) = (range.start.get(), range.end.get());
    let records = twice(|| log.records(start..).collect::<Result<Vec<_>, _>>())
        .map_err(|error| format!("a walk fails: {error:?}"))?;
    for (offset, record) in (start..).zip(&records) {
        if *record != read(log, offset)? {
            return Err(format!("at {offset} a walk and a read differ"));
        }
    }
    if start + records.len() as u64 != end || log.recovery().records != range {
        let count = records.len();
        return Err(format!("{count} records are in {start}..{end}"));
    }
    Ok(records)
}

fn read(log: &Log, offset: u64) -> Checked<StoredRecord> {
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
