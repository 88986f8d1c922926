//! SVG drawing of a figure.

use std::fmt::Write;

use super::{Figure, Panel, Role, Series};
use crate::data::size_name;
use crate::table::grouped;

/// The width of two panels: that of a page on GitHub.
const COLUMNS: usize = 2;
const WIDTH: f64 = 880.0;
const MARGIN: f64 = 20.0;
const PANEL_WIDTH: f64 = (WIDTH - MARGIN) / 2.0;
const PANEL_HEIGHT: f64 = 232.0;
/// The top of the legend, below title and note.
const LEGEND: f64 = 72.0;
const LEGEND_LINE: f64 = 22.0;
/// The margins of a chart within its panel.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const ABOVE: f64 = 30.0;
const BELOW: f64 = 34.0;
/// The approximate width of a letter, for the layout of the legend.
const LETTER_WIDTH: f64 = 6.8;

/// The light style, then the differences of the dark one.
const STYLE: &str = "\
text{font-family:-apple-system,'Segoe UI','Helvetica Neue',Arial,'DejaVu Sans',sans-serif;\
font-size:12px;fill:#59636e}
.title{font-size:18px;font-weight:600;fill:#1f2328}
.name{font-size:13px;font-weight:600;fill:#1f2328}
.page{fill:#ffffff}.grid{stroke:#e4e8ec}.axis{stroke:#b9c0c8}
polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}
.ours{stroke:#0969da}.limit{stroke:#6e7781}
.peer0{stroke:#bc4c00}.peer1{stroke:#1a7f37}.peer2{stroke:#8250df}
.peer3{stroke:#bf3989}.peer4{stroke:#9a6700}.peer5{stroke:#0e8a8a}
polyline.ours{stroke-width:3}polyline.limit{stroke-dasharray:6 4}
circle{fill:#ffffff;stroke-width:1.6}circle.ours{fill:#0969da}
@media (prefers-color-scheme:dark){
text{fill:#9198a1}.title,.name{fill:#f0f6fc}
.page{fill:#0d1117}.grid{stroke:#232a33}.axis{stroke:#4a525c}
.ours{stroke:#58a6ff}.limit{stroke:#9198a1}
.peer0{stroke:#f0883e}.peer1{stroke:#3fb950}.peer2{stroke:#bc8cff}
.peer3{stroke:#f778ba}.peer4{stroke:#d29922}.peer5{stroke:#39c5cf}
circle{fill:#0d1117}circle.ours{fill:#58a6ff}}
";

/// Returns the text of the SVG file.
pub(super) fn draw(figure: &Figure) -> String {
    let peers = peers(figure);
    let mut drawn = String::new();
    let top = legend(&mut drawn, figure, &peers) + 4.0;
    let mut height = top;
    for (number, panel) in figure.panels.iter().enumerate() {
        let x = if number % COLUMNS == 0 {
            0.0
        } else {
            PANEL_WIDTH
        };
        if number % COLUMNS == 0 {
            height += PANEL_HEIGHT;
        }
        chart(&mut drawn, panel, &peers, (x, height - PANEL_HEIGHT));
    }
    height += MARGIN / 2.0;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">
<title>{title}</title>
<style>
{STYLE}</style>
<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>
<text class="title" x="{MARGIN}" y="32">{title}</text>
<text x="{MARGIN}" y="52">{note}</text>
{drawn}</svg>
"#,
        title = escape(&figure.title),
        note = escape(&figure.note),
    )
}

/// The names of all peers, in the order of their colours.
fn peers(figure: &Figure) -> Vec<&str> {
    let mut names = Vec::new();
    for series in figure.panels.iter().flat_map(|panel| &panel.series) {
        if series.role == Role::Peer && !names.contains(&series.name.as_str()) {
            names.push(series.name.as_str());
        }
    }
    names
}

fn class(series: &Series, peers: &[&str]) -> String {
    const COLOURS: usize = 6;
    match series.role {
        Role::Ours => "ours".to_owned(),
        Role::Limit => "limit".to_owned(),
        Role::Peer => {
            let number = peers.iter().position(|name| *name == series.name);
            format!("peer{}", number.unwrap_or_default() % COLOURS)
        }
    }
}

/// Draws the names of all lines, and returns the bottom of the legend.
fn legend(svg: &mut String, figure: &Figure, peers: &[&str]) -> f64 {
    let mut entries = Vec::<&Series>::new();
    for role in [Role::Ours, Role::Limit, Role::Peer] {
        for series in figure.panels.iter().flat_map(|panel| &panel.series) {
            if series.role == role && !entries.iter().any(|entry| entry.name == series.name) {
                entries.push(series);
            }
        }
    }
    let (mut x, mut y) = (MARGIN, LEGEND);
    for series in entries {
        #[expect(clippy::cast_precision_loss, reason = "the length of a name")]
        let width = 34.0 + series.name.chars().count() as f64 * LETTER_WIDTH;
        if x + width > WIDTH - MARGIN {
            (x, y) = (MARGIN, y + LEGEND_LINE);
        }
        let (class, name) = (class(series, peers), escape(&series.name));
        push(
            svg,
            format_args!(
                r#"<polyline class="{class}" points="{x:.1},{y} {:.1},{y}"/>"#,
                x + 28.0
            ),
        );
        if series.role != Role::Limit {
            push(
                svg,
                format_args!(
                    r#"<circle class="{class}" cx="{:.1}" cy="{y}" r="3"/>"#,
                    x + 14.0
                ),
            );
        }
        push(
            svg,
            format_args!(r#"<text x="{:.1}" y="{}">{name}</text>"#, x + 34.0, y + 4.0),
        );
        x += width + 22.0;
    }
    y + LEGEND_LINE
}

/// A logarithmic axis.
struct Axis {
    /// The logarithms of the values at its ends.
    ends: (f64, f64),
    /// The coordinates of its ends.
    places: (f64, f64),
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let along = (value.log10() - self.ends.0) / (self.ends.1 - self.ends.0);
        self.places.0 + along * (self.places.1 - self.places.0)
    }

    /// Round values on the axis, fewer if it covers more decades.
    fn ticks(&self) -> Vec<f64> {
        let decades = self.ends.1 - self.ends.0;
        let steps: &[f64] = match decades {
            3.0.. => &[1.0],
            1.6.. => &[1.0, 3.0],
            _ => &[1.0, 2.0, 5.0],
        };
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(self.ends.0.floor());
        while decade.log10() <= self.ends.1 {
            ticks.extend(steps.iter().map(|step| step * decade));
            decade *= 10.0;
        }
        let inside = self.ends.0 - 1e-9..=self.ends.1 + 1e-9;
        ticks.retain(|tick| inside.contains(&tick.log10()));
        ticks
    }
}

fn chart(svg: &mut String, panel: &Panel, peers: &[&str], (x, y): (f64, f64)) {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let (left, right) = (x + LEFT, x + PANEL_WIDTH - RIGHT);
    let (top, bottom) = (y + ABOVE, y + PANEL_HEIGHT - BELOW);
    let across = Axis {
        ends: ends(points().map(|point| point.0), 0.0),
        places: (left + 10.0, right - 10.0),
    };
    let up = Axis {
        ends: ends(points().map(|point| point.1), 0.08),
        places: (bottom, top),
    };
    let (name, middle) = (escape(&panel.title), y + 16.0);
    push(
        svg,
        format_args!(r#"<text class="name" x="{left:.1}" y="{middle:.1}">{name}</text>"#),
    );
    push(
        svg,
        format_args!(r#"<text x="{right:.1}" y="{middle:.1}" text-anchor="end">MB/s</text>"#),
    );
    for tick in up.ticks() {
        let (place, label) = (up.place(tick), tick_name(tick));
        push(
            svg,
            format_args!(
                r#"<path class="grid" d="M{left:.1} {place:.1}H{right:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
                left - 7.0,
                place + 4.0
            ),
        );
    }
    let mut sizes = points().map(|point| point.0).collect::<Vec<_>>();
    sizes.sort_unstable_by(f64::total_cmp);
    sizes.dedup();
    for size in sizes {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of bytes"
        )]
        let (place, label) = (across.place(size), size_name(size as u64));
        push(
            svg,
            format_args!(
                r#"<path class="axis" d="M{place:.1} {bottom:.1}v4"/><text x="{place:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
                bottom + 18.0
            ),
        );
    }
    push(
        svg,
        format_args!(r#"<path class="axis" d="M{left:.1} {bottom:.1}H{right:.1}"/>"#),
    );
    for series in &panel.series {
        let place = |(size, rate): &(f64, f64)| (across.place(*size), up.place(*rate));
        let places = series.points.iter().map(place).collect::<Vec<_>>();
        line(svg, &class(series, peers), series.role, &places);
    }
}

fn line(svg: &mut String, class: &str, role: Role, places: &[(f64, f64)]) {
    let points = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}"));
    let points = points.collect::<Vec<_>>().join(" ");
    push(
        svg,
        format_args!(r#"<polyline class="{class}" points="{points}"/>"#),
    );
    // The limit is a line without points.
    if role == Role::Limit && places.len() > 1 {
        return;
    }
    for (x, y) in places {
        push(
            svg,
            format_args!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#),
        );
    }
}

/// The logarithms of the smallest and largest value, with a margin.
fn ends(values: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let mut least = f64::INFINITY;
    let mut most = f64::NEG_INFINITY;
    for value in values {
        least = least.min(value.log10());
        most = most.max(value.log10());
    }
    if least > most {
        return (0.0, 1.0);
    }
    // A single value, or almost: half a decade around it.
    let margin = ((most - least) * margin).max((0.5 - (most - least)) / 2.0);
    (least - margin, most + margin)
}

/// A tick of 1 or more is a whole number.
fn tick_name(rate: f64) -> String {
    if rate < 1.0 {
        let name = format!("{rate:.4}");
        return name.trim_end_matches('0').to_owned();
    }
    let name = grouped(rate);
    name.split('.').next().unwrap_or_default().to_owned()
}

fn push(svg: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(svg, "{line}").expect("a string takes everything");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
