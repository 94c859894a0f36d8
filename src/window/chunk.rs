//! What a snapshot's chunks begin with.
//!
//! ```text
//!  | what it is of | first | count |  rows ...  | bytes of keys ... |
//! ```

use crate::record::{NotSaved, WordsReader, WordsWriter};

/// What a chunk is a piece of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkOf {
    /// The pane of this number.
    Pane(u64),
    /// The keys alive in sliding windows.
    Slots,
    /// The entries of a slice that is retained, by its number.
    Retained(u64),
    /// What is saved of its front.
    Saved(u64),
}

/// Which piece a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) of: ChunkOf,
    /// Its first row, or the slot where that would be.
    pub(super) first: usize,
    /// Its rows.
    pub(super) count: usize,
}

/// Where in its word the kind stands, above the number.
const KIND_SHIFT: u32 = 56;

impl Chunk {
    pub(super) fn save(self, out: &mut WordsWriter) {
        let (kind, number) = match self.of {
            ChunkOf::Pane(number) => (0, number),
            ChunkOf::Slots => (1, 0),
            ChunkOf::Retained(number) => (2, number),
            ChunkOf::Saved(number) => (3, number),
        };
        out.word(kind << KIND_SHIFT | number);
        out.word(self.first as u64);
        out.word(self.count as u64);
    }

    pub(super) fn read(from: &mut WordsReader<'_>) -> Result<Self, NotSaved> {
        let of = from.word()?;
        let number = of & ((1 << KIND_SHIFT) - 1);
        let of = match of >> KIND_SHIFT {
            0 => ChunkOf::Pane(number),
            1 => ChunkOf::Slots,
            2 => ChunkOf::Retained(number),
            3 => ChunkOf::Saved(number),
            _ => return Err(NotSaved),
        };
        let first = usize::try_from(from.word()?).map_err(|_| NotSaved)?;
        let count = from.count(0)?;
        Ok(Self { of, first, count })
    }
}
