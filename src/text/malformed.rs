//! Records that cannot be understood: where they are, what is wrong, how to mend it.
//!
//! Uses `limits`. The description is made only of the few records that are reported.

use super::plan::NumberKind;
use super::timestamp::ParseTimeError;
use crate::limits;
use std::fmt;

/// A record that could not be understood. Prints as `file:line:column: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The input's name.
    pub source: String,
    /// The line, counted from 1.
    pub line: u64,
    /// The byte within the line, counted from 1.
    pub column: u64,
    /// What was found, what was expected, and how to mend it.
    pub problem: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, line, column, problem } = self;
        write!(f, "{source}:{line}:{column}: {problem}")
    }
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One of its cells.
    Cell { slot: usize, fault: CellFault },
    /// The number of its fields.
    Fields { expected: usize, found: usize },
    /// It goes on and on.
    TooLong,
    /// A quote was opened and never closed.
    UnclosedQuote,
    /// It is no JSON object; the place within the line is counted from 1.
    Json { column: u64, problem: String },
    /// What is to be kept of it does not fit a frame.
    TooLarge { bytes: usize },
}

/// What is wrong with a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellFault {
    NullTime,
    Time(ParseTimeError),
    /// A fraction or an exponent in a column of integers.
    Fraction,
    /// An integer beyond 64 bits.
    Overflow,
    NotANumber(NumberKind),
    /// Text, compared with a number by the filter.
    NotComparable,
    NotUtf8,
    /// An array or an object, in JSON.
    NotAScalar,
    /// A string in JSON with an escape that is none.
    Escape,
}

impl Fault {
    /// Says it; `column` is the name of the cell's column, `cell` its bytes.
    pub(crate) fn describe(&self, column: &str, cell: &[u8]) -> String {
        match self {
            Self::Cell { fault, .. } => fault.describe(column, cell),
            Self::Fields { expected, found } => {
                let plural = if *found == 1 { "" } else { "s" };
                format!(
                    "{found} field{plural} where the columns are {expected}; a field that holds \
                     a comma must be in double quotes"
                )
            }
            Self::TooLong => format!(
                "the record is longer than {} bytes; skipped to the end of its line",
                limits::LINE_BYTES_MAX
            ),
            Self::UnclosedQuote => format!(
                "a double quote is opened and not closed within {} bytes; only this line is \
                 skipped; write a quote inside a field twice, and the field in quotes",
                limits::LINE_BYTES_MAX
            ),
            Self::Json { problem, .. } => problem.clone(),
            Self::TooLarge { bytes } => format!(
                "the record's row, key and what is kept of it take {bytes} bytes; at most {} fit",
                limits::RECORD_BYTES_MAX
            ),
        }
    }
}

impl CellFault {
    fn describe(self, column: &str, cell: &[u8]) -> String {
        let found = format!("column '{column}' holds {}", quoted(cell));
        match self {
            Self::NullTime => {
                format!("column '{column}' is empty; every record needs its time")
            }
            Self::Time(error @ ParseTimeError::NoUnit) => {
                format!("{found}, {error} (--time-unit s, ms, us or ns)")
            }
            Self::Time(error) => format!("{found}, {error}"),
            Self::Fraction => format!(
                "{found}, not a whole number as the column's others are; \
                 declare it with --type {column}=f64"
            ),
            Self::Overflow => format!(
                "{found}, more than 64 bits hold; \
                 declare it with --type {column}=f64 if rounding does no harm"
            ),
            Self::NotANumber(NumberKind::I64) => format!("{found}, not a whole number"),
            Self::NotANumber(NumberKind::F64) => format!("{found}, not a number"),
            Self::NotComparable => format!(
                "{found}, not a number, and the filter compares it with one; \
                 compare it with a text in single quotes instead"
            ),
            Self::NotUtf8 => format!("{found}, which is not UTF-8; convert the file"),
            Self::NotAScalar => format!("{found}, not a text, number or truth value"),
            Self::Escape => format!("{found}, whose escapes stand for no text"),
        }
    }
}

/// Characters of a cell that a message shows.
const SHOWN_CHARS: usize = 40;

/// A cell for a message: in single quotes, escaped, shortened.
pub(crate) fn quoted(cell: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::from("'");
    let mut left = SHOWN_CHARS;
    for chunk in cell.utf8_chunks() {
        for char in chunk.valid().chars() {
            if left == 0 {
                return text + "…'";
            }
            left -= 1;
            match char.is_control() {
                true => text.extend(char.escape_default()),
                false => text.push(char),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_shown_escaped_and_short() {
        assert_eq!(quoted(b"UA"), "'UA'");
        assert_eq!(quoted(b"a\tb\x00\xff"), "'a\\tb\\u{0}\\xff'");
        let long = quoted(&[b'x'; 1 << 20]);
        assert_eq!(long.chars().count(), SHOWN_CHARS + 3);
    }
}
