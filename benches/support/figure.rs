//! Charts of results: throughput over the size of a record, one panel per work.

mod svg;

use crate::row::Row;
use crate::stats::median;

/// Panels under one title and one legend.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The title.
    pub title: String,
    /// A note, such as the machine and the date.
    pub note: String,
    /// The panels in drawing order, two in a row.
    pub panels: Vec<Panel>,
}

/// A chart with logarithmic axes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// The title.
    pub title: String,
    /// The lines in drawing order: the last is on top.
    pub series: Vec<Series>,
}

/// One line of a chart.
#[derive(Debug, Clone)]
pub struct Series {
    /// The name of the system; the same in all panels of a figure.
    pub name: String,
    /// The style of the line.
    pub role: Role,
    /// Record sizes in bytes, with throughput in MB/s.
    pub points: Vec<(f64, f64)>,
}

/// The kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// proglog's: the boldest.
    Ours,
    /// The machine's limit: dashed.
    Limit,
    /// A peer's: each has its own colour.
    Peer,
}

impl Figure {
    /// Draws all rows in records per second, in the order in which their works first appear, as MB/s of the
    /// records' values.
    #[must_use]
    pub fn of_rows(title: &str, note: &str, rows: &[Row]) -> Self {
        let mut panels = Vec::<((&str, u32), Vec<&Row>)>::new();
        for row in rows.iter().filter(|row| row.unit == "records/s") {
            let key = (row.work.as_str(), row.threads);
            match panels.iter_mut().find(|(of, _)| *of == key) {
                Some((_, rows)) => rows.push(row),
                None => panels.push((key, vec![row])),
            }
        }
        let panel = |((work, threads), rows): &((&str, u32), Vec<&Row>)| Panel {
            title: match threads {
                1 => (*work).to_owned(),
                threads => format!("{work}, {threads} threads"),
            },
            series: series(rows),
        };
        Self {
            title: title.to_owned(),
            note: note.to_owned(),
            panels: panels.iter().map(panel).collect(),
        }
    }

    /// Returns the chart as the text of an SVG file, with a light and a dark form that follow the viewer's
    /// preference.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::draw(self)
    }
}

/// The lines of a panel: peers below the limit, and ours on top.
fn series(rows: &[&Row]) -> Vec<Series> {
    let mut names = Vec::new();
    for row in rows {
        if let Some(peer) = &row.peer
            && !names.contains(&peer)
        {
            names.push(peer);
        }
    }
    let mut all = names
        .into_iter()
        .map(|name| {
            let theirs = rows.iter().filter(|row| row.peer.as_ref() == Some(name));
            line(name, Role::Peer, theirs.map(|row| (row.bytes, row.theirs)))
        })
        .collect::<Vec<_>>();
    let limits = rows.iter().map(|row| (row.bytes, row.limit));
    all.push(line("limit", Role::Limit, limits));
    let ours = rows.iter().map(|row| (row.bytes, Some(row.ours)));
    all.push(line("proglog", Role::Ours, ours));
    all.retain(|series| !series.points.is_empty());
    all
}

/// A line through the median of the rows of each size.
fn line(name: &str, role: Role, rows: impl Iterator<Item = (u64, Option<f64>)>) -> Series {
    let rows = rows
        .filter_map(|(bytes, figure)| Some((bytes, figure?)))
        .collect::<Vec<_>>();
    let mut sizes = rows.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>();
    sizes.sort_unstable();
    sizes.dedup();
    let point = |size: u64| {
        let figures = rows.iter().filter(|(bytes, _)| *bytes == size);
        let figures = figures.map(|(_, figure)| *figure).collect::<Vec<_>>();
        #[expect(clippy::cast_precision_loss, reason = "the size of a record")]
        let size = size as f64;
        (size, median(&figures) * size / 1e6)
    };
    Series {
        name: name.to_owned(),
        role,
        points: sizes.into_iter().map(point).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::Comparison;

    fn comparison(ours: f64, other: f64) -> Comparison {
        Comparison {
            ours: vec![ours],
            other: vec![other],
        }
    }

    #[test]
    fn rows_of_one_work_and_number_of_threads_share_a_panel() {
        let unit = "records/s";
        let rows = [
            Row::against_limit("b", 1000, 1, unit, &comparison(2e3, 4e3)),
            Row::against_limit("a", 1000, 8, unit, &comparison(1.0, 2.0)),
            Row::against_peer("b", 100, 1, "other", unit, &comparison(3e4, 1e4)),
            Row::against_limit("c", 1000, 1, "ms", &comparison(1.0, 2.0)),
        ];
        let figure = Figure::of_rows("title", "note", &rows);
        let titles = figure.panels.iter().map(|panel| panel.title.as_str());
        assert_eq!(titles.collect::<Vec<_>>(), ["b", "a, 8 threads"]);
        let lines = figure.panels[0].series.iter();
        let lines = lines.map(|series| (series.name.as_str(), series.points.as_slice()));
        let expected: [(&str, &[(f64, f64)]); 3] = [
            ("other", &[(100.0, 1.0)]),
            ("limit", &[(1000.0, 4.0)]),
            ("proglog", &[(100.0, 3.0), (1000.0, 2.0)]),
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn names_are_escaped_in_the_picture() {
        let rows = [Row::against_limit(
            "a<b",
            16,
            1,
            "records/s",
            &comparison(1.0, 2.0),
        )];
        let svg = Figure::of_rows("fast & safe", "", &rows).svg();
        assert!(svg.contains("fast &amp; safe") && svg.contains("a&lt;b"));
    }
}
