//! The segments of a state directory, written in the way that serves what is promised about them:
//! mapped where nothing is synced, with `pwrite` where everything is. A mapping that is synced
//! again and again pays a page fault for every page of every sync.

use super::backing::{Backing, Segment, Syncer};
use super::mapped::{MappedFiles, MappedSegment};
use super::name::SegmentName;
use super::plain::{PlainFiles, PlainSegment};
use super::segment::Guarantee;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A folder of segments.
#[derive(Clone, Debug)]
pub enum LogFiles {
    /// They are mapped to be written.
    Mapped(MappedFiles),
    /// They are written with `pwrite`.
    Plain(PlainFiles),
}

/// A segment of a folder.
#[derive(Debug)]
pub enum LogSegment {
    /// It is mapped when it is one's own to write.
    Mapped(MappedSegment),
    /// It is written with `pwrite`.
    Plain(PlainSegment),
}

impl LogFiles {
    /// The segments of a folder, which must exist, and which nobody else writes in.
    pub fn new(folder: impl Into<PathBuf>, guarantee: Guarantee) -> Self {
        match guarantee {
            Guarantee::Process => Self::Mapped(MappedFiles::new(folder)),
            Guarantee::Disk => Self::Plain(PlainFiles::new(folder)),
        }
    }
}

impl Backing for LogFiles {
    type Segment = LogSegment;

    fn list(&self) -> io::Result<Vec<SegmentName>> {
        match self {
            Self::Mapped(files) => files.list(),
            Self::Plain(files) => files.list(),
        }
    }

    fn create(&self, name: SegmentName, bytes: u64) -> io::Result<LogSegment> {
        match self {
            Self::Mapped(files) => files.create(name, bytes).map(LogSegment::Mapped),
            Self::Plain(files) => files.create(name, bytes).map(LogSegment::Plain),
        }
    }

    fn create_nameless(&self, bytes: u64) -> io::Result<LogSegment> {
        match self {
            Self::Mapped(files) => files.create_nameless(bytes).map(LogSegment::Mapped),
            Self::Plain(files) => files.create_nameless(bytes).map(LogSegment::Plain),
        }
    }

    fn give_name(&self, segment: &LogSegment, name: SegmentName) -> io::Result<()> {
        match (self, segment) {
            (Self::Mapped(files), LogSegment::Mapped(segment)) => files.give_name(segment, name),
            (Self::Plain(files), LogSegment::Plain(segment)) => files.give_name(segment, name),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn rename(&self, from: SegmentName, to: SegmentName) -> io::Result<()> {
        match self {
            Self::Mapped(files) => files.rename(from, to),
            Self::Plain(files) => files.rename(from, to),
        }
    }

    fn open(&self, name: SegmentName) -> io::Result<LogSegment> {
        match self {
            Self::Mapped(files) => files.open(name).map(LogSegment::Mapped),
            Self::Plain(files) => files.open(name).map(LogSegment::Plain),
        }
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        match self {
            Self::Mapped(files) => files.remove(name),
            Self::Plain(files) => files.remove(name),
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        match self {
            Self::Mapped(files) => files.sync_names(),
            Self::Plain(files) => files.sync_names(),
        }
    }

    fn path_of(&self, name: SegmentName) -> String {
        match self {
            Self::Mapped(files) => files.path_of(name),
            Self::Plain(files) => files.path_of(name),
        }
    }
}

impl Segment for LogSegment {
    fn bytes(&self) -> u64 {
        match self {
            Self::Mapped(segment) => segment.bytes(),
            Self::Plain(segment) => segment.bytes(),
        }
    }

    fn write(&mut self, offset: u64, parts: [&[u64]; 2]) -> io::Result<()> {
        match self {
            Self::Mapped(segment) => segment.write(offset, parts),
            Self::Plain(segment) => segment.write(offset, parts),
        }
    }

    fn read(&self, offset: u64, into: &mut [u64]) -> io::Result<()> {
        match self {
            Self::Mapped(segment) => segment.read(offset, into),
            Self::Plain(segment) => segment.read(offset, into),
        }
    }

    fn prefault(&mut self) {
        match self {
            Self::Mapped(segment) => segment.prefault(),
            Self::Plain(segment) => segment.prefault(),
        }
    }

    fn shrink(&mut self, bytes: u64) -> io::Result<bool> {
        match self {
            Self::Mapped(segment) => segment.shrink(bytes),
            Self::Plain(segment) => segment.shrink(bytes),
        }
    }

    fn syncer(&self) -> Arc<dyn Syncer> {
        match self {
            Self::Mapped(segment) => segment.syncer(),
            Self::Plain(segment) => segment.syncer(),
        }
    }
}
