//! What a record is, how it is keyed, and how its row is laid down as bytes.
//!
//! May use `time` and `limits`. Knows nothing of rings, windows or files. A [`Record`] is the
//! embedder's own plain struct; a [`Schema`] tells the engine how rows of one stream are written
//! into frames and read back in place, with the shape known at compile time ([`Typed`]) or at run
//! time ([`Columns`]).

mod columns;
mod key;
mod key_kind;
mod schema;
mod words;

pub use columns::{ColumnRow, ColumnRows, Columns, ColumnsBatch, HeapRef};
pub use key::{KeyHash, RouteHasher, ShardIndex, TableHasher};
pub use key_kind::{BytesKey, KeyKind, KeyParts, PodKey, push_bare_key_part, push_key_part};
pub use schema::{Schema, Typed};
pub use words::{NotSaved, WordsReader, WordsWriter};

use crate::time::EventTime;
use bytemuck::Pod;
use std::fmt::Debug;
use std::hash::Hash;

/// What records are grouped by: plain bytes with equality that agrees with the bytes.
///
/// Implemented for every type that qualifies. Floating-point keys do not (`-0.0 == 0.0`).
pub trait Key: Pod + Eq + Hash + Send + Debug {}

impl<K: Pod + Eq + Hash + Send + Debug> Key for K {}

/// A record: a plain row with an event time and a key. Nothing else is ever required of it.
///
/// ```
/// use tidewheel::{EventTime, Pod, Record, Zeroable};
///
/// #[derive(Clone, Copy, Debug, Pod, Zeroable)]
/// #[repr(C)]
/// struct Tick {
///     at: i64,
///     price: f64,
///     symbol: u64,
/// }
///
/// impl Record for Tick {
///     type Key = u64;
///     fn event_time(&self) -> EventTime {
///         EventTime::from_nanos(self.at)
///     }
///     fn key(&self) -> u64 {
///         self.symbol
///     }
/// }
/// ```
pub trait Record: Pod + Send + Sync {
    /// What the records of this stream are grouped by.
    type Key: Key;

    /// When the thing happened.
    fn event_time(&self) -> EventTime;

    /// The key that decides which shard owns the record.
    fn key(&self) -> Self::Key;
}

/// Where a record stands among the others, for aggregates that depend on order: by time, ties by
/// (partition, position in the partition).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The record's event time.
    pub time: EventTime,
    /// Breaks ties between equal times.
    pub sequence: SourceSequence,
}

/// (Partition, position in the partition) in one word, ordered in that order. The position is 48
/// bits wide.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable,
)]
#[repr(transparent)]
pub struct SourceSequence(u64);

impl SourceSequence {
    const POSITION_BITS: u32 = 48;

    /// The sequence of the record at `position` of `partition`.
    #[inline]
    pub const fn new(partition: u16, position: u64) -> Self {
        Self(
            (partition as u64) << Self::POSITION_BITS | position & ((1 << Self::POSITION_BITS) - 1),
        )
    }

    /// The sequence `rows` further in the same partition.
    #[inline]
    #[must_use]
    pub const fn plus(self, rows: u32) -> Self {
        Self(self.0 + rows as u64)
    }

    /// As frames carry it.
    #[inline]
    pub const fn to_raw(self) -> u64 {
        self.0
    }

    /// From what a frame carries.
    #[inline]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}
