//! CSV: records, and the cells of the needed columns.
//!
//! Uses `limits`. What a record is, is what `csv_core` says: fields between delimiters, double
//! quotes around fields, lines ended by `\n`, `\r\n` or `\r`, empty lines skipped. Lines without a
//! quote are split here, which is quicker and, as tests prove, the same; a line with a quote goes
//! through `csv_core`.
//!
//! A quote that is opened and not closed would swallow what follows. So a record that ends nowhere
//! within the limit, or that spans lines and has the wrong number of fields, costs its first line
//! alone: reading goes on with the next. What was found out of the bytes behind it is kept, so that
//! no byte is looked at more than a few times, however many such records there are.

mod header;
mod outline;
mod quoted;

pub(crate) use header::Header;

use super::cells::{CellSpan, Cells, Place, Records, Step};
use super::error::OpenError;
use super::malformed::Fault;
use crate::limits;
use header::Layout;
use memchr::{memchr, memchr_iter, memchr2, memchr3, memrchr};
use quoted::{QuotedRecord, QuotedStep};
use std::sync::Arc;

/// Splits CSV.
#[derive(Debug)]
pub(crate) struct CsvRecords {
    header: Header,
    layout: Option<Layout>,
    spans: Box<[CellSpan]>,
    /// Texts that stand for no value.
    nulls: Arc<[Box<[u8]>]>,
    quoted: QuotedRecord,
    /// The cells of the last record are unescaped, in `quoted`.
    is_quoted: bool,
    /// What to do with the next bytes.
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A record begins; so many of its bytes are known to hold neither quote nor line end.
    Line { scanned: usize },
    /// A record with quotes is under way.
    Quoted,
    /// The rest of a refused line is skipped.
    Skipping,
}

const START: State = State::Line { scanned: 0 };

impl CsvRecords {
    /// For an input whose columns `header` names, where `nulls` stand for no value.
    ///
    /// # Errors
    /// When names were given and a needed column is not among them.
    pub(crate) fn new(header: Header, nulls: &[String]) -> Result<Self, OpenError> {
        Ok(Self {
            nulls: nulls.iter().map(|text| text.as_bytes().into()).collect(),
            spans: vec![CellSpan::NULL; header.slots()].into(),
            quoted: QuotedRecord::new(header.delimiter()),
            layout: header.given_layout()?,
            header,
            is_quoted: false,
            state: START,
        })
    }

    /// A record without quotes: everything up to the end of the line. `None` when a record with
    /// quotes begins.
    #[inline]
    fn next_line(&mut self, bytes: &[u8], ended: bool, scanned: usize) -> Option<Step> {
        let found = memchr3(b'\n', b'\r', b'"', &bytes[scanned..]).map(|at| at + scanned);
        let end = found.unwrap_or(bytes.len());
        if end > limits::LINE_BYTES_MAX {
            return Some(self.skip_line(end, limits::LINE_BYTES_MAX, Fault::TooLong));
        }
        let length = match found.map(|at| bytes[at]) {
            Some(b'\n') => end + 1,
            Some(b'"') => {
                self.state = State::Quoted;
                self.quoted.begin();
                return None;
            }
            Some(_) => match bytes.get(end + 1) {
                Some(b'\n') => end + 2,
                None if !ended => return Some(self.wait(end)),
                _ => end + 1,
            },
            None if ended && end != 0 => end,
            None => return Some(self.wait(end)),
        };
        self.state = START;
        if end == 0 {
            return Some(Step::Blank { length, lines: 1 });
        }
        Some(self.split(&bytes[..end], length))
    }

    /// A step with quotes, or where something is known of the bytes ahead.
    #[inline(never)]
    fn next_slowly(&mut self, bytes: &[u8], ended: bool) -> Step {
        let step = match self.state {
            State::Line { scanned } => self.next_line(bytes, ended, scanned),
            State::Quoted => None,
            State::Skipping => Some(self.skip(bytes)),
        };
        let step = step.unwrap_or_else(|| self.next_quoted(bytes, ended));
        self.quoted.pass(bytes, step.length());
        step
    }

    const fn wait(&mut self, scanned: usize) -> Step {
        self.state = State::Line { scanned };
        Step::More
    }

    #[inline]
    fn split(&mut self, line: &[u8], length: usize) -> Step {
        let Some(layout) = &self.layout else {
            return self.take_header(line, length, 1);
        };
        self.is_quoted = false;
        let found = layout.split(line, &mut self.spans);
        let (expected, text, lines) = (layout.width(), line.len(), 1);
        if found == expected {
            self.take_nulls(line);
            return Step::Record { length, text, lines };
        }
        let delimiter = self.header.delimiter();
        Step::Refused { length, text, lines, fault: Fault::Fields { expected, found, delimiter } }
    }

    #[cold]
    fn take_header(&mut self, record: &[u8], length: usize, lines: u64) -> Step {
        match self.header.read(record) {
            Ok(layout) => self.layout = Some(layout),
            Err(error) => return Step::Unusable(Box::new(error)),
        }
        Step::Blank { length, lines }
    }

    fn next_quoted(&mut self, bytes: &[u8], ended: bool) -> Step {
        match self.quoted.next(bytes, ended) {
            QuotedStep::More => Step::More,
            QuotedStep::Endless(fault) => self.refuse_first_line(bytes, ended, fault),
            QuotedStep::Record { length, text, fields } => {
                self.state = START;
                self.take_quoted(&bytes[..text], length, fields)
            }
        }
    }

    fn take_quoted(&mut self, record: &[u8], length: usize, found: usize) -> Step {
        let lines = |record| memchr_iter(b'\n', record).count() as u64 + 1;
        let Some(layout) = &self.layout else {
            return self.take_header(record, length, lines(record));
        };
        let (expected, text) = (layout.width(), record.len());
        if expected != found {
            let delimiter = self.header.delimiter();
            let fault = Fault::Fields { expected, found, delimiter };
            if memchr(b'\n', record).is_some() {
                return self.refuse_first_line(record, true, fault);
            }
            return Step::Refused { length, text, lines: 1, fault };
        }
        self.quoted.finish(record, found);
        self.is_quoted = true;
        for (slot, span) in self.spans.iter_mut().enumerate() {
            *span = self.quoted.span(layout.column_of(slot));
        }
        self.take_nulls(record);
        Step::Record { length, text, lines: lines(record) }
    }

    /// Makes the cells null that hold a text which stands for no value.
    #[inline]
    fn take_nulls(&mut self, record: &[u8]) {
        if self.nulls.is_empty() {
            return;
        }
        for slot in 0..self.spans.len() {
            let cell = self.cells(record).get(slot);
            if cell.is_some_and(|cell| self.nulls.iter().any(|null| **null == *cell)) {
                self.spans[slot] = CellSpan::NULL;
            }
        }
    }

    /// Refuses the record under way, and goes on behind its first line.
    #[cold]
    fn refuse_first_line(&mut self, bytes: &[u8], ended: bool, fault: Fault) -> Step {
        if self.layout.is_none() {
            let problem = fault.describe("", &[]);
            return Step::Unusable(Box::new(self.header.unreadable(problem)));
        }
        let Some(end) = memchr(b'\n', bytes) else {
            let known = if ended { bytes.len() } else { limits::LINE_BYTES_MAX };
            return self.skip_line(known, known, fault);
        };
        self.state = START;
        Step::Refused { length: end + 1, text: end, lines: 1, fault }
    }

    /// Refuses a line whose end is not there yet.
    #[cold]
    fn skip_line(&mut self, length: usize, text: usize, fault: Fault) -> Step {
        if self.layout.is_none() {
            let problem = fault.describe("", &[]);
            return Step::Unusable(Box::new(self.header.unreadable(problem)));
        }
        self.state = State::Skipping;
        Step::Refused { length, text, lines: 0, fault }
    }

    /// Skips to the end of a line, which then looks like an empty line.
    #[cold]
    fn skip(&mut self, bytes: &[u8]) -> Step {
        let end = memchr2(b'\n', b'\r', bytes);
        if end.is_some() {
            self.state = START;
        }
        match end.unwrap_or(bytes.len()) {
            0 if end.is_none() => Step::More,
            length => Step::Blank { length, lines: 0 },
        }
    }
}

impl Records for CsvRecords {
    #[inline]
    fn next(&mut self, bytes: &[u8], ended: bool) -> Step {
        if let State::Line { scanned } = self.state
            && !self.quoted.knows_ahead()
            && let Some(step) = self.next_line(bytes, ended, scanned)
        {
            return step;
        }
        self.next_slowly(bytes, ended)
    }

    fn begin_anew(&mut self) {
        self.state = START;
        if self.header.text().is_some() {
            self.layout = None;
        }
    }

    fn is_at_record(&self) -> bool {
        self.state != State::Skipping
    }

    #[inline]
    fn cells<'a>(&'a self, record: &'a [u8]) -> Cells<'a> {
        let raw = if self.is_quoted { self.quoted.unescaped() } else { record };
        Cells { spans: &self.spans, raw, unescaped: &[], typed: false }
    }

    fn locate(&self, record: &[u8], slot: usize) -> Place {
        let column = self.layout.as_ref().map_or(0, |layout| layout.column_of(slot));
        let start = header::fields(record, self.header.delimiter())
            .nth(column)
            .map_or(record.len(), |field| field.start);
        let above = &record[..start];
        let line_start = memrchr(b'\n', above).map_or(0, |at| at + 1);
        Place {
            lines_below: memchr_iter(b'\n', above).count() as u64,
            column: (start - line_start) as u64 + 1,
        }
    }

    fn knows_columns(&self) -> bool {
        self.layout.is_some()
    }

    fn header(&self) -> Option<&[u8]> {
        self.header.text()
    }

    fn look_ahead(&self) -> Self {
        Self {
            header: self.header.clone(),
            layout: self.layout.clone(),
            spans: self.spans.clone(),
            nulls: Arc::clone(&self.nulls),
            quoted: QuotedRecord::new(self.header.delimiter()),
            is_quoted: false,
            state: START,
        }
    }

    fn has_seen(&self, _: usize) -> bool {
        // A column that is not in the header was an error.
        true
    }

    fn column_names(&self) -> Vec<String> {
        self.header.names().to_vec()
    }

    fn has_all_names(&self) -> bool {
        self.knows_columns()
    }

    fn named_cells(&self, record: &[u8]) -> Vec<(String, Vec<u8>)> {
        let cells = header::fields(record, self.header.delimiter()).map(|field| field.text);
        self.header.names().iter().cloned().zip(cells).collect()
    }
}

#[cfg(test)]
mod tests;
