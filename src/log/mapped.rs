//! Segments as files mapped into memory: an entry is a copy, without a system call. An island of
//! unsafe code.
#![allow(unsafe_code)] // a mapping is only as good as the file behind it

use super::backing::{Backing, Segment, Syncer};
use super::name::SegmentName;
use super::plain::{PlainFiles, PlainSegment, list, sync_folder};
use super::sigbus::GuardedMap;
use memmap2::MmapMut;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A folder whose segments are mapped to be written. They are read with `pread`. A file that
/// somebody made shorter is an error, and not the end of the process.
#[derive(Clone, Debug)]
pub struct MappedFiles {
    files: PlainFiles,
    folder: PathBuf,
}

impl MappedFiles {
    /// The segments of a folder, which must exist, and which nobody else writes in: the lock of
    /// the state directory sees to that.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { files: PlainFiles::new(&folder), folder }
    }
}

impl Backing for MappedFiles {
    type Segment = MappedSegment;

    fn list(&self) -> io::Result<Vec<SegmentName>> {
        list(&self.folder)
    }

    fn create(&self, name: SegmentName, bytes: u64) -> io::Result<MappedSegment> {
        let file = self.files.create_file(name, bytes)?;
        MappedSegment::over(file, bytes).inspect_err(|_| {
            // The error of the mapping is the one to tell.
            let _ = fs::remove_file(self.files.path(name));
        })
    }

    fn create_nameless(&self, bytes: u64) -> io::Result<MappedSegment> {
        MappedSegment::over(self.files.create_nameless_file(bytes)?, bytes)
    }

    fn give_name(&self, segment: &MappedSegment, name: SegmentName) -> io::Result<()> {
        self.files.give_name(&segment.plain, name)
    }

    fn rename(&self, from: SegmentName, to: SegmentName) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn open(&self, name: SegmentName) -> io::Result<MappedSegment> {
        Ok(MappedSegment { map: None, plain: self.files.open(name)? })
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        self.files.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        sync_folder(&self.folder)
    }

    fn path_of(&self, name: SegmentName) -> String {
        self.files.path_of(name)
    }
}

/// A segment in a file, mapped when it is one's own to write.
#[derive(Debug)]
pub struct MappedSegment {
    map: Option<GuardedMap>,
    /// The file. Where there are too many mappings, it is written without one.
    plain: PlainSegment,
}

impl MappedSegment {
    /// Maps a file of so many bytes that has just been made.
    fn over(file: File, bytes: u64) -> io::Result<Self> {
        // SAFETY: the file has just been made, so nobody else knows it; all its space is
        // allocated, so no write faults for want of it, and the guard is there for what others may
        // do to it still; words are plain data.
        let map = unsafe { MmapMut::map_mut(&file) }?;
        Ok(Self { map: GuardedMap::new(map)?, plain: PlainSegment::over(file, bytes) })
    }

    /// Why what was written there is not in the file.
    fn cut_short(&self, offset: u64) -> io::Error {
        let (bytes, page) = (self.bytes(), "the page at byte");
        io::Error::other(match self.plain.file_bytes() {
            Ok(found) if found < bytes => format!(
                "somebody made the file shorter while it was being written: {page} {offset} is \
                 gone, {found} of {bytes} bytes are left; leave the state directory alone, and \
                 begin again: it goes on with what is left"
            ),
            Ok(_) => format!("{page} {offset} can not be written, the disk may be failing"),
            Err(error) => format!("{page} {offset} is gone, and the file with it: {error}"),
        })
    }
}

impl Segment for MappedSegment {
    fn bytes(&self) -> u64 {
        self.plain.bytes()
    }

    fn write(&mut self, offset: u64, parts: [&[u64]; 2]) -> io::Result<()> {
        let Some(map) = &mut self.map else { return self.plain.write(offset, parts) };
        let mut at = offset;
        let mut is_there = true;
        for part in parts {
            let bytes: &[u8] = bytemuck::cast_slice(part);
            is_there = map.write(at as usize, bytes);
            at += bytes.len() as u64;
        }
        match is_there {
            true => Ok(()),
            false => Err(self.cut_short(offset)),
        }
    }

    fn read(&self, offset: u64, into: &mut [u64]) -> io::Result<()> {
        self.plain.read(offset, into)
    }

    fn prefault(&mut self) {
        if let Some(map) = &self.map {
            map.prefault();
        }
    }

    fn shrink(&mut self, bytes: u64) -> io::Result<bool> {
        // What is gone from the file leaves the mapping with it, and is written into no more.
        self.plain.shrink(bytes)
    }

    fn syncer(&self) -> Arc<dyn Syncer> {
        self.plain.syncer()
    }
}
