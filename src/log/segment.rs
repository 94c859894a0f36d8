//! What stands at the start of a segment, and how it seals the frames behind it.

use super::{EntrySequence, SegmentName};
use crate::record::ShardIndex;
use bytemuck::{Pod, Zeroable};

/// Bytes that a segment header takes; the first frame lies behind it.
pub(super) const SEGMENT_HEADER_BYTES: u64 = size_of::<SegmentHeader>() as u64;
pub(super) const SEGMENT_HEADER_WORDS: usize = size_of::<SegmentHeader>() / 8;

const MAGIC: [u8; 8] = *b"TWHEELOG";

/// Which log a segment belongs to: the one that was made together with this number. Segments of
/// other logs are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogIdentity(pub u64);

/// What a log's writer promises about entries that it has written but not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Guarantee {
    /// They survive the end of the process, not that of the machine. Nothing is ever synced, so a
    /// bad frame before a good one is damage.
    Process = 1,
    /// They survive a loss of power once synced. Of what was not, any part may be lost: a bad
    /// frame before a good one is damage only where a later entry says that it had been synced.
    Disk = 2,
}

impl Guarantee {
    const fn from_raw(raw: u16) -> Option<Self> {
        match raw {
            1 => Some(Self::Process),
            2 => Some(Self::Disk),
            _ => None,
        }
    }
}

/// The first bytes of a segment. Little-endian, one cache line.
///
/// ```text
///  0        8         12      14          16       24       32              40         48      56
///  +--------+---------+-------+-----------+--------+--------+---------------+----------+-------+
///  | magic  | version | shard | guarantee | epoch  | number | first entry's | identity | bytes |
///  |        |         |       |           |        |        | sequence      |          |       |
///  +--------+---------+-------+-----------+--------+--------+---------------+----------+-------+
///  56       60        64
///  +--------+---------+
///  | crc32c |    0    |
///  +--------+---------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct SegmentHeader {
    magic: [u8; 8],
    version: u32,
    shard: u16,
    guarantee: u16,
    /// Which run of the log's owner wrote the segment, from 0.
    pub epoch: u64,
    number: u64,
    first_sequence: u64,
    identity: u64,
    /// Bytes of the segment, all of it.
    pub bytes: u64,
    crc: u32,
    reserved: u32,
}

const _: () = {
    assert!(size_of::<SegmentHeader>() == 64);
    assert!(std::mem::offset_of!(SegmentHeader, epoch) == 16);
    assert!(std::mem::offset_of!(SegmentHeader, crc) == 56);
};

/// Why the first bytes of a segment are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// Other bytes, or damaged ones.
    NotAHeader,
    /// The format is of a later version.
    Version(u32),
}

impl SegmentHeader {
    /// The version of the format: of this header, and of what follows it.
    pub const VERSION: u32 = 1;

    pub(super) fn new(
        name: SegmentName,
        first: EntrySequence,
        (identity, guarantee): (LogIdentity, Guarantee),
        (epoch, bytes): (u64, u64),
    ) -> Self {
        let mut header = Self {
            magic: MAGIC,
            version: Self::VERSION,
            shard: name.shard.0,
            guarantee: guarantee as u16,
            epoch,
            number: name.number,
            first_sequence: first.0,
            identity: identity.0,
            bytes,
            crc: 0,
            reserved: 0,
        };
        header.crc = header.checksum();
        header
    }

    fn checksum(&self) -> u32 {
        crc32c::crc32c(bytemuck::bytes_of(&Self { crc: 0, ..*self }))
    }

    /// Reads what stands at the start of a segment.
    pub(super) fn parse(words: &[u64; SEGMENT_HEADER_WORDS]) -> Result<Self, HeaderFault> {
        let header: Self = bytemuck::cast(*words);
        let is_whole = header.magic == MAGIC && header.crc == header.checksum();
        match header.guarantee() {
            _ if !is_whole => Err(HeaderFault::NotAHeader),
            _ if header.version > Self::VERSION => Err(HeaderFault::Version(header.version)),
            Some(_) if header.version == Self::VERSION => Ok(header),
            _ => Err(HeaderFault::NotAHeader),
        }
    }

    /// What the checksum of the first frame goes on from, if these words were a header before a bit
    /// of its checksum or of anything else was damaged.
    pub(super) fn seeds_of_damaged(words: &[u64; SEGMENT_HEADER_WORDS]) -> [Option<u32>; 2] {
        let header: Self = bytemuck::cast(*words);
        let is_whole = header.crc == header.checksum();
        let seed = |crc| Self { crc, ..header }.seed_at(SEGMENT_HEADER_BYTES);
        match is_whole {
            true => [None, None],
            false => [Some(seed(header.crc)), Some(seed(header.checksum()))],
        }
    }

    /// The name that the segment should have.
    pub const fn name(&self) -> SegmentName {
        SegmentName { shard: ShardIndex(self.shard), number: self.number }
    }

    /// The number of the first entry in the segment.
    pub const fn first(&self) -> EntrySequence {
        EntrySequence(self.first_sequence)
    }

    /// The log that the segment belongs to.
    pub const fn identity(&self) -> LogIdentity {
        LogIdentity(self.identity)
    }

    /// What the writer promised; `None` when it is nothing that this version knows.
    pub const fn guarantee(&self) -> Option<Guarantee> {
        Guarantee::from_raw(self.guarantee)
    }

    pub(super) fn words(&self) -> [u64; SEGMENT_HEADER_WORDS] {
        bytemuck::cast(*self)
    }

    /// What the checksum of a frame at `offset` goes on from.
    pub(super) fn seed_at(&self, offset: u64) -> u32 {
        crc32c::crc32c_append(self.crc, &offset.to_le_bytes())
    }
}
