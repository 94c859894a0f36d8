//! Which columns look like times, to name them where the one that was asked for holds none.
//!
//! Uses nothing of the crate.

use super::timestamp::{ParseTimeError, TimeUnit, TimestampReader, likely};

/// Records that are looked at: enough to tell a time from what looks like one now and then.
const RECORDS_MAX: usize = 20;
/// Columns that a message names.
const NAMED_MAX: usize = 3;

/// How a cell reads as a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// A date, perhaps with a time of day.
    Date,
    /// A number that counts units of this name.
    Count(&'static str),
}

impl Reading {
    fn of(cell: &[u8]) -> Option<Self> {
        match TimestampReader::new(None).read(cell) {
            Ok(_) => Some(Self::Date),
            Err(ParseTimeError::NoUnit) => likely(cell).map(|(unit, _)| Self::Count(unit)),
            Err(_) => None,
        }
    }
}

/// What all columns of a few records look like.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    records: usize,
    /// How all cells of a column read that hold something, if all read alike.
    columns: Vec<(String, Option<Reading>)>,
}

impl Guesses {
    /// Whether more records are to be looked at.
    pub(crate) const fn is_open(&self) -> bool {
        self.records < RECORDS_MAX
    }

    /// Looks at the cells of a record, each with its column's name.
    pub(crate) fn note(&mut self, cells: Vec<(String, Vec<u8>)>) {
        self.records += 1;
        for (at, (name, cell)) in cells.into_iter().enumerate() {
            if cell.trim_ascii().is_empty() {
                continue;
            }
            let reading = Reading::of(&cell);
            // Mostly a column is where it was in the record before.
            let is_there = self.columns.get(at).is_some_and(|(known, _)| *known == name);
            let found = match is_there {
                true => Some(at),
                false => self.columns.iter().position(|(known, _)| *known == name),
            };
            match found {
                Some(at) if self.columns[at].1 == reading => {}
                Some(at) => self.columns[at].1 = None,
                None => self.columns.push((name, reading)),
            }
        }
    }

    /// What to say instead of a column of no times, where `unit` was said.
    pub(crate) fn mend(&self, unit: Option<TimeUnit>) -> String {
        let flags = |(name, reading): &(String, Option<Reading>)| match (reading.as_ref()?, unit) {
            (Reading::Date, None) => Some(format!("--time {name}")),
            (Reading::Date, Some(_)) => Some(format!("--time {name} without --time-unit")),
            (Reading::Count(unit), _) => Some(format!("--time {name} --time-unit {unit}")),
        };
        let named: Vec<String> = self.columns.iter().filter_map(flags).take(NAMED_MAX).collect();
        match named.is_empty() {
            true => "no other column looks like times".to_owned(),
            false => format!("what looks like times is {}", named.join(", or ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_looks_like_times_if_all_of_its_cells_do() {
        let mut guesses = Guesses::default();
        let names = ["id", "day", "at", "note", "none", "late"];
        for cells in [
            ["1", "2013-01-01", "1357016400000", "2013-01-01", "", ""],
            ["2013", "2013-01-02", "1357016400001", "soon", "", "2013-01-01 05:17"],
        ] {
            let cells = names.iter().zip(cells);
            guesses.note(cells.map(|(name, cell)| (name.to_string(), cell.into())).collect());
        }
        let expected = "what looks like times is --time day, or --time at --time-unit ms, or \
                        --time late";
        assert_eq!(guesses.mend(None), expected);
        let with_unit = guesses.mend(Some(TimeUnit::Seconds));
        assert!(with_unit.contains("--time day without --time-unit, or --time at"), "{with_unit}");
        assert_eq!(Guesses::default().mend(None), "no other column looks like times");
    }
}
