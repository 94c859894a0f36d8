//! Which field of a record belongs to which slot.

use crate::limits;
use crate::text::cells::CellSpan;
use crate::text::delimiter::Delimiter;
use crate::text::error::{OpenError, UnknownColumn};
use crate::text::malformed::quoted;
use crate::text::plan::Slot;
use memchr::memchr_iter;
use std::ops::Range;
use std::sync::Arc;

const NOT_UTF8: &str = "it is not UTF-8; convert the file, with iconv say, if it is text at all";

/// The names of an input's columns: given, or in its first record.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    input: String,
    slots: Arc<[Slot]>,
    delimiter: Delimiter,
    names: Vec<String>,
    text: Option<Vec<u8>>,
}

impl Header {
    /// The first record of `input` names the columns.
    pub(crate) const fn in_file(input: String, slots: Arc<[Slot]>, delimiter: Delimiter) -> Self {
        Self { input, slots, delimiter, names: Vec::new(), text: None }
    }

    /// The columns have these names, at least one, and the first record is one.
    pub(crate) const fn given(
        input: String,
        slots: Arc<[Slot]>,
        delimiter: Delimiter,
        names: Vec<String>,
    ) -> Self {
        Self { input, slots, delimiter, names, text: None }
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) const fn delimiter(&self) -> Delimiter {
        self.delimiter
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The record that named the columns.
    pub(super) fn text(&self) -> Option<&[u8]> {
        self.text.as_deref()
    }

    /// The layout, when names were given.
    pub(super) fn given_layout(&self) -> Result<Option<Layout>, OpenError> {
        match self.names.is_empty() {
            true => Ok(None),
            false => self.layout().map(Some),
        }
    }

    /// Takes the names from the input's first record.
    pub(super) fn read(&mut self, record: &[u8]) -> Result<Layout, OpenError> {
        let names = fields(record, self.delimiter).map(|field| field.text);
        let names: Result<Vec<_>, _> = names.map(String::from_utf8).collect();
        self.names = names.map_err(|_| self.unreadable(NOT_UTF8.to_owned()))?;
        if self.names.len() > limits::COLUMNS_MAX {
            let (found, most) = (self.names.len(), limits::COLUMNS_MAX);
            return Err(self.unreadable(format!("it names {found} columns; at most {most}")));
        }
        self.text = Some(record.to_vec());
        self.layout().map_err(|error| match error {
            OpenError::UnknownColumn(_) => self.other_format(record).unwrap_or(error),
            error => error,
        })
    }

    /// What the first record looks like, if not like names of columns between delimiters.
    fn other_format(&self, record: &[u8]) -> Option<OpenError> {
        let line = record.trim_ascii();
        let looks_like = match (line.first()?, line.last()?) {
            (b'{', b'}') => "JSON Lines; say --input-format jsonl",
            (b'{', _) => {
                "JSON; write one object a line, with jq -c . say, and say --input-format jsonl"
            }
            (b'[', _) => {
                "JSON; write one object a line, with jq -c '.[]' say, and say --input-format jsonl"
            }
            _ => return self.other_delimiter(record),
        };
        let problem = format!("{} is no CSV and looks like {looks_like}", quoted(line));
        Some(OpenError::Format { name: self.input.clone(), problem })
    }

    fn other_delimiter(&self, record: &[u8]) -> Option<OpenError> {
        let [only] = &self.names[..] else { return None };
        let usual = Delimiter::USUAL.into_iter();
        let count = |other: &Delimiter| memchr_iter(other.as_byte(), record).count();
        let likely = usual.filter(|other| count(other) > 0).max_by_key(count)?;
        let name = self.input.clone();
        let problem = format!(
            "the header {} names one column, and '{}' was expected between the names; say \
             --delimiter '{likely}' if that is what stands between them",
            quoted(only.as_bytes()),
            self.delimiter
        );
        Some(OpenError::Format { name, problem })
    }

    pub(super) fn unreadable(&self, problem: String) -> OpenError {
        OpenError::Header { name: self.input.clone(), problem }
    }

    /// Where the names stand, for a message.
    fn place(&self) -> String {
        match self.text {
            Some(_) => format!("{}:1", self.input),
            None => self.input.clone(),
        }
    }

    fn layout(&self) -> Result<Layout, OpenError> {
        let columns: Result<Box<[usize]>, _> =
            self.slots.iter().map(|slot| self.column(slot)).collect();
        let column_of = columns?;
        let mut slot_of = vec![NO_SLOT; self.names.len()];
        for (slot, column) in (0..).zip(&column_of) {
            slot_of[*column] = slot;
        }
        let looked_at = column_of.iter().max().map_or(0, |last| last + 1);
        Ok(Layout { delimiter: self.delimiter, slot_of: slot_of.into(), column_of, looked_at })
    }

    fn column(&self, slot: &Slot) -> Result<usize, OpenError> {
        let mut named = (0..).zip(&self.names).filter(|(_, name)| **name == slot.name);
        let Some((column, _)) = named.next() else {
            return Err(UnknownColumn::of(slot, self.place(), self.names.clone()).into());
        };
        match named.next() {
            None => Ok(column),
            Some((again, _)) => Err(OpenError::DuplicateColumn {
                name: self.place(),
                column: slot.name.clone(),
                first: column + 1,
                second: again + 1,
            }),
        }
    }
}

/// A field of a record: where it lies and what it says.
pub(super) struct Field {
    pub(super) start: usize,
    pub(super) text: Vec<u8>,
}

/// The fields of a record, one by one. Slow.
pub(super) fn fields(record: &[u8], delimiter: Delimiter) -> impl Iterator<Item = Field> + '_ {
    let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter.as_byte()).build();
    let mut out = vec![0; record.len() + 1];
    let mut at = 0;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let start = at;
        let (mut written, mut rest) = (0, &record[at..]);
        loop {
            let (result, read, wrote) = reader.read_field(rest, &mut out[written..]);
            (at, written) = (at + read, written + wrote);
            rest = &record[at..];
            match result {
                csv_core::ReadFieldResult::Field { record_end } => {
                    done = record_end;
                    let text = out[..written].to_vec();
                    return Some(Field { start, text });
                }
                csv_core::ReadFieldResult::End => return None,
                // What is left is nothing: the end, as the reader is now told.
                csv_core::ReadFieldResult::InputEmpty => {}
                csv_core::ReadFieldResult::OutputFull => {
                    unreachable!("a field is no longer than its record")
                }
            }
        }
    })
}

const NO_SLOT: u16 = u16::MAX;
const _: () = assert!(limits::COLUMNS_MAX < NO_SLOT as usize);

/// Which field belongs to which slot.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    delimiter: Delimiter,
    /// For each column its slot, or [`NO_SLOT`].
    slot_of: Box<[u16]>,
    column_of: Box<[usize]>,
    /// Columns up to the last that has a slot.
    looked_at: usize,
}

impl Layout {
    /// Fields of a record.
    #[inline]
    pub(super) fn width(&self) -> usize {
        self.slot_of.len()
    }

    #[inline]
    pub(super) fn column_of(&self, slot: usize) -> usize {
        self.column_of[slot]
    }

    /// Finds the cells of a line without quotes and says how many fields it has.
    #[inline]
    pub(super) fn split(&self, line: &[u8], spans: &mut [CellSpan]) -> usize {
        let looked_at = &self.slot_of[..self.looked_at];
        let mut delimiters = memchr_iter(self.delimiter.as_byte(), line);
        let mut start = 0;
        for (field, slot) in looked_at.iter().enumerate() {
            let delimiter = delimiters.next();
            let end = delimiter.unwrap_or(line.len());
            if *slot != NO_SLOT {
                spans[usize::from(*slot)] = Self::span(start, end);
            }
            if delimiter.is_none() {
                return field + 1;
            }
            start = end + 1;
        }
        looked_at.len() + 1 + delimiters.count()
    }

    #[inline]
    const fn span(start: usize, end: usize) -> CellSpan {
        if start == end { CellSpan::NULL } else { CellSpan::raw(start, end) }
    }
}

/// The span of a range; an empty one is null.
pub(super) const fn span_of(range: Range<usize>) -> CellSpan {
    Layout::span(range.start, range.end)
}
