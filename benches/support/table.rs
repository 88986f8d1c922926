//! A table for terminals that is also Markdown.

use std::fmt;

/// A table with a header. Columns are as wide as their content; all but the first are right-aligned.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with these column headers and no rows.
    #[must_use]
    pub fn new(headers: &[&str]) -> Self {
        let headers = headers.iter().map(|header| (*header).to_owned()).collect();
        Self {
            rows: vec![headers],
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    ///
    /// Panics if the number of cells differs from the header's.
    pub fn push<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells = cells.into_iter().map(Into::into).collect::<Vec<_>>();
        assert_eq!(cells.len(), self.rows[0].len(), "{cells:?}");
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(2)
        };
        let widths = (0..self.rows[0].len()).map(width).collect::<Vec<_>>();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(f, "| {cell:width$} |")?;
                } else {
                    write!(f, " {cell:>width$} |")?;
                }
            }
            writeln!(f)?;
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    if column == 0 {
                        write!(f, "|{:-<1$}|", "", width + 2)?;
                    } else {
                        write!(f, "{:-<1$}:|", "", width + 1)?;
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// Formats `figure` with at least three significant digits and separated thousands.
#[must_use]
pub fn grouped(figure: f64) -> String {
    let decimals = match figure.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 4,
    };
    let plain = format!("{figure:.decimals$}");
    let (whole, fraction) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.char_indices() {
        let left = whole.len() - place;
        if place > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(&["work", "ratio"]);
        table.push(["store/append", "0.9"]);
        let expected = "\
| work         | ratio |
|--------------|------:|
| store/append |   0.9 |
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn figures_are_short_and_their_thousands_apart() {
        let shown = [0.00123, 1.5, 15.26, 152.6, 1526.0, 12_345_678.0, -1234.0].map(grouped);
        let expected = [
            "0.0012",
            "1.50",
            "15.3",
            "153",
            "1,526",
            "12,345,678",
            "-1,234",
        ];
        assert_eq!(shown, expected);
    }
}
