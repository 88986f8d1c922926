//! Scenarios of threads on a log. Each is short, so that many of its interleavings are tried, and
//! returns what it came to.

mod appending;
mod dropping;
mod failing;
mod following;

/// One execution. It panics if anything is wrong; otherwise it returns its end.
pub(crate) type Scenario = fn() -> String;

pub(crate) const ALL: &[(&str, Scenario)] = &[
    ("group-commit", appending::group_commit),
    ("roll", appending::roll),
    ("background", appending::background),
    ("trim", dropping::trim),
    ("truncate", dropping::truncate),
    ("follow", following::follow),
    ("memory", following::memory),
    ("close", following::close),
    ("failed-sync", failing::sync),
    ("failed-write", failing::write),
];
