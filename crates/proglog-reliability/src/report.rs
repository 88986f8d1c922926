//! The result of a row, as a line of JSON.

use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::Figures;
use crate::rows::Row;
use crate::workspace::{git, root};

/// A line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// The sabotage of the copy that the row ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) control: Option<String>,
    /// The reason why the row was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
    pub(crate) seed: u64,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    pub(crate) seconds: f64,
    pub(crate) commit: String,
}

impl Line {
    pub(crate) fn new(row: &Row, seed: u64, figures: Figures, elapsed: Duration) -> Self {
        Self {
            name: row.name.to_owned(),
            control: None,
            skipped: None,
            seed,
            figures,
            seconds: (elapsed.as_secs_f64() * 10.0).round() / 10.0,
            commit: COMMIT.clone(),
        }
    }

    pub(crate) fn print(&self) {
        println!("{}", serde_json::to_string(self).unwrap_or_default());
    }
}

/// The result of a row.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) row: &'static Row,
    pub(crate) line: Line,
    /// The sabotages that it caught.
    pub(crate) caught: Vec<String>,
    /// The fault of the row itself, if any.
    pub(crate) failure: Option<String>,
}

impl Report {
    pub(crate) fn has_failed(&self) -> bool {
        self.line.figures.bad > 0 || self.failure.is_some()
    }
}

/// The commit that is checked, with `+changes` if files differ from it. The first use fixes it.
pub(crate) static COMMIT: LazyLock<String> = LazyLock::new(|| {
    let dirty = "--dirty=+changes";
    let described = git(
        root(),
        &["describe", "--always", dirty, "--abbrev=12", "--exclude=*"],
    );
    described.map_or_else(
        |_| "unknown".to_owned(),
        |described| described.trim().to_owned(),
    )
});
