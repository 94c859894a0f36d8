//! Records with quotes, by way of `csv_core`, with bounded buffers.

use super::header::span_of;
use crate::limits;
use crate::text::cells::CellSpan;
use crate::text::delimiter::Delimiter;
use crate::text::malformed::Fault;
use csv_core::ReadRecordResult;
use memchr::memchr_iter;
use std::fmt;

/// What became of a record with quotes.
pub(super) enum QuotedStep {
    /// More bytes are needed.
    More,
    /// A record, as in [`crate::text::cells::Step::Record`].
    Record { length: usize, text: usize, lines: u64 },
    /// It does not end within the limit, or ends with the input while a quote is open.
    Endless(Fault),
}

/// A record with quotes, perhaps under way.
pub(super) struct QuotedRecord {
    reader: csv_core::Reader,
    unescaped: Vec<u8>,
    ends: Vec<usize>,
    read: usize,
    written: usize,
    fields: usize,
    /// All of it was read, perhaps but for the `\n` of a `\r\n`.
    complete: bool,
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
const LOOK_MAX: usize = limits::LINE_BYTES_MAX + 1;

/// The longest buffers, together, that are kept from record to record.
const KEPT_MAX: usize = 64 << 10;

impl QuotedRecord {
    /// No record yet.
    pub(super) fn new(delimiter: Delimiter) -> Self {
        let (unescaped, ends) = Self::buffers();
        Self {
            reader: csv_core::ReaderBuilder::new().delimiter(delimiter.as_byte()).build(),
            unescaped,
            ends,
            read: 0,
            written: 0,
            fields: 0,
            complete: false,
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
        self.complete = false;
    }

    /// Goes on with the record at the start of `bytes`, of which some may have been looked at.
    pub(super) fn next(&mut self, bytes: &[u8], ended: bool) -> QuotedStep {
        let look = bytes.len().min(LOOK_MAX);
        if !self.complete && !self.advance(&bytes[..look]) {
            if look < LOOK_MAX && !ended {
                return QuotedStep::More;
            }
            // A line's end shows whether a quote is open.
            if !self.advance_by(b"\n") {
                return QuotedStep::Endless(Fault::UnclosedQuote);
            }
            if look == LOOK_MAX {
                return QuotedStep::Endless(Fault::TooLong);
            }
            return Self::record(bytes, look, look);
        }
        self.complete = true;
        let text = self.read - 1;
        match (bytes[text], bytes.get(self.read)) {
            (b'\r', Some(b'\n')) => Self::record(bytes, text, text + 2),
            (b'\r', None) if !ended => QuotedStep::More,
            _ => Self::record(bytes, text, text + 1),
        }
    }

    fn record(bytes: &[u8], text: usize, length: usize) -> QuotedStep {
        let inside = memchr_iter(b'\n', &bytes[..text]).count() as u64;
        QuotedStep::Record { length, text, lines: inside + 1 }
    }

    /// Whether the record ends within `bytes`.
    fn advance(&mut self, bytes: &[u8]) -> bool {
        let before = self.read;
        let ends = self.advance_by(&bytes[before..]);
        debug_assert!(self.read <= bytes.len());
        ends
    }

    fn advance_by(&mut self, mut bytes: &[u8]) -> bool {
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

    /// Fields of the record.
    pub(super) const fn fields(&self) -> usize {
        self.fields
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
        let QuotedStep::Record { length, text, lines } = quoted.next(bytes, false) else {
            panic!("a record");
        };
        assert_eq!((length, text, lines, quoted.fields()), (17, 16, 1, 5));
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
