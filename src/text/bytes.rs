//! Bytes of a file or a stream, in pieces, without ever blocking the core.
//!
//! Uses `source` for its errors. A regular file is read directly; a pipe, a terminal or a socket
//! is asked first whether something lies ready. What was read waits in one contiguous buffer until
//! it is consumed; how far the buffer grows is decided by the reader, who bounds its records.

mod file;

pub(crate) use file::Turn;

use super::plan::Follow;
use crate::source::SourceError;
use file::RegularFile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes that one read asks for.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// Bytes before a place that its hash is of.
const CHECKED_BYTES: usize = 4 << 10;

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// So many bytes, at least one.
    Bytes(usize),
    /// None now; some may come later.
    Pending,
    /// No more will ever come.
    End,
}

/// Bytes from anywhere: for an embedder who unpacks, decrypts or makes them up.
pub trait ChunkSource: Send {
    /// Reads into the front of `into`, which is not empty. Never blocks.
    ///
    /// # Errors
    /// When the bytes cannot be had.
    fn read(&mut self, into: &mut [u8]) -> io::Result<Chunk>;
}

/// Where the bytes of one input come from.
enum Origin {
    File(RegularFile),
    Stream(OwnedFd),
    Custom(Box<dyn ChunkSource>),
    /// A file that is to be followed and is not there yet.
    Absent(PathBuf, Follow),
}

fn open_for_reading(path: &Path) -> io::Result<OwnedFd> {
    // Without NONBLOCK, opening a named pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn read_retrying(fd: &OwnedFd, into: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::read(fd, &mut *into) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Reads a stream only when poll says that something, if only its end, lies ready.
fn read_stream(fd: &OwnedFd, into: &mut [u8]) -> io::Result<Chunk> {
    if !wait_readable(&[fd.as_fd()], Duration::ZERO)? {
        return Ok(Chunk::Pending);
    }
    match read_retrying(fd, into) {
        Ok(0) => Ok(Chunk::End),
        Ok(bytes) => Ok(Chunk::Bytes(bytes)),
        Err(Errno::AGAIN) => Ok(Chunk::Pending),
        Err(error) => Err(error.into()),
    }
}

/// Waits until one of the streams has something to read, at most so long. An interrupting signal
/// ends the wait early.
pub(crate) fn wait_readable(fds: &[BorrowedFd<'_>], at_most: Duration) -> io::Result<bool> {
    let mut fds: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(at_most).map_err(|_| Errno::INVAL)?;
    match poll(&mut fds, Some(&timeout)) {
        Ok(ready) => Ok(ready != 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// One input's bytes and the buffer in which they wait.
pub(crate) struct ByteInput {
    name: String,
    origin: Origin,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    bytes_read: u64,
    bytes_total: Option<u64>,
    ended: bool,
    /// The start was looked at for a byte order mark.
    is_past_mark: bool,
    /// What is available is ASCII, and so needs no look at whether it is UTF-8.
    is_ascii: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What begins with bytes that no text in UTF-8 begins with, and how to make text of it. None of
/// these marks is longer than [`BYTE_ORDER_MARK`].
const NO_TEXT: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "compressed by gzip", "'gzip -dc FILE | tidewheel agg -'"),
    (b"\x28\xb5\x2f", "compressed by zstd", "'zstd -dc FILE | tidewheel agg -'"),
    (b"\xff\xfe", "UTF-16", "'iconv -f UTF-16 -t UTF-8 FILE | tidewheel agg -'"),
    (b"\xfe\xff", "UTF-16", "'iconv -f UTF-16 -t UTF-8 FILE | tidewheel agg -'"),
];

impl fmt::Debug for ByteInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteInput")
            .field("name", &self.name)
            .field("bytes_read", &self.bytes_read)
            .finish_non_exhaustive()
    }
}

impl ByteInput {
    /// Opens a file, a named pipe or a device. `follow` says what the end of a regular file means;
    /// one that is followed need not be there yet.
    pub(crate) fn open(path: &Path, follow: Follow) -> io::Result<Self> {
        let name = path.display().to_string();
        match open_for_reading(path) {
            Err(error) if follow != Follow::Never && error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::new(name, Origin::Absent(path.to_owned(), follow), None))
            }
            fd => Self::from_fd(name, fd?, Some(path.to_owned()), follow),
        }
    }

    /// Whether it is a file that is not there yet.
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self.origin, Origin::Absent(..))
    }

    /// Opens a file that was not there, and must be by now.
    pub(crate) fn require(&mut self) -> io::Result<()> {
        let Origin::Absent(path, follow) = &self.origin else { return Ok(()) };
        let (fd, path, follow) = (open_for_reading(path)?, path.clone(), *follow);
        let opened = Self::from_fd(self.name.clone(), fd, Some(path), follow)?;
        (self.origin, self.bytes_total) = (opened.origin, opened.bytes_total);
        Ok(())
    }

    /// Standard input, whatever it is connected to.
    pub(crate) fn stdin(follow: Follow) -> io::Result<Self> {
        let fd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 0)?;
        Self::from_fd("stdin".to_owned(), fd, None, follow)
    }

    /// Bytes that someone else reads.
    pub(crate) fn custom(name: String, source: Box<dyn ChunkSource>) -> Self {
        Self::new(name, Origin::Custom(source), None)
    }

    fn from_fd(
        name: String,
        fd: OwnedFd,
        path: Option<PathBuf>,
        follow: Follow,
    ) -> io::Result<Self> {
        let stat = fstat(&fd)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Err(Errno::ISDIR.into()),
            FileType::RegularFile | FileType::BlockDevice => {
                let (file, bytes) = RegularFile::new(fd, &stat, path, follow)?;
                let total = (!file.is_followed()).then_some(bytes);
                Ok(Self::new(name, Origin::File(file), total))
            }
            _ => Ok(Self::new(name, Origin::Stream(fd), None)),
        }
    }

    fn new(name: String, origin: Origin, bytes_total: Option<u64>) -> Self {
        Self {
            name,
            origin,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            bytes_read: 0,
            bytes_total,
            ended: false,
            is_past_mark: false,
            is_ascii: true,
        }
    }

    /// Whether all of the available bytes are ASCII.
    #[inline]
    pub(crate) const fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    pub(crate) const fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }

    /// Whether the input can be read again from any place.
    pub(crate) fn can_seek(&self) -> bool {
        match &self.origin {
            Origin::File(file) => file.keeps_places(),
            Origin::Absent(_, follow) => *follow != Follow::Name,
            Origin::Stream(_) | Origin::Custom(_) => false,
        }
    }

    /// Where the available bytes begin in a regular file, and a hash of what lies before.
    pub(crate) fn place(&self) -> io::Result<Option<(u64, u64)>> {
        let Origin::File(file) = &self.origin else { return Ok(None) };
        let offset = file.position() - (self.end - self.start) as u64;
        Ok(Some((offset, file.check(offset)?)))
    }

    /// Goes on at a place that [`Self::place`] said of the same file. `false` when what lies
    /// before it is not what it was.
    pub(crate) fn go_to(&mut self, offset: u64, check: u64) -> io::Result<bool> {
        let Origin::File(file) = &mut self.origin else { return Ok(false) };
        if !file.go_to(offset, check)? {
            return Ok(false);
        }
        (self.start, self.end, self.ended, self.is_past_mark) = (0, 0, false, true);
        self.bytes_read = offset;
        Ok(true)
    }

    /// Whether the end was seen: what is available is the last.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// The stream to wait for when there is nothing now.
    pub(crate) fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        match &self.origin {
            Origin::Stream(fd) => Some(fd.as_fd()),
            Origin::File(_) | Origin::Custom(_) | Origin::Absent(..) => None,
        }
    }

    /// Whether a pause now means that someone is writing, and a wait is worth it. A regular file
    /// that is followed may never grow.
    pub(crate) const fn may_come_soon(&self) -> bool {
        !matches!(self.origin, Origin::File(_) | Origin::Absent(..))
    }

    /// The bytes that were read and not yet consumed.
    #[inline]
    pub(crate) fn available(&self) -> &[u8] {
        match self.is_past_mark {
            true => &self.buffer[self.start..self.end],
            false => &[],
        }
    }

    /// Forgets the first of the available bytes.
    #[inline]
    pub(crate) fn consume(&mut self, bytes: usize) {
        assert!(bytes <= self.end - self.start, "only what is there is consumed");
        self.start += bytes;
    }

    /// Reads a chunk behind the available bytes.
    pub(crate) fn fill(&mut self) -> Result<Chunk, SourceError> {
        if self.ended {
            return Ok(Chunk::End);
        }
        match self.require() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Chunk::Pending),
            opened => opened.map_err(|error| {
                let name = self.name.clone();
                SourceError::Io { name, error }
            })?,
        }
        self.make_room();
        let space = &mut self.buffer[self.end..];
        let room = space.len();
        let read = match &mut self.origin {
            Origin::File(file) => file.read(space),
            Origin::Stream(fd) => read_stream(fd, space),
            Origin::Custom(source) => source.read(space),
            Origin::Absent(..) => return Ok(Chunk::Pending),
        };
        let chunk = read.map_err(|error| SourceError::Io { name: self.name.clone(), error })?;
        match chunk {
            Chunk::Bytes(0) => return Ok(Chunk::Pending),
            Chunk::Bytes(bytes) => {
                assert!(bytes <= room, "a source reads no more than there is room for");
                self.end += bytes;
                self.bytes_read += bytes as u64;
                self.is_ascii = self.buffer[self.start..self.end].is_ascii();
            }
            Chunk::End => self.ended = true,
            Chunk::Pending => {}
        }
        if !self.is_past_mark {
            self.pass_mark()?;
        }
        Ok(chunk)
    }

    /// Skips a byte order mark at the start, and refuses what is no UTF-8, once there are bytes
    /// enough to tell.
    fn pass_mark(&mut self) -> Result<(), SourceError> {
        let start = &self.buffer[self.start..self.end];
        if !self.ended && start.len() < BYTE_ORDER_MARK.len() {
            return Ok(());
        }
        if let Some((_, found, mend)) = NO_TEXT.iter().find(|(mark, ..)| start.starts_with(mark)) {
            return Err(SourceError::Data(format!(
                "{}:1:1: the input is {found}, and only text in UTF-8 is read; pipe it through \
                 {mend}",
                self.name
            )));
        }
        if start.starts_with(BYTE_ORDER_MARK) {
            self.start += BYTE_ORDER_MARK.len();
        }
        self.is_past_mark = true;
        Ok(())
    }

    /// What became of a followed file since the last call, to be asked for when there is nothing
    /// more to read, and how many bytes were not consumed. Where another text begins they are
    /// forgotten, and its start comes next.
    pub(crate) fn turn(&mut self) -> io::Result<Option<(Turn, usize)>> {
        let Origin::File(file) = &mut self.origin else { return Ok(None) };
        let Some(turn) = file.turn()? else { return Ok(None) };
        let left = self.end - self.start;
        if turn.begins_anew() {
            (self.start, self.end, self.ended, self.is_past_mark) = (0, 0, false, false);
        }
        Ok(Some((turn, left)))
    }

    /// Moves what is left to the front and makes the buffer one chunk longer than that; a buffer
    /// that one huge record left behind shrinks again.
    fn make_room(&mut self) {
        if self.start != 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let needed = self.end + CHUNK_BYTES;
        if self.buffer.len() < needed {
            self.buffer.resize(needed.max(self.buffer.len() * 2), 0);
        } else if self.buffer.len() > needed * 8 {
            self.buffer.truncate(needed * 2);
            self.buffer.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests;
