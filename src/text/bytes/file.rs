//! A regular file that is read from where it stands and, if asked for, followed.
//!
//! Uses `source` for its hash.

use super::{CHECKED_BYTES, Chunk, open_for_reading, read_retrying};
use crate::source::check_of;
use crate::text::plan::{Follow, Notice};
use rustix::fs::{FileType, SeekFrom, Stat, fstat, seek, stat};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A regular file, or a block device, which can be read as one.
pub(super) struct RegularFile {
    fd: OwnedFd,
    position: u64,
    /// What it was opened by; standard input has no name.
    path: Option<PathBuf>,
    follow: Follow,
    /// What is to be told, and perhaps done, before anything more is read.
    next: Option<Next>,
    is_told_gone: bool,
}

/// Why a file must stay what it is, and how to mend it.
const KEPT: &str = "and what is kept of it would not fit: put it back as it was, or begin anew \
                    with another state directory";

/// What was noticed at the end of a followed file.
enum Next {
    Cut { size: u64 },
    Replaced(OwnedFd),
    Gone(io::Error),
}

/// What became of a followed file.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It was cut to so many bytes after so many were read. It is read again from its start.
    Cut { size: u64, read: u64 },
    /// Its name leads to another file, which is read from its start.
    Replaced,
    /// Its name leads to no file that can be read. It is followed on.
    Gone(io::Error),
}

impl Turn {
    /// Whether another text begins, and what is left of the one before is to be forgotten.
    pub(crate) const fn begins_anew(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Replaced)
    }

    /// What a person is to know of the input of this name, of which so many bytes were no whole
    /// line yet.
    pub(crate) fn notice(self, name: String, unfinished: usize) -> Notice {
        match self {
            Self::Cut { size, read } => Notice::Cut { name, size, read, unfinished },
            Self::Replaced => Notice::Replaced { name },
            Self::Gone(error) => Notice::Gone { name, problem: error.to_string() },
        }
    }
}

impl RegularFile {
    /// The file that `fd` is open on, and how many bytes lie before its end.
    pub(super) fn new(
        fd: OwnedFd,
        stat: &Stat,
        path: Option<PathBuf>,
        follow: Follow,
    ) -> io::Result<(Self, u64)> {
        let position = seek(&fd, SeekFrom::Current(0))?;
        // A device does not grow, and has no size that could be compared.
        let follow = if is_regular(stat) { follow } else { Follow::Never };
        let file = Self { fd, position, path, follow, next: None, is_told_gone: false };
        Ok((file, size_of(stat).saturating_sub(position)))
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Whether more may come at its end.
    pub(super) fn is_followed(&self) -> bool {
        self.follow != Follow::Never
    }

    /// Whether a place in it is one of the same file for as long as it is read.
    pub(super) fn keeps_places(&self) -> bool {
        self.follow != Follow::Name
    }

    /// A hash of what lies before a place.
    pub(super) fn check(&self, offset: u64) -> io::Result<u64> {
        let mut bytes = [0; CHECKED_BYTES];
        let length = offset.min(CHECKED_BYTES as u64) as usize;
        let mut have = 0;
        while have < length {
            let at = offset - (length - have) as u64;
            match rustix::io::pread(&self.fd, &mut bytes[have..length], at) {
                Err(Errno::INTR) => {}
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => have += read?,
            }
        }
        Ok(check_of(offset, &bytes[..length]))
    }

    /// Goes to a place; `false` when what lies before it has not this hash.
    pub(super) fn go_to(&mut self, offset: u64, check: u64) -> io::Result<bool> {
        if offset > size_of(&fstat(&self.fd)?) || self.check(offset)? != check {
            return Ok(false);
        }
        self.position = seek(&self.fd, SeekFrom::Start(offset))?;
        Ok(true)
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Chunk> {
        match self.next {
            Some(Next::Replaced(_)) => return Ok(Chunk::End),
            Some(_) => return Ok(Chunk::Pending),
            None => {}
        }
        match self.read_on(into)? {
            0 if self.is_followed() => self.look(into),
            0 => Ok(Chunk::End),
            bytes => Ok(Chunk::Bytes(bytes)),
        }
    }

    fn read_on(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = read_retrying(&self.fd, into)?;
        self.position += bytes as u64;
        Ok(bytes)
    }

    /// At the end of a followed file: whether it is as long as what was read of it, and still the
    /// one that its name leads to.
    fn look(&mut self, into: &mut [u8]) -> io::Result<Chunk> {
        let here = fstat(&self.fd)?;
        let (size, read) = (size_of(&here), self.position);
        if size < read {
            if self.follow == Follow::File {
                return Err(io::Error::other(format!(
                    "the file was cut to {size} bytes while it was followed; {read} were already \
                     read, {KEPT}"
                )));
            }
            self.next = Some(Next::Cut { size });
            return Ok(Chunk::Pending);
        }
        let Some(successor) = self.successor(&here) else { return Ok(Chunk::Pending) };
        // Before it lost its name it may have grown once more.
        match self.read_on(into)? {
            0 if self.follow == Follow::File => Err(io::Error::other(format!(
                "the file was replaced by another while it was followed, {KEPT}"
            ))),
            0 => {
                self.next = Some(Next::Replaced(successor));
                Ok(Chunk::End)
            }
            bytes => Ok(Chunk::Bytes(bytes)),
        }
    }

    /// The file that the name leads to, when it is another one.
    fn successor(&mut self, here: &Stat) -> Option<OwnedFd> {
        let path = self.path.as_deref()?;
        let found = stat(path).map_err(io::Error::from).and_then(|there| {
            match (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) {
                true => Ok(None),
                false => open_for_reading(path).map(Some),
            }
        });
        let found = found.and_then(|fd| match fd {
            Some(fd) if !is_regular(&fstat(&fd)?) => Err(io::Error::other("it is no regular file")),
            fd => Ok(fd),
        });
        match found {
            Ok(successor) => {
                self.is_told_gone = false;
                successor
            }
            // Whoever replaces it may do so in two steps.
            Err(error) => {
                if !std::mem::replace(&mut self.is_told_gone, true) {
                    self.next = Some(Next::Gone(error));
                }
                None
            }
        }
    }

    /// What became of it since the last call; the start of what is there now comes next where
    /// another text begins.
    pub(super) fn turn(&mut self) -> io::Result<Option<Turn>> {
        let Some(next) = self.next.take() else { return Ok(None) };
        Ok(Some(match next {
            Next::Cut { size } => {
                seek(&self.fd, SeekFrom::Start(0))?;
                Turn::Cut { size, read: std::mem::take(&mut self.position) }
            }
            Next::Replaced(fd) => {
                (self.fd, self.position) = (fd, 0);
                Turn::Replaced
            }
            Next::Gone(error) => Turn::Gone(error),
        }))
    }
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
