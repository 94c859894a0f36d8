//! The header of a frame: drawn once, declared once, asserted at compile time.

use crate::time::Watermark;
use bytemuck::{Pod, Zeroable};

/// Words that a header takes.
pub const HEADER_WORDS: usize = size_of::<FrameHeader>() / 8;

/// Precedes every frame. Little-endian, one cache line.
///
/// ```text
///  0      1       2         3       4        6        8        12      16
///  +------+--------+---------+-------+--------+--------+--------+--------+
///  | kind | extras | version |   0   | stream | schema | length | count  |
///  +------+--------+---------+-------+--------+--------+--------+--------+
///  16                 24                32                40             48
///  +------------------+-----------------+-----------------+--------------+
///  |  lane sequence   |    watermark    |    advances     | source seq.  |
///  +------------------+-----------------+-----------------+--------------+
///  48                 56         60            62                         64
///  +------------------+----------+-------------+--------------------------+
///  |      stamp       |  crc32c  |  partition  | stride in words          |
///  +------------------+----------+-------------+--------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FrameHeader {
    kind: u8,
    extras: u8,
    version: u8,
    reserved: u8,
    /// Which stream of the pipeline the rows belong to.
    pub stream: u16,
    /// Which schema lays out the rows.
    pub schema: u16,
    /// Bytes of the whole frame, header included; a multiple of 8.
    pub length: u32,
    /// Rows.
    pub count: u32,
    /// The number, in its lane, of the frame's first row.
    pub lane_sequence: u64,
    watermark: i64,
    advances: i64,
    /// The source sequence of the first row, as [`SourceSequence`](crate::record::SourceSequence)
    /// packs it. The column of source sequences counts from here.
    pub source_sequence: u64,
    /// When the frame was sent, in nanoseconds of the engine's clock; zero when it was not
    /// stamped. For measuring only: nothing is ever decided by it.
    pub stamp: u64,
    /// CRC32C over the frame with this field zero; zero while the frame is in memory only.
    pub crc: u32,
    /// The source partition that the rows come from.
    pub partition: u16,
    /// Words from one row to the next.
    pub stride: u16,
}

const _: () = {
    assert!(size_of::<FrameHeader>() == 64);
    assert!(std::mem::offset_of!(FrameHeader, length) == 8);
    assert!(std::mem::offset_of!(FrameHeader, lane_sequence) == 16);
    assert!(std::mem::offset_of!(FrameHeader, stamp) == 48);
    assert!(std::mem::offset_of!(FrameHeader, crc) == 56);
    assert!(std::mem::offset_of!(FrameHeader, stride) == 62);
    assert!(cfg!(target_endian = "little"), "frames are little-endian");
};

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum FrameKind {
    /// Rows of a stream.
    Records = 1,
    /// Partial aggregates by key: of slices, on their way to the shard that owns the key; of
    /// windows, on their way out.
    Partials = 2,
    /// No rows: the lane's watermark advances.
    Watermark = 3,
    /// No rows: the lane is idle and does not hold the merged watermark back.
    Idle = 4,
    /// No rows: nothing more will come.
    End = 5,
    /// No rows: the source stopped before its end; nothing more will come.
    Stopped = 6,
    /// One row: where a source stood when all that it had read was in its lanes.
    Position = 7,
    /// No rows: every entry of the log before this lane sequence has been synced.
    Synced = 8,
}

impl FrameKind {
    const fn from_raw(raw: u8) -> Option<Self> {
        Some(match raw {
            1 => Self::Records,
            2 => Self::Partials,
            3 => Self::Watermark,
            4 => Self::Idle,
            5 => Self::End,
            6 => Self::Stopped,
            7 => Self::Position,
            8 => Self::Synced,
            _ => return None,
        })
    }
}

/// Which optional columns a frame has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras(u8);

impl Extras {
    /// None.
    pub const NONE: Self = Self(0);
    /// One `u8` a row: the operation, `+I -U +U -D` as 0 to 3.
    pub const OPERATION: Self = Self(1);
    /// One `u32` a row: how far the partition's watermark stood past the header's, in ticks.
    pub const ROW_WATERMARK: Self = Self(2);
    /// One `u32` a row: how far the row's source sequence is past the header's.
    pub const SOURCE_SEQUENCE: Self = Self(4);

    /// All columns, in the order in which they stand, and the bytes that each takes of a row.
    pub(super) const COLUMNS: [(Self, usize); 3] =
        [(Self::OPERATION, 1), (Self::ROW_WATERMARK, 4), (Self::SOURCE_SEQUENCE, 4)];

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all columns of `other` are there.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Words that the columns take for `rows` rows.
    pub const fn words(self, rows: usize) -> usize {
        let (mut words, mut at) = (0, 0);
        while at < Self::COLUMNS.len() {
            if self.has(Self::COLUMNS[at].0) {
                words += (rows * Self::COLUMNS[at].1).div_ceil(8);
            }
            at += 1;
        }
        words
    }

    /// Words between the end of the rows and the start of one of the columns.
    pub(super) const fn offset_of(self, column: Self, rows: usize) -> usize {
        Self(self.0 & (column.0 - 1)).words(rows)
    }
}

impl FrameHeader {
    /// The version of this layout.
    pub const VERSION: u8 = 1;

    /// A header of no rows, at the watermark that its lane holds.
    pub fn new(kind: FrameKind, watermark: Watermark) -> Self {
        Self {
            kind: kind as u8,
            extras: 0,
            version: Self::VERSION,
            reserved: 0,
            stream: 0,
            schema: 0,
            length: size_of::<Self>() as u32,
            count: 0,
            lane_sequence: 0,
            watermark: watermark.to_raw(),
            advances: watermark.to_raw(),
            source_sequence: 0,
            stamp: 0,
            crc: 0,
            partition: 0,
            stride: 0,
        }
    }

    /// What the frame carries; `None` when it is nothing that this version knows.
    #[inline]
    pub const fn kind(&self) -> Option<FrameKind> {
        FrameKind::from_raw(self.kind)
    }

    pub(super) const fn set_kind(&mut self, kind: FrameKind) {
        self.kind = kind as u8;
    }

    /// The optional columns.
    #[inline]
    pub const fn extras(&self) -> Extras {
        Extras(self.extras)
    }

    /// Declares the optional columns.
    pub const fn set_extras(&mut self, extras: Extras) {
        self.extras = extras.0;
    }

    /// The partition's watermark as it stood before the rows: the one they are judged by.
    #[inline]
    pub const fn watermark(&self) -> Watermark {
        Watermark::from_raw(self.watermark)
    }

    /// The partition's watermark after the rows.
    #[inline]
    pub const fn advances(&self) -> Watermark {
        Watermark::from_raw(self.advances)
    }

    /// Says what the watermark is after the rows.
    pub const fn set_advances(&mut self, watermark: Watermark) {
        self.advances = watermark.to_raw();
    }

    pub(super) const fn version(&self) -> u8 {
        self.version
    }

    pub(super) fn known_extras(&self) -> bool {
        self.extras < 8
    }
}
