//! The needed cells of one record, whatever format it came in, and what a format must offer.
//!
//! Uses the room's own faults only. Each column that anything needs has a slot, a small number; a
//! format finds the cells of all slots, the rest of the room works with slots.

use super::error::OpenError;
use super::malformed::Fault;

/// Where a cell lies: in the record as it was read or, unescaped, beside it. Four bytes each way,
/// since records are short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CellSpan {
    start: u32,
    end: u32,
}

const UNESCAPED: u32 = 1 << 31;

impl CellSpan {
    /// No value.
    pub(crate) const NULL: Self = Self { start: u32::MAX, end: u32::MAX };

    /// Bytes of the record. Records are far shorter than the 2 GiB that a span can name.
    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) const fn raw(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// Bytes beside the record.
    #[inline]
    pub(crate) const fn unescaped(start: usize, end: usize) -> Self {
        let span = Self::raw(start, end);
        Self { start: span.start | UNESCAPED, end: span.end }
    }
}

/// The cells of one record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a> {
    pub(crate) spans: &'a [CellSpan],
    pub(crate) raw: &'a [u8],
    pub(crate) unescaped: &'a [u8],
    /// Texts stand in quotes, and what stands without is a number or a truth value.
    pub(crate) typed: bool,
}

impl<'a> Cells<'a> {
    /// The cell of a slot; `None` when it is null.
    #[inline]
    pub(crate) fn get(&self, slot: usize) -> Option<&'a [u8]> {
        let CellSpan { start, end } = self.spans[slot];
        if start & UNESCAPED == 0 {
            return Some(&self.raw[start as usize..end as usize]);
        }
        if end == u32::MAX {
            return None;
        }
        Some(&self.unescaped[(start & !UNESCAPED) as usize..end as usize])
    }

    /// Whether the cell of a slot is a number or a truth value, and no text that looks like one.
    #[inline]
    pub(crate) fn is_bare(&self, slot: usize) -> bool {
        if !self.typed {
            return false;
        }
        let start = self.spans[slot].start;
        start & UNESCAPED == 0 && self.raw.get((start as usize).wrapping_sub(1)) != Some(&b'"')
    }
}

/// What stands at the front of some bytes.
#[derive(Debug)]
pub(crate) enum Step {
    /// A record; its cells lie ready. It takes `length` bytes, its text without the line's end is
    /// the first `text` of them.
    Record { length: usize, text: usize, lines: u64 },
    /// Bytes of no record: an empty line, the header, the rest of what was refused.
    Blank { length: usize, lines: u64 },
    /// What should have been a record and is none. `text` is as for a record.
    Refused { length: usize, text: usize, lines: u64, fault: Fault },
    /// The columns of the input are not those that were asked for.
    Unusable(Box<OpenError>),
    /// Not a whole record; at the end of the input, nothing at all.
    More,
}

impl Step {
    /// Bytes that it took, which are consumed before the next one.
    #[inline]
    pub(crate) const fn length(&self) -> usize {
        match self {
            Self::Record { length, .. }
            | Self::Blank { length, .. }
            | Self::Refused { length, .. } => *length,
            Self::Unusable(_) | Self::More => 0,
        }
    }
}

/// Where something lies in a record: lines below the record's first, and the byte within its line,
/// counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lines_below: u64,
    pub(crate) column: u64,
}

/// A format: splits records off bytes and finds the cells of the slots.
pub(crate) trait Records: Send {
    /// Looks at the front of `bytes`. After [`Step::More`] it is called again with the same bytes
    /// and more behind them, or with `ended`; after any other step with what follows its length.
    fn next(&mut self, bytes: &[u8], ended: bool) -> Step;

    /// The next bytes are the start of a text, as the first ones were.
    fn begin_anew(&mut self);

    /// The next bytes are not the start of a text: what came before was read by an earlier run.
    fn go_on(&mut self) {}

    /// Whether the bytes that come next are not in the middle of a line that was given up.
    fn is_at_record(&self) -> bool;

    /// The cells of the record that the last step found; `record` is its text.
    fn cells<'a>(&'a self, record: &'a [u8]) -> Cells<'a>;

    /// Where the cell of a slot starts in a record. Slow.
    fn locate(&self, record: &[u8], slot: usize) -> Place;

    /// Whether the columns are known, so that the next step is about records.
    fn knows_columns(&self) -> bool {
        true
    }

    /// The line that names the columns, as it was read.
    fn header(&self) -> Option<&[u8]> {
        None
    }

    /// The same format with no record under way, to look at records before they are read.
    fn look_ahead(&self) -> Self;

    /// Whether the column of a slot exists, as far as was seen.
    fn has_seen(&self, slot: usize) -> bool;

    /// The names of all columns that were seen, for a message.
    fn column_names(&self) -> Vec<String>;

    /// Whether these are all names that there were so far.
    fn has_all_names(&self) -> bool;

    /// All cells that a record has, needed or not, each with its column's name. Slow.
    fn named_cells(&self, record: &[u8]) -> Vec<(String, Vec<u8>)>;
}
