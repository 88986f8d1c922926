//! Targets, and the table that shows whether they were reached.

use std::fmt;

use benches::{Row, Table, grouped, size_name};

/// The target of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// At least this fraction of the limit.
    Ratio(f64),
    /// At most this time.
    Millis(f64),
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Targets by work, threads and record size.
const TARGETS: [(&str, u32, u64, Target); 23] = [
    ("store/append", 1, 16, Target::Ratio(0.75)),
    ("store/append", 1, 128, Target::Ratio(0.85)),
    ("store/append", 1, KIB, Target::Ratio(0.9)),
    ("store/append", 1, 16 * KIB, Target::Ratio(0.9)),
    ("store/append", 1, MIB, Target::Ratio(0.9)),
    ("log/append", 1, 128, Target::Ratio(0.5)),
    ("log/append", 4, 128, Target::Ratio(0.9)),
    ("log/append-batch100", 1, 128, Target::Ratio(0.65)),
    ("log/append-synced", 1, KIB, Target::Ratio(0.9)),
    ("log/append-synced", 8, KIB, Target::Ratio(0.9)),
    ("log/append-synced", 64, KIB, Target::Ratio(0.9)),
    ("store/scan", 1, 16, Target::Ratio(0.6)),
    ("store/scan", 1, 128, Target::Ratio(0.8)),
    ("store/scan", 1, KIB, Target::Ratio(0.9)),
    ("store/scan", 1, 16 * KIB, Target::Ratio(0.9)),
    ("store/scan", 1, MIB, Target::Ratio(0.9)),
    ("log/scan", 1, 128, Target::Ratio(0.5)),
    ("log/scan", 1, KIB, Target::Ratio(0.8)),
    ("store/read", 1, KIB, Target::Ratio(0.85)),
    ("log/read", 1, KIB, Target::Ratio(0.75)),
    ("log/reopen-clean", 1, KIB, Target::Millis(2.0)),
    ("log/reopen-killed", 1, KIB, Target::Millis(20.0)),
    ("log/verify", 1, KIB, Target::Ratio(0.9)),
];

impl Target {
    fn of(row: &Row) -> Option<Self> {
        let mut targets = TARGETS.iter();
        let found = targets.find(|(work, threads, bytes, _)| {
            *work == row.work && *threads == row.threads && *bytes == row.bytes
        });
        found.map(|(.., target)| *target)
    }

    fn is_reached(self, row: &Row) -> bool {
        match self {
            Self::Ratio(ratio) => row.ratio >= ratio,
            Self::Millis(millis) => row.ours <= millis,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(ratio) => write!(f, "{ratio}"),
            Self::Millis(millis) => write!(f, "{millis} ms"),
        }
    }
}

/// The table of all rows in the order of `works`, and the number of targets reached.
pub(crate) fn table(rows: &[Row], works: &[(&str, usize)]) -> (Table, String) {
    let headers = [
        "work",
        "bytes",
        "threads",
        "unit",
        "ours",
        "limit",
        "ours MB/s",
        "ratio",
        "spread",
        "target",
        "reached",
    ];
    let mut table = Table::new(&headers);
    let (mut targets, mut reached) = (0, 0);
    let in_order = works
        .iter()
        .flat_map(|(work, _)| rows.iter().filter(move |row| row.work == *work));
    for row in in_order {
        let target = Target::of(row);
        let is_reached = target.map(|target| target.is_reached(row));
        targets += usize::from(is_reached.is_some());
        reached += usize::from(is_reached == Some(true));
        #[expect(clippy::cast_precision_loss, reason = "the size of a record")]
        let rate = (row.unit == "records/s").then(|| row.ours * row.bytes as f64 / 1e6);
        table.push([
            row.work.clone(),
            size_name(row.bytes),
            row.threads.to_string(),
            row.unit.clone(),
            grouped(row.ours),
            row.limit.map(grouped).unwrap_or_default(),
            rate.map(grouped).unwrap_or_default(),
            format!("{:.2}", row.ratio),
            format!("{:.2}", row.spread),
            target.map(|target| target.to_string()).unwrap_or_default(),
            match is_reached {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => String::new(),
            },
        ]);
    }
    (table, format!("{reached} of {targets} targets reached"))
}
