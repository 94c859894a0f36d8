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
use crate::fault;
use crate::log::EntrySequence;
use crate::record::ShardIndex;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The name of a snapshot as a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartName {
    pub(super) shard: ShardIndex,
    pub(super) next: EntrySequence,
}

impl PartName {
    /// What a file is called.
    pub(super) fn file_name(self) -> String {
        format!("s{:03}-{:016}.part", self.shard.0, self.next.0)
    }

    /// The part that a file of this name is.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (shard, next) = text.strip_prefix('s')?.strip_suffix(".part")?.split_once('-')?;
        let (shard, next) = (ShardIndex(shard.parse().ok()?), EntrySequence(next.parse().ok()?));
        // Only what we would have written ourselves: no sign, no missing zero.
        Some(Self { shard, next }).filter(|name| name.file_name() == text)
    }
}

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

/// The parts of a shard that there are, in order.
pub(super) fn parts_in(folder: &Path, shard: ShardIndex) -> Result<Vec<PartName>, StateError> {
    let listed = || StateError::io(folder.display().to_string(), "list");
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder).map_err(listed())? {
        let name = entry.map_err(listed())?.file_name();
        let name = name.to_str().and_then(PartName::parse);
        parts.extend(name.filter(|name| name.shard == shard));
    }
    parts.sort_unstable();
    Ok(parts)
}

/// Removes the parts of a shard that are not `needed`; those that can be opened are handed over, so
/// that their space can be given back later.
pub(super) fn forget_parts(
    folder: &Path,
    shard: ShardIndex,
    needed: &[EntrySequence],
) -> Result<Vec<File>, StateError> {
    let mut forgotten = Vec::new();
    for name in parts_in(folder, shard)?.into_iter().filter(|name| !needed.contains(&name.next)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_parsed_as_it_is_displayed_and_nothing_else_is_one() {
        for (shard, next) in [(0, 0), (3, 4711), (255, u64::MAX)] {
            let name = PartName { shard: ShardIndex(shard), next: EntrySequence(next) };
            assert_eq!(PartName::parse(&name.file_name()), Some(name));
        }
        for other in ["s003.snapshot", "s003-4711.part", "s003-0000000000004711.snapshot", "s3-"] {
            assert_eq!(PartName::parse(other), None, "{other}");
        }
    }
}
