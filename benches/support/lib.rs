//! Shared by the benches: seeded data, statistics, and results as JSON, tables and charts.
//!
//! A bench that compares two things measures them in turn, many times. [`pairs()`] sets the order and
//! returns a [`Comparison`], which becomes a [`Row`], one line of JSON. Rows are printed as a [`Table`] and
//! drawn as a [`Figure`].
//!
//! ```
//! use benches::{Effort, Row, Side, pairs};
//!
//! # fn main() -> Result<(), std::convert::Infallible> {
//! let comparison = pairs(Effort::ONCE, |side| {
//!     Ok::<_, std::convert::Infallible>(match side {
//!         Side::Ours => 9.0,
//!         Side::Other => 10.0,
//!     })
//! })?;
//! let row = Row::against_limit("store/append", 128, 1, "records/s", &comparison);
//! assert_eq!(row.ratio, 0.9);
//! # Ok(())
//! # }
//! ```

mod data;
mod figure;
mod machine;
mod pairs;
mod process;
mod row;
mod stats;
mod table;

pub use data::{Random, SIZES, payload, size_name};
pub use figure::{Figure, Panel, Role, Series};
pub use machine::{machine, settle, today};
pub use pairs::{Comparison, Effort, Side, pairs};
pub use process::{Usage, mebibytes};
pub use row::{Row, read_rows, write_rows};
pub use stats::{median, quantile, spread};
pub use table::{Table, grouped};
