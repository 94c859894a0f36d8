//! Where the records end that begin with a quote which is not closed on its line, and how many
//! fields they have, without reading any byte as often as there are such records.
//!
//! A record that has not ended at a line's end is inside quotes there. So of two records that both
//! have not, the rest is one and the same: they end in one place, and what was found out of one
//! holds for the other.

use crate::text::delimiter::Delimiter;
use memchr::{memchr, memchr3};

/// In what the last byte stands, as `csv_core` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Before a field: it may begin with a quote.
    Start,
    /// A field, or what follows its quotes: a quote is a byte like any other.
    Field,
    Quotes,
    /// A quote inside quotes: it closes them, or is the first of two that stand for one.
    Quote,
}

/// A look through a record from inside its quotes to its end.
#[derive(Clone, Copy, Debug)]
struct Look {
    inside: Inside,
    /// Bytes looked at; once the record has ended, where its text does.
    at: usize,
    /// Fields that ended since the look began.
    fields: usize,
    ended: bool,
}

impl Look {
    const fn from_quotes(at: usize) -> Self {
        Self { inside: Inside::Quotes, at, fields: 0, ended: false }
    }

    /// Looks at the rest of `bytes`, or up to the record's end.
    fn advance(&mut self, bytes: &[u8], delimiter: u8) {
        while !self.ended && self.at < bytes.len() {
            let (rest, first) = (&bytes[self.at..], bytes[self.at]);
            match self.inside {
                Inside::Quotes => {
                    let quote = memchr(b'"', rest);
                    self.at += quote.map_or(rest.len(), |quote| quote + 1);
                    self.inside = if quote.is_some() { Inside::Quote } else { Inside::Quotes };
                }
                Inside::Start | Inside::Quote if first == b'"' => {
                    self.at += 1;
                    self.inside = Inside::Quotes;
                }
                Inside::Start | Inside::Quote | Inside::Field => {
                    self.inside = Inside::Field;
                    let end = memchr3(delimiter, b'\n', b'\r', rest);
                    self.at += end.unwrap_or(rest.len());
                    match end.map(|end| rest[end]) {
                        Some(byte) if byte == delimiter => {
                            self.at += 1;
                            self.fields += 1;
                            self.inside = Inside::Start;
                        }
                        Some(_) => self.end(),
                        None => {}
                    }
                }
            }
        }
    }

    /// The record ends here.
    const fn end(&mut self) {
        self.fields += 1;
        self.ended = true;
    }
}

/// The rest of a record, as far as it is known. All places count from the front of the bytes that
/// are not consumed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline {
    delimiter: u8,
    /// Ahead, where the record's end is looked for.
    ahead: Look,
    /// Behind it, no farther than bytes were consumed, to tell fields that a later record has
    /// from those that it has not.
    behind: Look,
}

/// Where a record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The length of its text.
    pub(super) text: usize,
    /// Its fields from where it was joined.
    pub(super) fields: usize,
}

/// How far a record is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    End(End),
    /// It does not end in the bytes that there are; and whether a quote is open.
    NoEnd {
        in_quotes: bool,
    },
}

impl Outline {
    /// Of a record that is inside quotes behind the line's end before `at`.
    pub(super) const fn new(delimiter: Delimiter, at: usize) -> Self {
        let look = Look::from_quotes(at);
        Self { delimiter: delimiter.as_byte(), ahead: look, behind: look }
    }

    /// Whether another record that is inside quotes behind the line's end before `at` has the same
    /// rest; from now on it is about that one.
    pub(super) fn join(&mut self, bytes: &[u8], at: usize) -> bool {
        // The record's end is a line's end too, at which it was not inside quotes.
        let is_known = self.behind.at <= at && at <= self.ahead.at;
        if is_known {
            self.behind.advance(&bytes[..at], self.delimiter);
        }
        is_known
    }

    /// Looks for the end in `bytes`, which must be all that are there if `ended`.
    pub(super) fn find_end(&mut self, bytes: &[u8], ended: bool) -> Known {
        self.ahead.advance(bytes, self.delimiter);
        let in_quotes = self.ahead.inside == Inside::Quotes;
        if !self.ahead.ended && ended && !in_quotes {
            self.ahead.end();
        }
        match self.ahead.ended {
            true => Known::End(End {
                text: self.ahead.at,
                fields: self.ahead.fields - self.behind.fields,
            }),
            false => Known::NoEnd { in_quotes },
        }
    }

    /// The first `length` of `bytes` are consumed; `false` when nothing is known of the rest.
    pub(super) fn pass(&mut self, bytes: &[u8], length: usize) -> bool {
        if length > self.ahead.at {
            return false;
        }
        self.behind.advance(&bytes[..length], self.delimiter);
        self.behind.at -= length;
        self.ahead.at -= length;
        true
    }
}
