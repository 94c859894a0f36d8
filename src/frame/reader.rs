//! Reading a frame where it lies.

use super::{Extras, FrameHeader, HEADER_WORDS};
use crate::record::SourceSequence;

/// A frame, borrowed from where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    words: &'a [u64],
}

/// Why words are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Fewer words than a header, or than the header says.
    #[error("the frame is cut short: {expected} words expected, {found} found")]
    CutShort {
        /// Words that there should be.
        expected: usize,
        /// Words that there are.
        found: usize,
    },
    /// Zeros: nothing was ever written there.
    #[error("nothing was written here")]
    Empty,
    /// Not a kind, column or version that this build knows.
    #[error("the frame is of an unknown kind, column or version")]
    Unknown,
    /// The parts do not fit the length.
    #[error("the frame's rows do not fit its length")]
    Inconsistent,
    /// The checksum does not match.
    #[error("the frame's checksum is {found:#010x}, its bytes give {computed:#010x}")]
    Checksum {
        /// What the header says.
        found: u32,
        /// What the bytes give.
        computed: u32,
    },
}

impl<'a> Frame<'a> {
    /// Words of the frame that begins with this header's words.
    #[inline]
    pub fn words_of(header: &[u64]) -> usize {
        // The length is the low half of the second word.
        (header[1] & 0xffff_ffff) as usize / 8
    }

    /// A frame that this process wrote itself; only its bounds are checked.
    #[inline]
    pub fn trusted(words: &'a [u64]) -> Self {
        assert!(words.len() >= HEADER_WORDS, "a frame has a header");
        Self { words }
    }

    /// A frame from outside: every claim of its header is checked, and the checksum where there is
    /// a seed to compute it from. Words after its end are left alone.
    pub fn parse(words: &'a [u64], seed: Option<u32>) -> Result<Self, FrameError> {
        let cut_short = |expected| FrameError::CutShort { expected, found: words.len() };
        if words.len() < HEADER_WORDS {
            return Err(cut_short(HEADER_WORDS));
        }
        if words[..HEADER_WORDS].iter().all(|word| *word == 0) {
            return Err(FrameError::Empty);
        }
        let length = Self::words_of(words);
        if length > words.len() {
            return Err(cut_short(length));
        }
        if length < HEADER_WORDS {
            return Err(FrameError::Inconsistent);
        }
        let frame = Self { words: &words[..length] };
        let header = frame.header();
        let known = header.kind().is_some() && header.known_extras();
        if !known || header.version() != FrameHeader::VERSION {
            return Err(FrameError::Unknown);
        }
        let rows = header.count as usize * usize::from(header.stride);
        let columns = header.extras().words(header.count as usize);
        if !header.length.is_multiple_of(8) || HEADER_WORDS + rows + columns > length {
            return Err(FrameError::Inconsistent);
        }
        let computed = seed.map_or(header.crc, |seed| frame.checksum(seed));
        if computed != header.crc {
            return Err(FrameError::Checksum { found: header.crc, computed });
        }
        Ok(frame)
    }

    /// CRC32C (Castagnoli) over the frame, its checksum field taken as zero, going on from `seed`:
    /// what the place says in which the frame lies, so that a frame is whole in that place only.
    pub fn checksum(&self, seed: u32) -> u32 {
        let mut header = *self.header();
        header.crc = 0;
        let crc = crc32c::crc32c_append(seed, bytemuck::bytes_of(&header));
        crc32c::crc32c_append(crc, bytemuck::cast_slice(&self.words[HEADER_WORDS..]))
    }

    /// The header.
    #[inline]
    pub fn header(&self) -> &'a FrameHeader {
        &bytemuck::cast_slice::<u64, FrameHeader>(&self.words[..HEADER_WORDS])[0]
    }

    /// The whole frame, as it would be sent or stored.
    #[inline]
    pub fn words(&self) -> &'a [u64] {
        self.words
    }

    fn rows_end(&self) -> usize {
        let header = self.header();
        HEADER_WORDS + header.count as usize * usize::from(header.stride)
    }

    /// All rows, one after the other.
    #[inline]
    pub fn rows(&self) -> &'a [u64] {
        &self.words[HEADER_WORDS..self.rows_end()]
    }

    /// The tail heap. Rows point into it.
    #[inline]
    pub fn heap(&self) -> &'a [u8] {
        let columns = self.header().extras().words(self.header().count as usize);
        bytemuck::cast_slice(&self.words[self.rows_end() + columns..])
    }

    fn column(&self, column: Extras, bytes_each: usize) -> Option<&'a [u8]> {
        let header = self.header();
        let rows = header.count as usize;
        header.extras().has(column).then(|| {
            let start = self.rows_end() + header.extras().offset_of(column, rows);
            &bytemuck::cast_slice(&self.words[start..])[..rows * bytes_each]
        })
    }

    /// The column of source sequences: each row's distance from the header's.
    pub fn source_sequences(&self) -> Option<&'a [u32]> {
        self.column(Extras::SOURCE_SEQUENCE, 4).map(bytemuck::cast_slice)
    }

    /// The column of row watermarks, in ticks past the header's.
    pub fn row_watermarks(&self) -> Option<&'a [u32]> {
        self.column(Extras::ROW_WATERMARK, 4).map(bytemuck::cast_slice)
    }

    /// The column of operations.
    pub fn operations(&self) -> Option<&'a [u8]> {
        self.column(Extras::OPERATION, 1)
    }

    /// The same frame without its first rows, as its words.
    ///
    /// # Panics
    /// When it has fewer rows.
    pub fn without_first(&self, rows: usize) -> Vec<u64> {
        let (header, all) = (self.header(), self.header().count as usize);
        let left = all.checked_sub(rows).expect("a frame has the rows that are left out");
        let mut words = self.words[..HEADER_WORDS].to_vec();
        words.extend_from_slice(&self.rows()[rows * usize::from(header.stride)..]);
        for (column, bytes_each) in Extras::COLUMNS {
            if let Some(bytes) = self.column(column, bytes_each) {
                let start = words.len();
                words.resize(start + (left * bytes_each).div_ceil(8), 0);
                let into: &mut [u8] = bytemuck::cast_slice_mut(&mut words[start..]);
                into[..left * bytes_each].copy_from_slice(&bytes[rows * bytes_each..]);
            }
        }
        words.extend_from_slice(bytemuck::cast_slice(self.heap()));
        let length = size_of_val(&words[..]) as u32;
        let trimmed = &mut bytemuck::cast_slice_mut::<u64, FrameHeader>(&mut words[..8])[0];
        trimmed.length = length;
        trimmed.count = left as u32;
        trimmed.lane_sequence += rows as u64;
        words
    }

    /// The source sequence of row `index`.
    #[inline]
    pub fn source_sequence(&self, index: usize) -> SourceSequence {
        let first = SourceSequence::from_raw(self.header().source_sequence);
        self.source_sequences().map_or(first, |deltas| first.plus(deltas[index]))
    }
}
