//! What a snapshot was given before it changed, on its way out.

use crate::limits::SNAPSHOT_STEP_BYTES;
use crate::record::WordsWriter;
use std::collections::VecDeque;

/// Words of a block, but that what is written last may go beyond.
const BLOCK_WORDS: usize = SNAPSHOT_STEP_BYTES / 8;

/// Words in blocks, so that neither growing nor taking moves what is there.
#[derive(Debug, Default)]
pub(super) struct Copies {
    blocks: VecDeque<WordsWriter>,
    spare: Option<WordsWriter>,
}

impl Copies {
    /// Where the next words go. What belongs together is written in one go.
    pub(super) fn out(&mut self) -> &mut WordsWriter {
        if self.blocks.back().is_none_or(|block| block.len() >= BLOCK_WORDS) {
            let block = self.spare.take();
            self.blocks.push_back(block.unwrap_or_else(|| WordsWriter::with_room(BLOCK_WORDS)));
        }
        self.blocks.back_mut().expect("there is one now")
    }

    /// Moves the oldest block to `out`; says whether there was one.
    pub(super) fn take(&mut self, out: &mut WordsWriter) -> bool {
        let Some(mut block) = self.blocks.pop_front() else { return false };
        match out.is_empty() {
            true => std::mem::swap(out, &mut block),
            false => out.room(block.len()).copy_from_slice(block.written()),
        }
        block.clear();
        self.spare = Some(block);
        true
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.iter().map(WordsWriter::len).sum::<usize>() * 8
    }
}
