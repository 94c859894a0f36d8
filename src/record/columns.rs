//! Rows whose columns are known at run time: an event time, a key of bytes, nullable numbers.

use super::{BytesKey, Schema};
use crate::time::EventTime;

/// Where bytes lie in a tail heap: offset and length in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapRef {
    offset: u32,
    length: u32,
}

impl HeapRef {
    /// Nothing, anywhere.
    pub const EMPTY: Self = Self { offset: 0, length: 0 };

    /// Appends bytes to a heap and says where they lie.
    #[inline]
    pub fn push(heap: &mut Vec<u8>, bytes: &[u8]) -> Self {
        let offset = u32::try_from(heap.len()).expect("a batch's heap stays under 4 GiB");
        let length = u32::try_from(bytes.len()).expect("a record is shorter than 4 GiB");
        heap.extend_from_slice(bytes);
        Self { offset, length }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(self, heap: &[u8]) -> &[u8] {
        &heap[self.offset as usize..][..self.length as usize]
    }

    /// How many bytes.
    #[inline]
    pub const fn len(self) -> usize {
        self.length as usize
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }

    /// As a row holds it.
    #[inline]
    pub const fn to_raw(self) -> u64 {
        (self.length as u64) << 32 | self.offset as u64
    }

    /// From what a row holds.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the two halves of a word
    pub const fn from_raw(raw: u64) -> Self {
        Self { offset: raw as u32, length: (raw >> 32) as u32 }
    }
}

/// The schema of rows with a fixed number of nullable 8-byte columns.
///
/// ```text
///   word 0      1       2          3         4 ..            4 + ceil(columns / 64) ..
///  +--------+--------+----------+----------+----------------+---------------------------+
///  |  time  | flags  | key ref  | text ref | null bitmap    | columns: i64 or f64 bits  |
///  +--------+--------+----------+----------+----------------+---------------------------+
/// ```
/// `key ref` and `text ref` are [`HeapRef`]s; the text is the record as it was read, kept only
/// when someone asked for late records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    columns: u16,
}

const TIME: usize = 0;
const FLAGS: usize = 1;
const KEY: usize = 2;
const TEXT: usize = 3;
const NULLS: usize = 4;

const FLAG_FILTERED: u64 = 1;

impl Columns {
    /// The schema of rows with so many columns beside time and key.
    pub const fn new(columns: u16) -> Self {
        Self { columns }
    }

    /// Columns beside time and key.
    pub const fn columns(self) -> usize {
        self.columns as usize
    }

    /// The word, within a row, at which column `index` lies. Aggregates keep it.
    #[inline]
    pub const fn column_word(self, index: usize) -> usize {
        NULLS + self.columns().div_ceil(64) + index
    }
}

/// A row of a [`Columns`] schema, in place: one stride of words.
#[derive(Debug, bytemuck::TransparentWrapper)]
#[repr(transparent)]
pub struct ColumnRow([u64]);

impl ColumnRow {
    fn wrap(words: &[u64]) -> &Self {
        bytemuck::TransparentWrapper::wrap_ref(words)
    }

    /// The event time.
    #[inline]
    pub fn event_time(&self) -> EventTime {
        EventTime::from_nanos(self.0[TIME].cast_signed())
    }

    /// Whether a filter said no: the row only carries its time, for the watermark.
    #[inline]
    pub fn is_filtered(&self) -> bool {
        self.0[FLAGS] & FLAG_FILTERED != 0
    }

    /// Whether column `index` is null.
    #[inline]
    pub fn is_null(&self, index: usize) -> bool {
        self.0[NULLS + index / 64] >> (index % 64) & 1 != 0
    }

    /// The word at `word`, which [`Columns::column_word`] told.
    #[inline]
    pub fn word(&self, word: usize) -> u64 {
        self.0[word]
    }

    /// The record as it was read, when that is kept.
    #[inline]
    pub fn text<'a>(&self, heap: &'a [u8]) -> &'a [u8] {
        HeapRef::from_raw(self.0[TEXT]).bytes(heap)
    }
}

/// Rows under construction, as a source of text fills them; reused from batch to batch.
#[derive(Debug)]
pub struct ColumnRows {
    schema: Columns,
    words: Vec<u64>,
    heap: Vec<u8>,
}

impl ColumnRows {
    /// An empty batch.
    pub const fn new(schema: Columns) -> Self {
        Self { schema, words: Vec::new(), heap: Vec::new() }
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.words.clear();
        self.heap.clear();
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.words.len() / self.schema.stride_words()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Bytes that the rows hold in the heap.
    pub fn heap_len(&self) -> usize {
        self.heap.len()
    }

    /// Begins a row: all columns null, no key, no text.
    pub fn begin(&mut self, time: EventTime) {
        let start = self.words.len();
        self.words.resize(start + self.schema.stride_words(), 0);
        self.words[start + TIME] = time.as_nanos().cast_unsigned();
        let nulls = NULLS..NULLS + self.schema.columns().div_ceil(64);
        self.words[start..][nulls].fill(u64::MAX);
    }

    fn last(&mut self) -> &mut [u64] {
        let stride = self.schema.stride_words();
        let start = self.words.len() - stride;
        &mut self.words[start..]
    }

    /// Marks the last row as refused by a filter.
    pub fn set_filtered(&mut self) {
        self.last()[FLAGS] |= FLAG_FILTERED;
    }

    /// Sets a column of the last row.
    #[inline]
    pub fn set(&mut self, index: usize, value: u64) {
        let word = self.schema.column_word(index);
        let row = self.last();
        row[NULLS + index / 64] &= !(1 << (index % 64));
        row[word] = value;
    }

    /// Sets the key of the last row; the closure appends the key's bytes to the heap.
    #[inline]
    pub fn set_key(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let raw = Self::append(&mut self.heap, write);
        self.last()[KEY] = raw;
    }

    /// Keeps the record, as it was read, with the last row.
    pub fn set_text(&mut self, text: &[u8]) {
        let raw = HeapRef::push(&mut self.heap, text).to_raw();
        self.last()[TEXT] = raw;
    }

    fn append(heap: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let before = heap.len();
        write(heap);
        let offset = u32::try_from(before).expect("a batch's heap stays under 4 GiB");
        let length = u32::try_from(heap.len() - before).expect("a key is shorter than 4 GiB");
        HeapRef { offset, length }.to_raw()
    }

    /// Takes the last row back.
    pub fn pop(&mut self) {
        let start = self.words.len() - self.schema.stride_words();
        self.words.truncate(start);
    }

    /// The rows, to be handed over.
    pub fn batch(&self) -> ColumnsBatch<'_> {
        ColumnsBatch { words: &self.words, heap: &self.heap }
    }
}

/// Rows of a [`Columns`] schema as a source hands them over.
#[derive(Clone, Copy, Debug)]
pub struct ColumnsBatch<'a> {
    words: &'a [u64],
    heap: &'a [u8],
}

impl Schema for Columns {
    type Row = ColumnRow;
    type Key = BytesKey;
    type Batch<'a> = ColumnsBatch<'a>;

    const HAS_TAIL: bool = true;

    #[inline]
    fn stride_words(&self) -> usize {
        self.column_word(self.columns())
    }

    #[inline]
    fn rows(&self, batch: ColumnsBatch<'_>) -> usize {
        batch.words.len() / self.stride_words()
    }

    #[inline]
    fn row<'a>(&self, batch: Self::Batch<'a>, index: usize) -> &'a ColumnRow {
        let stride = self.stride_words();
        ColumnRow::wrap(&batch.words[index * stride..][..stride])
    }

    #[inline]
    fn heap<'a>(&self, batch: Self::Batch<'a>) -> &'a [u8] {
        batch.heap
    }

    #[inline]
    fn event_time(&self, row: &ColumnRow) -> EventTime {
        row.event_time()
    }

    #[inline]
    fn key<'a>(&self, row: &'a ColumnRow, heap: &'a [u8]) -> &'a [u8] {
        HeapRef::from_raw(row.0[KEY]).bytes(heap)
    }

    #[inline]
    fn tail_bytes(&self, row: &ColumnRow) -> usize {
        HeapRef::from_raw(row.0[KEY]).len() + HeapRef::from_raw(row.0[TEXT]).len()
    }

    #[inline]
    fn lay(&self, row: &ColumnRow, heap: &[u8], words: &mut [u64], tail: &mut Vec<u8>) {
        words.copy_from_slice(&row.0);
        let key = HeapRef::from_raw(row.0[KEY]).bytes(heap);
        words[KEY] = HeapRef::push(tail, key).to_raw();
        let text = HeapRef::from_raw(row.0[TEXT]);
        if !text.is_empty() {
            words[TEXT] = HeapRef::push(tail, text.bytes(heap)).to_raw();
        }
    }

    #[inline]
    fn view<'a>(&self, words: &'a [u64]) -> &'a ColumnRow {
        ColumnRow::wrap(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_the_way_into_a_frame() {
        let schema = Columns::new(70);
        let mut rows = ColumnRows::new(schema);
        rows.begin(EventTime::from_nanos(-5));
        rows.set_key(|key| key.extend_from_slice(b"first"));
        rows.begin(EventTime::from_nanos(7));
        rows.set(0, 11);
        rows.set(69, 12);
        rows.set_key(|key| key.extend_from_slice(b"second"));
        rows.set_text(b"7,second,11");

        let batch = rows.batch();
        assert_eq!(schema.rows(batch), 2);
        let (mut words, mut tail) = (vec![0; schema.stride_words()], b"before".to_vec());
        schema.lay(schema.row(batch, 1), schema.heap(batch), &mut words, &mut tail);
        let row = schema.view(&words);
        assert_eq!(row.event_time(), EventTime::from_nanos(7));
        assert_eq!(schema.key(row, &tail), b"second");
        assert_eq!(row.text(&tail), b"7,second,11");
        assert!(!row.is_null(0) && row.is_null(1) && !row.is_null(69));
        assert_eq!(row.word(schema.column_word(69)), 12);
        assert!(schema.row(batch, 0).is_null(0));
    }
}
