//! Names of snapshots' files that say at which place of its log a shard was: written and read in
//! this one place.
//!
//! ```text
//!  s003-0000000000004711.snapshot    what shard 3 held before its entry 4711, for history
//!  s003-0000000000004711.part        the same, for later snapshots that refer to it
//! ```

use super::error::StateError;
use crate::log::EntrySequence;
use crate::record::ShardIndex;
use std::fs;
use std::path::Path;

/// What a snapshot has the name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// History begins there.
    Kept,
    /// A later snapshot refers to it.
    Part,
}

/// The name of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlacedName {
    pub(super) shard: ShardIndex,
    /// The first entry that it does not know of.
    pub(super) next: EntrySequence,
    pub(super) of: Use,
}

impl PlacedName {
    /// The name of one that is kept.
    pub(super) const fn kept(shard: ShardIndex, next: EntrySequence) -> Self {
        Self { shard, next, of: Use::Kept }
    }

    /// The name of a part.
    pub(super) const fn part(shard: ShardIndex, next: EntrySequence) -> Self {
        Self { shard, next, of: Use::Part }
    }

    /// What a file is called.
    pub(super) fn file_name(self) -> String {
        let ending = match self.of {
            Use::Kept => "snapshot",
            Use::Part => "part",
        };
        format!("s{:03}-{:016}.{ending}", self.shard.0, self.next.0)
    }

    /// The snapshot that a file of this name is.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (place, ending) = text.strip_prefix('s')?.split_once('.')?;
        let of = match ending {
            "snapshot" => Use::Kept,
            "part" => Use::Part,
            _ => return None,
        };
        let (shard, next) = place.split_once('-')?;
        let (shard, next) = (ShardIndex(shard.parse().ok()?), EntrySequence(next.parse().ok()?));
        // Only what we would have written ourselves: no sign, no missing zero.
        Some(Self { shard, next, of }).filter(|name| name.file_name() == text)
    }
}

/// The snapshots of a shard with a name for this use that lie in a folder, in order.
pub(super) fn placed_in(
    folder: &Path,
    shard: ShardIndex,
    of: Use,
) -> Result<Vec<PlacedName>, StateError> {
    let listed = || StateError::io(folder.display().to_string(), "list");
    let mut placed = Vec::new();
    for entry in fs::read_dir(folder).map_err(listed())? {
        let name = entry.map_err(listed())?.file_name();
        let name = name.to_str().and_then(PlacedName::parse);
        placed.extend(name.filter(|name| name.of == of && name.shard == shard));
    }
    placed.sort_unstable();
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_parsed_as_it_is_displayed_and_nothing_else_is_one() {
        for (shard, next) in [(0, 0), (3, 4711), (255, u64::MAX)] {
            let (shard, next) = (ShardIndex(shard), EntrySequence(next));
            for name in [PlacedName::kept(shard, next), PlacedName::part(shard, next)] {
                assert_eq!(PlacedName::parse(&name.file_name()), Some(name));
            }
        }
        let kept = PlacedName::kept(ShardIndex(3), EntrySequence(4711));
        assert_eq!(kept.file_name(), "s003-0000000000004711.snapshot");
        let others = [
            "s003.snapshot",
            "s3-4711.snapshot",
            "s003-4711.part",
            "s003-0000000000004711.log",
            "s003-0000000000004711.part.new",
            "s3-",
            "",
        ];
        for other in others {
            assert_eq!(PlacedName::parse(other), None, "{other}");
        }
    }
}
