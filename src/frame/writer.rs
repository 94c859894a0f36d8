//! Writing a frame where it will be read: into memory claimed from a ring or a log.

use super::{Extras, FrameHeader, FrameKind, HEADER_WORDS};
use crate::record::{Schema, SourceSequence};
use crate::time::Watermark;
use std::ops::DerefMut;

/// What cannot be placed before a frame's row count is known: its optional columns and its tail
/// heap. One a lane, reused from frame to frame.
#[derive(Debug, Default)]
pub struct Tail {
    /// Bytes that rows point to.
    pub heap: Vec<u8>,
    sequences: Vec<u32>,
    row_watermarks: Vec<u32>,
    operations: Vec<u8>,
}

impl Tail {
    fn clear(&mut self) {
        self.heap.clear();
        self.sequences.clear();
        self.row_watermarks.clear();
        self.operations.clear();
    }
}

/// The optional columns' values of one row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp {
    /// Where the row stands in its source; the first row's becomes the header's.
    pub sequence: SourceSequence,
    /// Ticks that the row's watermark is past the header's.
    pub row_watermark: u32,
    /// `+I -U +U -D` as 0 to 3.
    pub operation: u8,
}

/// A frame under construction in `words`. Nothing is said until [`FrameWriter::finish`].
#[derive(Debug)]
pub struct FrameWriter<'t, W> {
    words: W,
    tail: &'t mut Tail,
    header: FrameHeader,
    extras: Extras,
    stride: usize,
    at: usize,
    count: u32,
}

impl<'t, W: DerefMut<Target = [u64]>> FrameWriter<'t, W> {
    /// Begins a frame with rows of `stride` words. `words` holds at least a header.
    #[inline]
    pub fn begin(
        words: W,
        tail: &'t mut Tail,
        mut header: FrameHeader,
        stride: usize,
        extras: Extras,
    ) -> Self {
        assert!(words.len() >= HEADER_WORDS, "a frame has room for its header");
        tail.clear();
        header.set_extras(extras);
        header.stride = u16::try_from(stride).expect("a stride fits a header");
        Self { words, tail, header, extras, stride, at: HEADER_WORDS, count: 0 }
    }

    /// Rows so far.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Makes the frame another kind than it was begun as.
    pub fn set_kind(&mut self, kind: FrameKind) {
        self.header.set_kind(kind);
    }

    /// Whether one more row fits, in a frame of whose rows none has a tail.
    #[inline(always)]
    pub fn has_room_without_tail(&self) -> bool {
        let columns = match self.extras {
            Extras::NONE => 0,
            extras => extras.words(self.count as usize + 1),
        };
        self.at + self.stride + columns <= self.words.len()
    }

    /// Whether one more row with so many bytes in the tail heap fits.
    #[inline]
    pub fn has_room(&self, tail_bytes: usize) -> bool {
        let mut end = self.at + self.stride;
        if tail_bytes != 0 || !self.tail.heap.is_empty() {
            end += (self.tail.heap.len() + tail_bytes).div_ceil(8);
        }
        if self.extras != Extras::NONE {
            end += self.extras.words(self.count as usize + 1);
        }
        end <= self.words.len()
    }

    /// Adds a row, for which there is room.
    #[inline(always)]
    pub fn push<S: Schema>(&mut self, schema: &S, row: &S::Row, heap: &[u8], stamp: Stamp) {
        let words = &mut self.words[self.at..][..self.stride];
        schema.lay(row, heap, words, &mut self.tail.heap);
        self.stamp(stamp);
    }

    /// Adds a row, for which there is room, that `lay` writes itself.
    #[inline]
    pub fn push_with(&mut self, lay: impl FnOnce(&mut [u64], &mut Vec<u8>)) {
        lay(&mut self.words[self.at..][..self.stride], &mut self.tail.heap);
        self.stamp(Stamp::default());
    }

    #[inline(always)]
    fn stamp(&mut self, stamp: Stamp) {
        if self.extras != Extras::NONE {
            self.stamp_extras(stamp);
        }
        self.at += self.stride;
        self.count += 1;
    }

    fn stamp_extras(&mut self, stamp: Stamp) {
        if self.count == 0 {
            self.header.source_sequence = stamp.sequence.to_raw();
        }
        if self.extras.has(Extras::SOURCE_SEQUENCE) {
            let delta = stamp.sequence.to_raw() - self.header.source_sequence;
            self.tail.sequences.push(u32::try_from(delta).expect("a frame spans few records"));
        }
        if self.extras.has(Extras::ROW_WATERMARK) {
            self.tail.row_watermarks.push(stamp.row_watermark);
        }
        if self.extras.has(Extras::OPERATION) {
            self.tail.operations.push(stamp.operation);
        }
    }

    /// Ends the frame: columns and heap go behind the rows, the header in front. Gives the memory
    /// and the tail back and says how many words of the memory the frame takes.
    #[inline]
    pub fn finish(mut self, advances: Watermark, stamp: u64) -> (W, &'t mut Tail, usize) {
        if self.extras != Extras::NONE || !self.tail.heap.is_empty() {
            self.lay_tail();
        }
        self.header.count = self.count;
        self.header.length = u32::try_from(self.at * 8).expect("a frame is shorter than 4 GiB");
        self.header.set_advances(advances);
        self.header.stamp = stamp;
        let header: &[u64; HEADER_WORDS] = bytemuck::cast_ref(&self.header);
        self.words[..HEADER_WORDS].copy_from_slice(header);
        (self.words, self.tail, self.at)
    }

    fn lay_tail(&mut self) {
        let columns: [(Extras, &[u8]); 3] = [
            (Extras::OPERATION, &self.tail.operations),
            (Extras::ROW_WATERMARK, bytemuck::cast_slice(&self.tail.row_watermarks)),
            (Extras::SOURCE_SEQUENCE, bytemuck::cast_slice(&self.tail.sequences)),
        ];
        let parts = columns
            .into_iter()
            .filter(|(column, _)| self.extras.has(*column))
            .map(|(_, bytes)| bytes)
            .chain([self.tail.heap.as_slice()]);
        for bytes in parts {
            let words = bytes.len().div_ceil(8);
            let space: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words[self.at..][..words]);
            space[..bytes.len()].copy_from_slice(bytes);
            space[bytes.len()..].fill(0);
            self.at += words;
        }
    }
}
