//! Segments as files mapped into memory: an entry is a copy, without a system call. An island of
//! unsafe code.
#![allow(unsafe_code)] // a mapping is only as good as the file behind it

use super::backing::{Backing, Segment, Syncer};
use super::name::SegmentName;
use super::plain::{FileSyncer, PlainFiles, PlainSegment, list, sync_folder};
use memmap2::MmapMut;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A folder whose segments are mapped to be written. They are read with `pread`, so that a file
/// that somebody made shorter is an error and not the end of the process.
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
        // SAFETY: the file has just been made, so nobody else knows it; all its space is
        // allocated, so no write faults for want of it; words are plain data.
        let map = unsafe { MmapMut::map_mut(&file) }.inspect_err(|_| {
            // The error of the mapping is the one to tell.
            let _ = fs::remove_file(self.files.path(name));
        })?;
        #[cfg(target_os = "linux")]
        // An older kernel refuses: then pages are touched as they are written.
        let _ = map.advise(memmap2::Advice::PopulateWrite);
        Ok(MappedSegment { map: Some(map), file: Arc::new(file), bytes })
    }

    fn rename(&self, from: SegmentName, to: SegmentName) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn open(&self, name: SegmentName) -> io::Result<MappedSegment> {
        let file = File::open(self.files.path(name))?;
        let bytes = file.metadata()?.len();
        Ok(MappedSegment { map: None, file: Arc::new(file), bytes })
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
    map: Option<MmapMut>,
    file: Arc<File>,
    bytes: u64,
}

impl Segment for MappedSegment {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn write(&mut self, offset: u64, parts: [&[u64]; 2]) -> io::Result<()> {
        let map = self.map.as_mut().ok_or(io::ErrorKind::PermissionDenied)?;
        let mut at = offset as usize;
        for part in parts {
            let bytes: &[u8] = bytemuck::cast_slice(part);
            map[at..][..bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        }
        Ok(())
    }

    fn read(&self, offset: u64, into: &mut [u64]) -> io::Result<()> {
        PlainSegment::read_file(&self.file, offset, into)
    }

    fn syncer(&self) -> Arc<dyn Syncer> {
        Arc::new(FileSyncer(Arc::clone(&self.file)))
    }
}
