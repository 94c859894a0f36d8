//! A snapshot in several files: one that holds but what changed refers to those before it, back to
//! one that is whole.
//!
//! ```text
//!  s003.snapshot                 in force; refers to parts, the newest first
//!  s003-0000000000004711.part    what was in force when shard 3 had come to its entry 4711
//! ```
//! A snapshot has its name as a part from before it comes in force, so that a part that is referred
//! to is never missing, whenever a run ends. Parts that nothing in force refers to are left over.

use super::error::StateError;
use super::name::{Use, placed_in};
use crate::fault;
use crate::log::EntrySequence;
use crate::record::ShardIndex;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The first entry that it does not know of.
    pub(super) next: EntrySequence,
    /// The checksum of its header, which has that of the rest.
    pub(super) crc: u32,
    pub(super) bytes: u64,
}

/// The files of a snapshot, the newest first: what changed, and what changed before that, back to
/// one that is whole. None where there is no snapshot yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotChain {
    pub(super) parts: Vec<Part>,
}

impl SnapshotChain {
    /// Its files.
    pub fn files(&self) -> usize {
        self.parts.len()
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// Removes the parts of a shard that are not `needed`; those that can be opened are handed over, so
/// that their space can be given back later.
pub(super) fn forget_parts(
    folder: &Path,
    shard: ShardIndex,
    needed: &[EntrySequence],
) -> Result<Vec<File>, StateError> {
    let mut forgotten = Vec::new();
    for name in
        placed_in(folder, shard, Use::Part)?.into_iter().filter(|name| !needed.contains(&name.next))
    {
        let path = folder.join(name.file_name());
        forgotten.extend(OpenOptions::new().write(true).open(&path).ok());
        fault::point("snapshot.forget")
            .and_then(|()| fs::remove_file(&path))
            .map_err(StateError::io(path.display().to_string(), "remove an old snapshot"))?;
    }
    Ok(forgotten)
}

/// Gives a file another name; one that is there is left over, and goes.
pub(super) fn link(file: &Path, name: &PathBuf) -> io::Result<()> {
    match fs::remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fault::point("snapshot.link").and_then(|()| fs::hard_link(file, name))
}

/// Whether an error says that files can not have several names here.
pub(super) fn can_not_link(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), PermissionDenied | TooManyLinks | Unsupported)
}

/// Files that have no name any more. Their space is given back piece by piece: all of it at once
/// takes the longer, the more it is.
#[derive(Debug)]
pub struct Replaced {
    files: Vec<(File, u64)>,
}

impl Replaced {
    /// Of these files, those that have no name any more; `None` where that is none.
    pub(super) fn new(files: Vec<File>) -> Option<Self> {
        let nameless = |file: File| {
            let found = file.metadata().ok().filter(|found| found.nlink() == 0)?;
            Some((found.ino(), (file, found.len())))
        };
        let mut files: Vec<_> = files.into_iter().filter_map(nameless).collect();
        files.sort_by_key(|(number, _)| *number);
        files.dedup_by_key(|(number, _)| *number);
        let files: Vec<_> = files.into_iter().map(|(_, file)| file).collect();
        (!files.is_empty()).then_some(Self { files })
    }

    /// Gives about so many bytes more back; says whether any are left.
    ///
    /// # Errors
    /// When the system says no.
    pub fn shrink(&mut self, bytes: u64) -> io::Result<bool> {
        let mut enough = bytes;
        while enough > 0
            && let Some((file, left)) = self.files.last_mut()
        {
            let given = enough.min(*left);
            (*left, enough) = (*left - given, enough - given);
            file.set_len(*left)?;
            if *left == 0 {
                self.files.pop();
            }
        }
        Ok(!self.files.is_empty())
    }
}
