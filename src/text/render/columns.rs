//! What a result has: its columns, and a row of them.

use crate::record::KeyParts;
use crate::text::{Value, push_stamp};
use crate::time::EventTime;

/// The columns of results: the window's start and end, the key's parts, the aggregates, and
/// perhaps what kind of result it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumns {
    keys: Vec<String>,
    aggregates: Vec<String>,
    kind: bool,
}

/// Two columns of a result have the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "two columns of the result would be named '{0}'; name each key once, and an aggregate with 'as'"
)]
pub struct DuplicateColumn(pub String);

const WINDOW: [&str; 2] = ["window_start", "window_end"];
const KIND: &str = "kind";

impl ResultColumns {
    /// Columns with these names of key parts and aggregates, and a column `kind` if wanted.
    ///
    /// # Errors
    /// When two columns would have the same name.
    pub fn new(
        keys: Vec<String>,
        aggregates: Vec<String>,
        kind: bool,
    ) -> Result<Self, DuplicateColumn> {
        let columns = Self { keys, aggregates, kind };
        let mut names: Vec<_> = columns.names().collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        match twice.map(|pair| pair[0].to_owned()) {
            Some(name) => Err(DuplicateColumn(name)),
            None => Ok(columns),
        }
    }

    /// The names, in the order of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (keys, aggregates) = (self.keys.iter(), self.aggregates.iter());
        let middle = keys.chain(aggregates).map(String::as_str);
        let kind = self.kind.then_some(KIND);
        WINDOW.into_iter().chain(middle).chain(kind)
    }

    pub(super) fn keys(&self) -> &[String] {
        &self.keys
    }

    pub(super) fn aggregates(&self) -> &[String] {
        &self.aggregates
    }

    pub(super) const fn has_kind(&self) -> bool {
        self.kind
    }

    /// The parts of a row's key, one for each key column.
    #[inline]
    pub(super) fn key_parts<'a>(&self, key: &'a [u8]) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut parts = KeyParts::new(key);
        (0..self.keys.len()).map(move |_| parts.next().flatten())
    }
}

/// A result.
#[derive(Clone, Copy, Debug)]
pub struct ResultRow<'a> {
    /// When the window begins.
    pub window_start: EventTime,
    /// When it has ended.
    pub window_end: EventTime,
    /// The key, as [`KeyParts`] reads it.
    pub key: &'a [u8],
    /// What the aggregates came to.
    pub values: &'a [Value],
    /// What kind of result it is; shown only in a column `kind`.
    pub kind: &'a str,
}

/// The two ends of a window as text. Results come window by window, so they are written once for
/// many rows.
#[derive(Debug, Default)]
pub(super) struct WindowStamps {
    window: Option<(EventTime, EventTime)>,
    text: Vec<u8>,
    start_bytes: usize,
}

impl WindowStamps {
    #[inline]
    pub(super) fn of(&mut self, row: &ResultRow<'_>) -> [&[u8]; 2] {
        let window = Some((row.window_start, row.window_end));
        if self.window != window {
            self.window = window;
            self.text.clear();
            push_stamp(&mut self.text, row.window_start);
            self.start_bytes = self.text.len();
            push_stamp(&mut self.text, row.window_end);
        }
        let (start, end) = self.text.split_at(self.start_bytes);
        [start, end]
    }
}
