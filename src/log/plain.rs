//! Segments as files that are written with `pwrite`: a system call an entry, no page faults on
//! the way, and an error where a mapping would end the process.

use super::backing::{Backing, Segment, Syncer};
use super::name::SegmentName;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder whose segments are written with `pwrite`.
#[derive(Clone, Debug)]
pub struct PlainFiles {
    folder: PathBuf,
}

impl PlainFiles {
    /// The segments of a folder, which must exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    pub(super) fn path(&self, name: SegmentName) -> PathBuf {
        self.folder.join(name.to_string())
    }

    /// Makes a file with all its space.
    pub(super) fn create_file(&self, name: SegmentName, bytes: u64) -> io::Result<File> {
        let path = self.path(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        allocate(&file, bytes).inspect_err(|_| {
            // The error of the allocation is the one to tell.
            let _ = fs::remove_file(&path);
        })?;
        Ok(file)
    }

    /// Makes a file with all its space that lies in the folder and has no name there.
    #[cfg(target_os = "linux")]
    pub(super) fn create_nameless_file(&self, bytes: u64) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = File::from(open(&self.folder, flags, Mode::from_raw_mode(0o666))?);
        allocate(&file, bytes)?;
        Ok(file)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn create_nameless_file(&self, _: u64) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a file without a name its name.
    #[cfg(target_os = "linux")]
    pub(super) fn name_file(&self, file: &File, name: SegmentName) -> io::Result<()> {
        use rustix::fs::{AtFlags, CWD, linkat};
        use std::os::fd::AsRawFd;
        let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, nameless, CWD, self.path(name), AtFlags::SYMLINK_FOLLOW)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn name_file(&self, _: &File, _: SegmentName) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Makes sure that the space is there. A file that was only made longer would have holes, and a
/// write into a hole of a full disk fails, or ends the process where the file is mapped.
#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => return fill(file, bytes),
            outcome => return Ok(outcome?),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    fill(file, bytes)
}

/// Where the file system can not allocate, zeros do.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = [0; 64 << 10];
    let mut at = 0;
    while at < bytes {
        let length = (bytes - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..length as usize], at)?;
        at += length;
    }
    Ok(())
}

pub(super) fn list(folder: &Path) -> io::Result<Vec<SegmentName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name: Option<SegmentName> =
            entry?.file_name().to_str().and_then(|name| name.parse().ok());
        names.extend(name);
    }
    Ok(names)
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Backing for PlainFiles {
    type Segment = PlainSegment;

    fn list(&self) -> io::Result<Vec<SegmentName>> {
        list(&self.folder)
    }

    fn create(&self, name: SegmentName, bytes: u64) -> io::Result<PlainSegment> {
        Ok(PlainSegment::over(self.create_file(name, bytes)?, bytes))
    }

    fn create_nameless(&self, bytes: u64) -> io::Result<PlainSegment> {
        Ok(PlainSegment::over(self.create_nameless_file(bytes)?, bytes))
    }

    fn give_name(&self, segment: &PlainSegment, name: SegmentName) -> io::Result<()> {
        self.name_file(&segment.file, name)
    }

    fn rename(&self, from: SegmentName, to: SegmentName) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn open(&self, name: SegmentName) -> io::Result<PlainSegment> {
        let file = File::open(self.path(name))?;
        let bytes = file.metadata()?.len();
        Ok(PlainSegment::over(file, bytes))
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        sync_folder(&self.folder)
    }

    fn path_of(&self, name: SegmentName) -> String {
        self.path(name).display().to_string()
    }
}

/// A segment in a file.
#[derive(Debug)]
pub struct PlainSegment {
    file: Arc<File>,
    bytes: u64,
}

impl PlainSegment {
    /// A file of so many bytes.
    pub(super) fn over(file: File, bytes: u64) -> Self {
        Self { file: Arc::new(file), bytes }
    }

    /// How many bytes the file has by now.
    pub(super) fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl Segment for PlainSegment {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn write(&mut self, offset: u64, [first, second]: [&[u64]; 2]) -> io::Result<()> {
        let mut parts: [&[u8]; 2] = [bytemuck::cast_slice(first), bytemuck::cast_slice(second)];
        let mut at = offset;
        while !parts[1].is_empty() || !parts[0].is_empty() {
            let slices = parts.map(io::IoSlice::new);
            let written = match rustix::io::pwritev(&*self.file, &slices, at) {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                outcome => outcome?,
            };
            at += written as u64;
            let in_first = written.min(parts[0].len());
            parts = [&parts[0][in_first..], &parts[1][written - in_first..]];
        }
        Ok(())
    }

    fn read(&self, offset: u64, into: &mut [u64]) -> io::Result<()> {
        self.file.read_exact_at(bytemuck::cast_slice_mut(into), offset)
    }

    fn shrink(&mut self, bytes: u64) -> io::Result<bool> {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.file.set_len(self.bytes)?;
        Ok(self.bytes > 0)
    }

    fn syncer(&self) -> Arc<dyn Syncer> {
        Arc::new(FileSyncer(Arc::clone(&self.file)))
    }
}

/// Syncs a file's data; its length never changes.
#[derive(Debug)]
struct FileSyncer(Arc<File>);

impl Syncer for FileSyncer {
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
