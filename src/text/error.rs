//! Why a set of inputs cannot be read as asked: found out before the first row.
//!
//! Uses nothing of the crate.

use super::plan::Slot;
use std::fmt;

/// Why reading cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system said no: no such file, a directory, no permission.
    #[error("{name}: {error}")]
    Io {
        /// The input.
        name: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A column that was asked for is not there.
    #[error("{0}")]
    UnknownColumn(Box<UnknownColumn>),
    /// A column that was asked for is there more than once.
    #[error(
        "{name}: column '{column}' stands there twice, as fields {first} and {second}; give one of \
         them another name"
    )]
    DuplicateColumn {
        /// The input.
        name: String,
        /// The column.
        column: String,
        /// The first field of that name, counted from 1.
        first: usize,
        /// The second.
        second: usize,
    },
    /// The line that should name the columns cannot be read.
    #[error("{name}:1:1: the header cannot be read: {problem}")]
    Header {
        /// The input.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The input is not laid out as it was said to be.
    #[error("{name}:1:1: {problem}")]
    Format {
        /// The input.
        name: String,
        /// What it looks like, and how to mend it.
        problem: String,
    },
    /// The input is no text.
    #[error("{0}")]
    NoText(String),
    /// A column that must hold numbers holds none.
    #[error(
        "{name}:{line}:{at}: column '{column}' holds {holds}, here {found}, and {asked_by} needs \
         numbers; {}", holds.advice(column, found)
    )]
    NotNumeric {
        /// The input.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// The byte within the line, counted from 1.
        at: u64,
        /// The column.
        column: String,
        /// What needs the numbers.
        asked_by: String,
        /// What it holds instead.
        holds: NoNumbers,
        /// The first cell that is no number, in quotes, escaped and shortened.
        found: String,
    },
    /// No time of the first records can be read: the column holds something else.
    #[error("{0}")]
    NoTimes(String),
    /// With [`ReadPlan::keep_text`](super::ReadPlan::keep_text), two inputs name other columns.
    #[error(
        "{name}:1: field {field} of the header is {found}, and {expected} in {other}; late records \
         of all files stand under one header, so give the files the same columns in the same \
         order, or read each in a run of its own"
    )]
    OtherHeader {
        /// The input.
        name: String,
        /// The one before it.
        other: String,
        /// The first field that differs, counted from 1.
        field: usize,
        /// What stands there, in quotes.
        found: String,
        /// What stands there in the one before it.
        expected: String,
    },
    /// No time of the first records can be read, and a unit of time is why.
    #[error("{0}")]
    TimeUnit(String),
    /// The filter cannot be understood.
    #[error("{0}")]
    Filter(#[from] super::predicate::FilterError),
    /// The filter compares a column of text with a number, or one of numbers with a text.
    #[error("{0}")]
    FilterType(String),
    /// It was to end before enough had come to begin with.
    #[error("interrupted: the first records have not come yet; there is no result")]
    Stopped,
    /// The plan contradicts itself.
    #[error("{0}")]
    Plan(String),
}

/// What a column holds, as far as was seen, that holds no numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoNumbers {
    /// Dates, perhaps with times of day.
    Times,
    /// One and the same text, which may stand for no value.
    OneText,
    /// Texts.
    Texts,
}

impl NoNumbers {
    /// What can be done with such a column; `found` is a cell of it.
    fn advice(self, column: &str, found: &str) -> String {
        match self {
            Self::Times => format!(
                "of times there is count({column}); to compute with them, have a column of numbers \
                 beside it, of seconds since 1970 say"
            ),
            Self::OneText => format!(
                "of text there is count({column}); if numbers follow further on, say \
                 --type {column}=f64, and --null {found} if that stands for no value in CSV: \
                 otherwise each counts as malformed"
            ),
            Self::Texts => {
                format!("of text there is count({column}), and --key {column} groups by it")
            }
        }
    }
}

impl fmt::Display for NoNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Times => "times",
            Self::OneText | Self::Texts => "text",
        })
    }
}

/// Whose fault an [`OpenError`] is, for an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request: a column, a type or a filter that cannot be.
    Usage,
    /// The data.
    Data,
    /// The operating system.
    Io,
}

impl OpenError {
    /// Whose fault it is.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Io { .. } | Self::Stopped => ErrorClass::Io,
            Self::Header { .. } | Self::NoText(_) | Self::TimeUnit(_) | Self::NoTimes(_) => {
                ErrorClass::Data
            }
            Self::UnknownColumn(_)
            | Self::DuplicateColumn { .. }
            | Self::Format { .. }
            | Self::OtherHeader { .. }
            | Self::NotNumeric { .. }
            | Self::Filter(_)
            | Self::FilterType(_)
            | Self::Plan(_) => ErrorClass::Usage,
        }
    }
}

/// A column that was asked for and is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownColumn {
    /// The input; empty when the columns were given by the user.
    pub name: String,
    /// The column that was asked for.
    pub column: String,
    /// Who asked: `--key`, say.
    pub asked_by: String,
    /// What to write if a text was meant and no column.
    pub as_text: Option<String>,
    /// The columns that there are.
    pub columns: Vec<String>,
    /// Where no header names the columns: records that were looked at for them.
    pub records: Option<u64>,
}

/// Letters of a column's name that may stand for all of it.
const PART_MIN: usize = 3;
/// Columns that a message lists.
const LISTED_MAX: usize = 50;

impl UnknownColumn {
    /// The column of `slot` in an input of this name.
    pub(crate) fn of(slot: &Slot, name: String, columns: Vec<String>) -> Self {
        let Slot { name: column, asked_by, as_text, .. } = slot.clone();
        Self { name, column, asked_by, as_text, columns, records: None }
    }

    /// The column that was perhaps meant.
    pub fn suggestion(&self) -> Option<&str> {
        let wanted = self.column.to_lowercase();
        let near = |name: &&String| {
            let name = name.trim().to_lowercase();
            let similar = strsim::jaro_winkler(&name, &wanted);
            let within = wanted.len() >= PART_MIN && name.contains(&wanted);
            (within || similar > 0.8).then_some(similar)
        };
        self.columns
            .iter()
            .filter_map(|name| near(&name).map(|similar| (name, similar)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(name, _)| name.as_str())
    }

    /// The name of an object in JSON in which the column was perhaps thought to be, and what is
    /// named behind the point.
    fn object(&self) -> Option<(&str, &str)> {
        let (object, inner) = self.column.split_once('.').filter(|_| self.records.is_some())?;
        self.columns.iter().any(|name| name == object).then_some((object, inner))
    }

    /// Whether the header looks like a record.
    fn header_is_data(&self) -> bool {
        if self.records.is_some() {
            return false;
        }
        let numeric = |name: &String| super::number::is_number(name.as_bytes());
        self.columns.iter().any(|name| numeric(name) || name.is_empty())
    }
}

impl std::error::Error for UnknownColumn {}

impl From<UnknownColumn> for OpenError {
    fn from(unknown: UnknownColumn) -> Self {
        Self::UnknownColumn(Box::new(unknown))
    }
}

impl fmt::Display for UnknownColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() {
            write!(f, "{}: ", self.name)?;
        }
        match self.records {
            Some(1) => write!(f, "the first record has no field")?,
            Some(records) => write!(f, "none of the first {records} records has a field")?,
            None => write!(f, "there is no column")?,
        }
        write!(f, " '{}' ({})", self.column, self.asked_by)?;
        match self.suggestion() {
            Some(suggestion) => write!(f, "; did you mean '{suggestion}'?")?,
            None => f.write_str(".")?,
        }
        if let Some(as_text) = &self.as_text {
            write!(f, " Text is written in single quotes: {as_text}.")?;
        }
        let listed = &self.columns[..self.columns.len().min(LISTED_MAX)];
        match self.records {
            Some(_) if listed.is_empty() => f.write_str(" There were no fields")?,
            Some(_) => write!(f, " The fields there were {}", listed.join(", "))?,
            None => write!(f, " The columns are {}", listed.join(", "))?,
        }
        if listed.len() < self.columns.len() {
            write!(f, " and {} more", self.columns.len() - listed.len())?;
        }
        f.write_str(".")?;
        if let Some((object, inner)) = self.object() {
            write!(
                f,
                " What is inside of an object is not read; if '{object}' is one, jq -c \
                 '.[\"{inner}\"] = .{object}.{inner}' takes '{inner}' out of it."
            )?;
        } else if self.records.is_some() && self.as_text.is_none() && self.asked_by != "--type" {
            let column = &self.column;
            let declared = if self.asked_by.starts_with("--") { "str" } else { "f64" };
            write!(f, " If it comes further on, say --type {column}={declared}.")?;
        }
        if self.header_is_data() {
            f.write_str(
                " If the first line is a record and names no columns, say --no-header --columns \
                 and their names.",
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(column: &str, columns: &[&str]) -> UnknownColumn {
        UnknownColumn {
            name: "d.csv".to_owned(),
            column: column.to_owned(),
            asked_by: "--key".to_owned(),
            as_text: None,
            columns: columns.iter().map(ToString::to_string).collect(),
            records: None,
        }
    }

    #[test]
    fn where_no_header_is_a_message_says_how_many_records_were_looked_at() {
        let fields = unknown("carier", &["t", "1"]);
        let text = UnknownColumn { records: Some(1_000), ..fields.clone() }.to_string();
        assert_eq!(
            text,
            "d.csv: none of the first 1000 records has a field 'carier' (--key). The fields there \
             were t, 1. If it comes further on, say --type carier=str."
        );
        let asked_by = "sum(carier)".to_owned();
        let text = UnknownColumn { records: Some(1), asked_by, ..fields }.to_string();
        assert!(text.starts_with("d.csv: the first record has no field 'carier' (sum"), "{text}");
        assert!(text.ends_with("say --type carier=f64."), "{text}");
    }

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let columns = ["flight_id", "carrier", "dep_delay", "dep_time"];
        assert_eq!(unknown("carier", &columns).suggestion(), Some("carrier"));
        assert_eq!(unknown("DEP_TIME", &columns).suggestion(), Some("dep_time"));
        assert_eq!(unknown("delay", &columns).suggestion(), Some("dep_delay"));
        assert_eq!(unknown("x", &columns).suggestion(), None);
        assert_eq!(unknown("id", &columns).suggestion(), None);
        assert_eq!(
            unknown("carier", &columns).to_string(),
            "d.csv: there is no column 'carier' (--key); did you mean 'carrier'? The columns are \
             flight_id, carrier, dep_delay, dep_time."
        );
    }

    #[test]
    fn a_message_is_made_of_whole_sentences() {
        let mut unknown = unknown("AA", &["t", "carrier"]);
        let start = "d.csv: there is no column 'AA' (--key).";
        assert_eq!(unknown.to_string(), format!("{start} The columns are t, carrier."));
        unknown.as_text = Some("carrier = 'AA'".to_owned());
        let hint = "Text is written in single quotes: carrier = 'AA'.";
        assert_eq!(unknown.to_string(), format!("{start} {hint} The columns are t, carrier."));
    }

    #[test]
    fn a_header_of_numbers_brings_the_hint_that_there_may_be_none() {
        let text = unknown("key", &["7415", "159", "1699999999861"]).to_string();
        assert!(text.contains("--no-header --columns"), "{text}");
    }
}
