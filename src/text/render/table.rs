//! A table for people: columns aligned, as wide as the first rows need.
//!
//! Rows are held back until enough of them decide how wide the columns are; the others then go
//! straight through. A later cell that is wider than its column widens it from that row on.

use super::{ResultColumns, ResultRow};
use crate::limits;

const GAP: usize = 2;

/// Cells of rows: their text and where each one ends in it.
#[derive(Debug, Default)]
struct Cells {
    text: Vec<u8>,
    /// End of each cell, and how many characters it has.
    ends: Vec<(usize, usize)>,
}

impl Cells {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Ends a cell whose text was appended behind the cell before.
    fn end_cell(&mut self) {
        let start = self.ends.last().map_or(0, |(end, _)| *end);
        let chars = self.text[start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        self.ends.push((self.text.len(), chars));
    }
}

#[derive(Debug)]
pub(super) struct Table {
    widths: Vec<usize>,
    /// Whether each column's text ends where the column does.
    right: Vec<bool>,
    held: Cells,
    /// Whether the first of the rows held is the header.
    holds_header: bool,
    /// Whether the widths are decided.
    decided: bool,
}

impl Table {
    pub(super) fn new(columns: &ResultColumns) -> Self {
        let (keys, aggregates) = (columns.keys().len(), columns.aggregates().len());
        let count = columns.names().count();
        Self {
            widths: vec![0; count],
            right: (0..count).map(|c| (2 + keys..2 + keys + aggregates).contains(&c)).collect(),
            held: Cells::default(),
            holds_header: false,
            decided: false,
        }
    }

    pub(super) fn set_header(&mut self, columns: &ResultColumns) {
        for name in columns.names() {
            push_visible(&mut self.held.text, name.as_bytes());
            self.held.end_cell();
        }
        self.holds_header = true;
    }

    pub(super) fn push_row(
        &mut self,
        out: &mut Vec<u8>,
        columns: &ResultColumns,
        stamps: [&[u8]; 2],
        row: &ResultRow<'_>,
    ) {
        let cells = &mut self.held;
        for stamp in stamps {
            cells.text.extend_from_slice(stamp);
            cells.end_cell();
        }
        for part in columns.key_parts(row.key) {
            push_visible(&mut cells.text, part.unwrap_or_default());
            cells.end_cell();
        }
        for value in row.values {
            value.push_text(&mut cells.text);
            cells.end_cell();
        }
        if columns.has_kind() {
            push_visible(&mut cells.text, row.kind.as_bytes());
            cells.end_cell();
        }
        let full = cells.ends.len() >= limits::TABLE_ROWS_HELD * self.widths.len()
            || cells.text.len() >= limits::TABLE_BYTES_HELD;
        if full || self.decided {
            self.release(out);
        }
    }

    /// Writes what is held, unless that is only the header: it waits for a first row.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        let header_cells = if self.holds_header { self.widths.len() } else { 0 };
        if self.held.ends.len() > header_cells {
            self.release(out);
        }
    }

    /// Widens the columns to what is held, and writes it.
    pub(super) fn release(&mut self, out: &mut Vec<u8>) {
        for row in self.held.ends.chunks(self.widths.len()) {
            for (width, (_, chars)) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(*chars);
            }
        }
        let mut start = 0;
        for row in self.held.ends.chunks(self.widths.len()) {
            self.push_line(out, start, row);
            start = row.last().map_or(start, |(end, _)| *end);
            if std::mem::take(&mut self.holds_header) {
                self.push_rule(out);
            }
        }
        self.held.clear();
        self.decided = true;
    }

    fn push_line(&self, out: &mut Vec<u8>, mut start: usize, cells: &[(usize, usize)]) {
        let line = out.len();
        for (column, (end, chars)) in cells.iter().enumerate() {
            let padding = self.widths[column] - chars;
            let (before, after) = if self.right[column] { (padding, 0) } else { (0, padding) };
            push_spaces(out, if column > 0 { GAP + before } else { before });
            out.extend_from_slice(&self.held.text[start..*end]);
            push_spaces(out, after);
            start = *end;
        }
        let blank = out[line..].iter().rev().take_while(|byte| **byte == b' ').count();
        out.truncate(out.len() - blank);
        out.push(b'\n');
    }

    fn push_rule(&self, out: &mut Vec<u8>) {
        for (column, width) in self.widths.iter().enumerate() {
            push_spaces(out, if column > 0 { GAP } else { 0 });
            out.resize(out.len() + width, b'-');
        }
        out.push(b'\n');
    }
}

fn push_spaces(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, b' ');
}

/// Appends text of which nothing can move a terminal's cursor: control characters are escaped,
/// bytes that are no Unicode become U+FFFD.
fn push_visible(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.iter().any(|byte| byte.is_ascii_control()) && bytes.is_ascii() {
        out.extend_from_slice(bytes);
        return;
    }
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() {
            out.extend(character.escape_default().map(|c| c as u8));
        } else {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}
