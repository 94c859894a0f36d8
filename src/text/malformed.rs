//! Records that cannot be understood: where they are, what is wrong, how to mend it.
//!
//! Uses `limits`. The description is made only of the few records that are reported.

use super::delimiter::Delimiter;
use super::number::{NumberError, read_f64};
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
    Fields { expected: usize, found: usize, delimiter: Delimiter },
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
    /// A number beyond all floats.
    OutOfRange,
    NotANumber(NumberKind),
    /// Text, compared with a number by the filter.
    NotComparable,
    /// Neither `true` nor `false`, compared with one of them by the filter.
    NotATruth,
    NotUtf8,
    /// An array or an object, in JSON.
    NotAScalar,
    /// A string in JSON with an escape that is none.
    Escape,
}

impl Fault {
    /// Says it, of a column that was taken for whole numbers because its first so many records were
    /// empty, where that is so.
    pub(crate) fn describe_assumed(
        &self,
        column: &str,
        cell: &[u8],
        assumed: Option<usize>,
    ) -> String {
        let mend = match self {
            Self::Cell { .. } if !is_utf8(cell) => return self.describe(column, cell),
            Self::Cell { fault: CellFault::Fraction, .. } => format!("say --type {column}=f64"),
            Self::Cell { fault: CellFault::NotANumber(_), .. } => {
                format!("of text there is count({column})")
            }
            _ => return self.describe(column, cell),
        };
        let Some(records) = assumed else { return self.describe(column, cell) };
        format!(
            "column '{column}' holds {}, not a whole number; it was empty in the first {records} \
             records and was taken for whole numbers; {mend}",
            quoted(cell)
        )
    }

    /// Says it; `column` is the name of the cell's column, `cell` its bytes.
    pub(crate) fn describe(&self, column: &str, cell: &[u8]) -> String {
        match self {
            Self::Cell { fault, .. } => fault.describe(column, cell),
            Self::Fields { expected, found, delimiter } => {
                let plural = if *found == 1 { "" } else { "s" };
                format!(
                    "{found} field{plural} where the columns are {expected}; a field that holds \
                     '{delimiter}' must be in double quotes, and a missing value still has its \
                     '{delimiter}'"
                )
            }
            Self::TooLong => format!(
                "the record is longer than {} bytes, the most that is read; is a line's end \
                 missing?",
                limits::LINE_BYTES_MAX
            ),
            Self::UnclosedQuote => format!(
                "a double quote is opened and not closed, by the end or within {} bytes; write a \
                 quote inside a field twice, and the field in quotes",
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

impl Fault {
    /// Whether another unit of time, or none, would mend it.
    pub(crate) fn is_of_unit(&self, cell: &[u8]) -> bool {
        match self {
            Self::Cell { fault: CellFault::Time(error), .. } => error.mend(cell).is_some(),
            _ => false,
        }
    }
}

impl CellFault {
    fn describe(self, column: &str, cell: &[u8]) -> String {
        let found = format!("column '{column}' holds {}", quoted(cell));
        // Whatever else it should be, that is why it is not.
        match if is_utf8(cell) { self } else { Self::NotUtf8 } {
            Self::NullTime => {
                format!("column '{column}' is empty or missing; every record needs its time")
            }
            Self::Time(error) => match error.mend(cell) {
                Some(mend) => format!("{found}, {error}; {mend}"),
                None => format!("{found}, {error}"),
            },
            Self::Fraction => format!(
                "{found}, not a whole number, and the column is read as whole numbers; \
                 declare it with --type {column}=f64"
            ),
            Self::Overflow => format!(
                "{found}, more than 64 bits hold; \
                 declare it with --type {column}=f64 if rounding does no harm"
            ),
            Self::OutOfRange => format!(
                "{found}, out of range for f64, which ends at 1.8e308; leave the cell empty (in \
                 JSON say null), or write inf if that is meant"
            ),
            Self::NotANumber(kind) => {
                let expected = match kind {
                    NumberKind::I64 => "a whole number",
                    NumberKind::F64 => "a number",
                };
                format!(
                    "{found}, not {expected}; where there is none, leave the cell empty (in JSON \
                     say null), or name with --null what stands for none in CSV"
                )
            }
            Self::NotComparable if read_f64(cell) == Err(NumberError::OutOfRange) => {
                Self::OutOfRange.describe(column, cell)
            }
            Self::NotComparable => format!(
                "{found}, not a number, and the filter compares it with one; \
                 compare it with a text in single quotes instead"
            ),
            Self::NotATruth => format!(
                "{found}, and the filter compares it with true or false; compare it with a number \
                 or with a text in single quotes instead"
            ),
            Self::NotUtf8 => format!("{found}, invalid UTF-8; convert the file, with iconv say"),
            Self::NotAScalar => format!(
                "column '{column}' holds {}, {}, not a text, number or truth value; take the \
                 field that is wanted out of it before, with jq say",
                if cell.starts_with(b"[") { "an array" } else { "an object" },
                quoted(cell)
            ),
            Self::Escape => format!(
                "{found}, whose escapes stand for no text; write half of a surrogate pair as \
                 \\ufffd"
            ),
        }
    }
}

fn is_utf8(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok()
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
