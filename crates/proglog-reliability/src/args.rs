//! The arguments of the program.

use clap::Parser;

/// Tries to make a log lose a record, and shows that it would notice.
///
/// Prints a line of JSON for each row, and for each sabotage. Findings go to standard error.
#[derive(Debug, Parser)]
#[command(version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Args {
    /// Names or numbers of rows, or `all`; `list` prints them
    #[arg(required = true, value_name = "ROW")]
    pub(crate) rows: Vec<String>,

    /// The size that is run before each change lands; this is the default
    #[arg(long, conflicts_with = "soak")]
    pub(crate) ci: bool,

    /// Repeats each row, each time with the next seed, for as long as `--minutes` says
    #[arg(long)]
    pub(crate) soak: bool,

    /// The time for which each row is repeated
    #[arg(long, default_value_t = 60, requires = "soak")]
    pub(crate) minutes: u64,

    /// Chooses what is tried where not everything is
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Leaves the sabotages out
    #[arg(long)]
    pub(crate) no_controls: bool,

    /// Tries only this sabotage, and runs no row on the workspace itself; may be given more than once
    #[arg(long = "sabotage", value_name = "NAME", conflicts_with_all = ["soak", "write", "no_controls"])]
    pub(crate) sabotages: Vec<String>,

    /// Writes the figures of these rows into the table of the README
    #[arg(long)]
    pub(crate) write: bool,

    /// Ends a row at the first thing found: what a sabotaged copy is run with
    #[arg(long, hide = true)]
    pub(crate) until_bad: bool,
}
