//! Records with quotes, by way of `csv_core`, with bounded buffers.
//!
//! What `csv_core` reads is the first line of a record, and the rest of one that is whole. Where
//! a record ends that spans lines is looked up in an [`Outline`].

use super::header::span_of;
use super::outline::{Known, Outline};
use crate::limits;
use crate::text::cells::CellSpan;
use crate::text::delimiter::Delimiter;
use crate::text::malformed::Fault;
use csv_core::ReadRecordResult;
use memchr::memchr2;
use std::fmt;

/// What became of a record with quotes.
pub(super) enum QuotedStep {
    /// More bytes are needed.
    More,
    /// A record: `length` bytes, of which the first `text` are its text.
    Record { length: usize, text: usize, fields: usize },
    /// It does not end within the limit, or ends with the input while a quote is open.
    Endless(Fault),
}

/// How far a record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its first line is under way.
    FirstLine,
    /// Its first line ended inside quotes.
    Further,
    /// All of it, which ends where its first line does.
    Line,
}

/// A record with quotes, perhaps under way.
pub(super) struct QuotedRecord {
    delimiter: Delimiter,
    reader: csv_core::Reader,
    unescaped: Vec<u8>,
    ends: Vec<usize>,
    read: usize,
    written: usize,
    fields: usize,
    stage: Stage,
    /// What was found out of the bytes ahead, by this record or by one before it.
    outline: Option<Outline>,
}

impl fmt::Debug for QuotedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotedRecord")
            .field("read", &self.read)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// The most bytes that are looked at for one record: the limit and a line's end.
pub(super) const LOOK_MAX: usize = limits::LINE_BYTES_MAX + 1;

/// The longest buffers, together, that are kept from record to record.
const KEPT_MAX: usize = 64 << 10;

impl QuotedRecord {
    /// No record yet.
    pub(super) fn new(delimiter: Delimiter) -> Self {
        let (unescaped, ends) = Self::buffers();
        Self {
            delimiter,
            reader: csv_core::ReaderBuilder::new().delimiter(delimiter.as_byte()).build(),
            unescaped,
            ends,
            read: 0,
            written: 0,
            fields: 0,
            stage: Stage::FirstLine,
            outline: None,
        }
    }

    fn buffers() -> (Vec<u8>, Vec<usize>) {
        (vec![0; 256], vec![0; 16])
    }

    /// Begins a record.
    pub(super) fn begin(&mut self) {
        // Not a clone of a fresh reader: csv-core 0.1.13 does not copy all of its tables.
        self.reader.reset();
        // A reader that has read nothing would take a byte order mark off the record.
        let _ = self.reader.read_record(b"\n", &mut [0], &mut [0]);
        if self.unescaped.len() + self.ends.len() > KEPT_MAX {
            // A huge record is rare; its memory is given back.
            (self.unescaped, self.ends) = Self::buffers();
        }
        (self.read, self.written, self.fields) = (0, 0, 0);
        self.stage = Stage::FirstLine;
    }

    /// Goes on with the record at the start of `bytes`, of which some may have been looked at.
    pub(super) fn next(&mut self, bytes: &[u8], ended: bool) -> QuotedStep {
        let look = &bytes[..bytes.len().min(LOOK_MAX)];
        if self.stage == Stage::FirstLine {
            self.read_line(look);
        }
        match self.stage {
            Stage::FirstLine if look.len() < LOOK_MAX && !ended => QuotedStep::More,
            // A line's end shows whether a quote is open.
            Stage::FirstLine => match self.advance(b"\n") {
                true if look.len() < LOOK_MAX => Self::record(bytes, look.len(), self.fields, true),
                is_closed => Self::endless(!is_closed),
            },
            Stage::Line => Self::record(bytes, self.read - 1, self.fields, ended),
            Stage::Further => self.look_further(bytes, look, ended),
        }
    }

    /// Reads the first line, as far as it is there.
    fn read_line(&mut self, look: &[u8]) {
        let rest = &look[self.read..];
        let end = memchr2(b'\n', b'\r', rest);
        if self.advance(end.map_or(rest, |end| &rest[..=end])) {
            self.stage = Stage::Line;
        } else if end.is_some() {
            self.stage = Stage::Further;
            let is_known =
                self.outline.as_mut().is_some_and(|outline| outline.join(look, self.read));
            if !is_known {
                self.outline = Some(Outline::new(self.delimiter, self.read));
            }
        }
    }

    fn look_further(&mut self, bytes: &[u8], look: &[u8], ended: bool) -> QuotedStep {
        let (delimiter, read) = (self.delimiter, self.read);
        let outline = self.outline.get_or_insert_with(|| Outline::new(delimiter, read));
        let is_all = look.len() < LOOK_MAX && ended;
        match outline.find_end(look, is_all) {
            Known::End(end) => Self::record(bytes, end.text, self.fields + end.fields, ended),
            Known::NoEnd { .. } if look.len() < LOOK_MAX && !ended => QuotedStep::More,
            Known::NoEnd { in_quotes } => Self::endless(in_quotes),
        }
    }

    const fn endless(in_quotes: bool) -> QuotedStep {
        QuotedStep::Endless(if in_quotes { Fault::UnclosedQuote } else { Fault::TooLong })
    }

    /// A record with so long a text and what ends its line.
    fn record(bytes: &[u8], text: usize, fields: usize, ended: bool) -> QuotedStep {
        let length = match (bytes.get(text), bytes.get(text + 1)) {
            (None, _) => text,
            (Some(b'\r'), Some(b'\n')) => text + 2,
            (Some(b'\r'), None) if !ended => return QuotedStep::More,
            _ => text + 1,
        };
        QuotedStep::Record { length, text, fields }
    }

    /// Reads what is left of a record, which has this text and so many fields.
    pub(super) fn finish(&mut self, text: &[u8], fields: usize) {
        if self.stage == Stage::Further {
            let ends = self.advance_from(text) || self.advance(b"\n");
            debug_assert!(ends, "the outline says that it ends here");
        }
        debug_assert_eq!(self.fields, fields, "the outline has the record's fields");
    }

    /// Whether something is known of the bytes ahead, so that each step has to be noted.
    #[inline]
    pub(super) const fn knows_ahead(&self) -> bool {
        self.outline.is_some()
    }

    /// Notes that the first `length` of `bytes` are consumed.
    pub(super) fn pass(&mut self, bytes: &[u8], length: usize) {
        if let Some(outline) = &mut self.outline
            && !outline.pass(bytes, length)
        {
            self.outline = None;
        }
    }

    /// Reads the rest of a record's bytes. Whether it ends within them.
    fn advance_from(&mut self, bytes: &[u8]) -> bool {
        let read = self.read;
        self.advance(&bytes[read..])
    }

    /// Reads further bytes of the record. Whether it ends within them.
    fn advance(&mut self, mut bytes: &[u8]) -> bool {
        // To the reader, no bytes at all mean the end of the input.
        while !bytes.is_empty() {
            let unescaped = &mut self.unescaped[self.written..];
            let ends = &mut self.ends[self.fields..];
            let (result, read, wrote, fields) = self.reader.read_record(bytes, unescaped, ends);
            bytes = &bytes[read..];
            self.read += read;
            self.written += wrote;
            self.fields += fields;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    self.unescaped.resize(self.unescaped.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record | ReadRecordResult::End => return true,
            }
        }
        false
    }

    /// The record's fields, one after the other.
    pub(super) fn unescaped(&self) -> &[u8] {
        &self.unescaped[..self.written]
    }

    /// Where a field lies in [`QuotedRecord::unescaped`].
    pub(super) fn span(&self, field: usize) -> CellSpan {
        let start = if field == 0 { 0 } else { self.ends[field - 1] };
        span_of(start..self.ends[field])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_quotes_is_read_in_one_step() {
        let mut quoted = QuotedRecord::new(Delimiter::COMMA);
        quoted.begin();
        let bytes = b"-3,\"a,\"\"b\",-6,,z\nrest";
        let QuotedStep::Record { length, text, fields } = quoted.next(bytes, false) else {
            panic!("a record");
        };
        assert_eq!((length, text, fields), (17, 16, 5));
        quoted.finish(&bytes[..text], fields);
        assert_eq!(&quoted.unescaped()[..9], b"-3a,\"b-6z");
    }

    #[test]
    fn a_record_that_begins_with_a_byte_order_mark_keeps_it() {
        let mut quoted = QuotedRecord::new(Delimiter::COMMA);
        for _ in 0..2 {
            quoted.begin();
            let bytes = "\u{feff}a,\"b\"\n".as_bytes();
            assert!(matches!(quoted.next(bytes, false), QuotedStep::Record { length: 9, .. }));
            assert_eq!(&quoted.unescaped()[..5], "\u{feff}ab".as_bytes());
        }
    }
}
