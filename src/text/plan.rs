//! What is to be read from text: which columns, as what, and which records.
//!
//! May use `time`.

use super::delimiter::Delimiter;
use super::malformed::Malformed;
use super::timestamp::TimeUnit;
use crate::time::EventTime;

pub(crate) use super::kind::NumberKind;

/// How the text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// Where the names of CSV's columns come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderMode {
    /// The first record.
    FirstRecord,
    /// These; the first record is a record.
    Names(Vec<String>),
}

/// A column's type, as declared by the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredType {
    /// Numbers of this kind.
    Number(NumberKind),
    /// Text.
    Text,
}

/// A column that aggregates look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputColumn {
    /// Its name.
    pub name: String,
    /// Whether its numbers matter, or only whether there is something.
    pub numeric: bool,
    /// Who asks for it, for messages: `sum(dep_delay)`, say.
    pub asked_by: String,
}

/// What is to be read.
#[derive(Clone, Debug)]
pub struct ReadPlan {
    /// How the text is laid out.
    pub format: InputFormat,
    /// What stands between CSV's fields.
    pub delimiter: Delimiter,
    /// Where CSV's column names come from.
    pub header: HeaderMode,
    /// Fields of CSV that are exactly one of these are null, as an empty one always is.
    pub nulls: Vec<String>,
    /// The column of event time.
    pub time: String,
    /// What its numbers count; dates and times of day, if `None`.
    pub time_unit: Option<TimeUnit>,
    /// The columns of the key, in order.
    pub keys: Vec<String>,
    /// The columns of the aggregates.
    pub inputs: Vec<InputColumn>,
    /// Types of columns, as declared.
    pub types: Vec<(String, DeclaredType)>,
    /// Kinds of columns as an earlier run found them. Columns are read as if these were declared,
    /// but nobody has said so: what the first records show of a filter is shown as it was then.
    pub recalled: Vec<(String, NumberKind)>,
    /// Which records are kept; all, if `None`.
    pub filter: Option<String>,
    /// Whether a malformed record is an error.
    pub strict: bool,
    /// Whether each record's text goes along with its row. All inputs that name their columns must
    /// then name the same ones in the same order, so that one header is right for all texts.
    pub keep_text: bool,
    /// What the end of a file means.
    pub follow: Follow,
}

/// What the end of a regular file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The end of the input.
    Never,
    /// More may come, of this very file: one that is cut, or whose name leads to another file, is
    /// an error. With a state directory files can be followed so, and not by their names.
    File,
    /// More may come, of whatever file has the name, as with `tail -F`. One that is cut is read
    /// again from its start; one that is replaced is read to its end, and the other then from its
    /// start. Each start is that of an input: CSV whose first record names the columns names them
    /// there again.
    Name,
}

/// Something that a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A malformed record; the first few of each source are told.
    Malformed(Malformed),
    /// An input has brought too little for a while to begin with.
    Waiting {
        /// The input.
        name: String,
        /// What is waited for.
        awaited: Awaited,
    },
    /// A file that is to be followed is not there yet.
    Absent {
        /// The input.
        name: String,
    },
    /// An input among several holds no record.
    Empty {
        /// The input.
        name: String,
    },
    /// A stop left the start of a line that was not whole yet.
    Unfinished {
        /// The input.
        name: String,
        /// Bytes of it.
        bytes: usize,
    },
    /// A followed file was cut, and is read again from its start.
    Cut {
        /// The input.
        name: String,
        /// Bytes that it was cut to.
        size: u64,
        /// Bytes of it that had been read.
        read: u64,
        /// The last of these, which were no whole line yet and are left out.
        unfinished: usize,
    },
    /// The name of a followed file leads to another file now. The one was read to its end, and the
    /// other is read from its start.
    Replaced {
        /// The input.
        name: String,
    },
    /// Times are read in one unit, and would be of our days in another.
    OtherUnit {
        /// The input.
        name: String,
        /// The unit.
        unit: TimeUnit,
        /// The first time, as it was taken.
        time: EventTime,
        /// The other unit.
        likely: TimeUnit,
        /// The time in that one.
        likely_time: EventTime,
    },
    /// Times are finer than a millisecond, though no such unit was said.
    FinerThanMillis {
        /// The input.
        name: String,
        /// The first such time.
        time: EventTime,
    },
    /// The name of a followed file leads to none that can be read. The file that was opened is
    /// followed until another has the name.
    Gone {
        /// The input.
        name: String,
        /// What the system said.
        problem: String,
    },
}

/// What must come of an input before the first record can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Awaited {
    /// The line that names the columns.
    Header,
    /// Records that tell the types of these columns.
    Types {
        /// The columns.
        columns: Vec<String>,
        /// Records that came.
        records: usize,
        /// Records that are waited for.
        needed: usize,
    },
}

/// A column that something needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) asked_by: String,
    /// What it holds matters, and not only whether it holds something.
    pub(crate) is_read: bool,
    /// What to write if this was meant as a text and not as a column: `carrier = 'AA'`.
    pub(crate) as_text: Option<String>,
}

/// The slots, each column once.
#[derive(Debug, Default)]
pub(crate) struct Slots(pub(crate) Vec<Slot>);

impl Slots {
    /// The number of a column's slot; a new one if need be.
    pub(crate) fn of(&mut self, name: &str, asked_by: &str) -> usize {
        let slot = self.of_presence(name, asked_by);
        self.0[slot].is_read = true;
        slot
    }

    /// The same of a column of which only matters whether it holds something.
    pub(crate) fn of_presence(&mut self, name: &str, asked_by: &str) -> usize {
        if let Some(slot) = self.0.iter().position(|slot| slot.name == name) {
            return slot;
        }
        let (name, asked_by) = (name.to_owned(), asked_by.to_owned());
        self.0.push(Slot { name, asked_by, is_read: false, as_text: None });
        self.0.len() - 1
    }
}
