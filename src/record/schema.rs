//! How the rows of one stream are written into frames and read back in place.

use super::{KeyKind, PodKey, Record};
use crate::time::EventTime;
use std::fmt::Debug;
use std::marker::PhantomData;

/// The shape of one stream's rows.
///
/// Rows lie as words of 8 bytes with one stride; what has no fixed width lies in a tail heap of
/// the same batch or frame, and the row says where.
pub trait Schema: Clone + Debug + Send + 'static {
    /// A row, read where it lies.
    type Row: ?Sized;
    /// The kind of the stream's keys.
    type Key: KeyKind;
    /// Rows as a source hands them over.
    type Batch<'a>: Copy;

    /// Whether a row can hold anything in a frame's tail heap.
    const HAS_TAIL: bool;

    /// Words from one row to the next in a frame.
    fn stride_words(&self) -> usize;

    /// How many rows a batch has.
    fn rows(&self, batch: Self::Batch<'_>) -> usize;
    /// One row of a batch.
    fn row<'a>(&self, batch: Self::Batch<'a>, index: usize) -> &'a Self::Row;
    /// The heap that the batch's rows point into.
    fn heap<'a>(&self, batch: Self::Batch<'a>) -> &'a [u8];

    /// When the row's event happened.
    fn event_time(&self, row: &Self::Row) -> EventTime;
    /// The row's key.
    fn key<'a>(&self, row: &'a Self::Row, heap: &'a [u8]) -> <Self::Key as KeyKind>::Ref<'a>;
    /// Bytes that the row takes in a frame's tail heap.
    fn tail_bytes(&self, row: &Self::Row) -> usize;

    /// Lays a row into `words`, one stride long, and appends to the frame's tail heap.
    fn lay(&self, row: &Self::Row, heap: &[u8], words: &mut [u64], tail: &mut Vec<u8>);
    /// A row that was laid so, in place.
    fn view<'a>(&self, words: &'a [u64]) -> &'a Self::Row;
}

/// Rows that are a Rust struct: no heap, no nulls, read in place.
pub struct Typed<T>(PhantomData<fn() -> T>);

impl<T: Record> Typed<T> {
    /// The schema of `T`.
    pub const fn new() -> Self {
        const {
            assert!(align_of::<T>() <= 8, "a record's alignment is at most 8 bytes");
            assert!(size_of::<T>() > 0, "a record has at least one byte");
            assert!(size_of::<T>() <= crate::limits::RECORD_BYTES_MAX, "a record fits a frame");
        };
        Self(PhantomData)
    }
}

impl<T: Record> Default for Typed<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Typed<T> {}

impl<T> Debug for Typed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Typed<{}>", std::any::type_name::<T>())
    }
}

impl<T: Record> Schema for Typed<T> {
    type Row = T;
    type Key = PodKey<T::Key>;
    type Batch<'a> = &'a [T];

    const HAS_TAIL: bool = false;

    #[inline(always)]
    fn stride_words(&self) -> usize {
        size_of::<T>().div_ceil(8)
    }

    #[inline(always)]
    fn rows(&self, batch: &[T]) -> usize {
        batch.len()
    }

    #[inline(always)]
    fn row<'a>(&self, batch: Self::Batch<'a>, index: usize) -> &'a T {
        &batch[index]
    }

    #[inline(always)]
    fn heap<'a>(&self, _: Self::Batch<'a>) -> &'a [u8] {
        &[]
    }

    #[inline(always)]
    fn event_time(&self, row: &T) -> EventTime {
        row.event_time()
    }

    #[inline(always)]
    fn key<'a>(&self, row: &'a T, _: &'a [u8]) -> T::Key {
        row.key()
    }

    #[inline(always)]
    fn tail_bytes(&self, _: &T) -> usize {
        0
    }

    #[inline(always)]
    fn lay(&self, row: &T, _: &[u8], words: &mut [u64], _: &mut Vec<u8>) {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
        bytes[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(row));
        // A call for nothing would cost more than the copy.
        if !size_of::<T>().is_multiple_of(8) {
            bytes[size_of::<T>()..].fill(0);
        }
    }

    #[inline(always)]
    fn view<'a>(&self, words: &'a [u64]) -> &'a T {
        let bytes: &[u8] = bytemuck::cast_slice(words);
        bytemuck::from_bytes(&bytes[..size_of::<T>()])
    }
}
