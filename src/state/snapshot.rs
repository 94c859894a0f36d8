//! A shard's snapshot: all that it holds at one place of its log, in one file.
//!
//! ```text
//!  s003.snapshot:    | header | words of the shard ... |
//! ```
//! The file is written beside the one before it, piece by piece as the words come, its header last:
//! only then it is known how many there are. Then it takes that one's place as a whole.

use super::StateError;
use crate::fault;
use crate::log::{EntrySequence, LogIdentity};
use crate::record::ShardIndex;
use bytemuck::{Pod, Zeroable};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a shard held, and where in its log that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which shard.
    pub shard: ShardIndex,
    /// The first entry that it does not know of.
    pub next: EntrySequence,
    /// The number of the run that wrote it.
    pub epoch: u64,
    /// What the shard held.
    pub words: Vec<u64>,
}

const MAGIC: u64 = u64::from_le_bytes(*b"TWHEELSN");
const VERSION: u32 = 3;

/// The start of a snapshot's file. Its layout is part of the format.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: u64,
    version: u32,
    shard: u16,
    reserved: u16,
    identity: u64,
    next: u64,
    epoch: u64,
    words: u64,
    words_crc: u32,
    crc: u32,
}

const HEADER_BYTES: usize = size_of::<Header>();
const _: () = assert!(HEADER_BYTES == 56, "no padding, and whole words");

impl Header {
    fn checksum(&self) -> u32 {
        crc32c::crc32c(bytemuck::bytes_of(&Self { crc: 0, ..*self }))
    }
}

pub(super) fn path_of(folder: &Path, shard: ShardIndex) -> PathBuf {
    folder.join(format!("s{:03}.snapshot", shard.0))
}

/// Which snapshot it is: all but the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPlace {
    /// Which shard's.
    pub shard: ShardIndex,
    /// The first entry that it does not know of.
    pub next: EntrySequence,
    /// The number of the run that writes it.
    pub epoch: u64,
}

/// A snapshot on its way into its file.
#[derive(Debug)]
pub struct SnapshotWriter {
    place: SnapshotPlace,
    identity: LogIdentity,
    path: PathBuf,
    new: PathBuf,
    /// The name that it has beside the other one, where history is kept.
    kept: Option<PathBuf>,
    file: File,
    /// Words that are written, and their checksum.
    words: u64,
    crc: u32,
}

impl SnapshotWriter {
    pub(super) fn begin(
        folder: &Path,
        identity: LogIdentity,
        (place, kept): (SnapshotPlace, Option<PathBuf>),
    ) -> Result<Self, StateError> {
        let path = path_of(folder, place.shard);
        let new = path.with_extension("snapshot.new");
        let begun = fault::point("snapshot.begin").and_then(|()| File::create(&new));
        let file = begun.and_then(|mut file| {
            file.write_all(&[0; HEADER_BYTES])?;
            Ok(file)
        });
        let file = file.map_err(StateError::io(new.display().to_string(), "write a snapshot"))?;
        Ok(Self { place, identity, path, new, kept, file, words: 0, crc: 0 })
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> StateError {
        StateError::io(self.new.display().to_string(), action)
    }

    /// Bytes of the file, as far as it is written.
    pub fn bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.words * 8
    }

    /// Writes the words that come next.
    ///
    /// # Errors
    /// When the system says no. The snapshot before this one is good still.
    pub fn append(&mut self, words: &[u64]) -> Result<(), StateError> {
        let bytes: &[u8] = bytemuck::cast_slice(words);
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.words += words.len() as u64;
        let written = fault::point("snapshot.piece").and_then(|()| self.file.write_all(bytes));
        written.map_err(self.failed("write a snapshot"))
    }

    /// All words are written: says so in the file.
    ///
    /// # Errors
    /// When the system says no. The snapshot before this one is good still.
    pub fn finish(&mut self) -> Result<(), StateError> {
        let mut header = Header {
            magic: MAGIC,
            version: VERSION,
            shard: self.place.shard.0,
            reserved: 0,
            identity: self.identity.0,
            next: self.place.next.0,
            epoch: self.place.epoch,
            words: self.words,
            words_crc: self.crc,
            crc: 0,
        };
        header.crc = header.checksum();
        fault::point("snapshot.header")
            .and_then(|()| self.file.write_all_at(bytemuck::bytes_of(&header), 0))
            .map_err(self.failed("write a snapshot's header"))
    }

    /// Puts the snapshot in the place of the one before, and no loss of power takes it back once
    /// this has returned. It must have been finished.
    ///
    /// # Errors
    /// When the system says no.
    pub fn switch_durably(self) -> Result<(), StateError> {
        self.file.sync_all().map_err(self.failed("sync"))?;
        let folder = self.path.parent().map(Path::to_owned).unwrap_or_default();
        drop(self.switch()?);
        super::directory::sync_folder(&folder)
    }

    /// Puts the snapshot in the place of the one before, which is left without a name, if there was
    /// one. It must have been finished.
    ///
    /// # Errors
    /// When the system says no. The snapshot before this one is good still.
    pub fn switch(self) -> Result<Option<Replaced>, StateError> {
        if let Some(kept) = &self.kept {
            // A run that was killed before the other name was given may have left one.
            match fs::remove_file(kept) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed("give another name to")(error));
                }
                _ => {}
            }
            fs::hard_link(&self.new, kept).map_err(self.failed("give another name to"))?;
        }
        // Where it can not be opened, its space is given back at once.
        let before = OpenOptions::new().write(true).open(&self.path).ok();
        fault::point("snapshot.switch")
            .and_then(|()| fs::rename(&self.new, &self.path))
            .and_then(|()| fault::point("snapshot.switched"))
            .map_err(self.failed("rename"))?;
        Ok(before.and_then(Replaced::new))
    }
}

/// A snapshot that has no name any more. Its space is given back piece by piece: all of it at once
/// takes the longer, the larger it is.
#[derive(Debug)]
pub struct Replaced {
    file: File,
    bytes: u64,
}

impl Replaced {
    /// `None` where the file still has a name: it is kept for history.
    fn new(file: File) -> Option<Self> {
        let found = file.metadata().ok().filter(|found| found.nlink() == 0)?;
        Some(Self { file, bytes: found.len() })
    }

    /// Gives so many bytes more back; says whether any are left.
    ///
    /// # Errors
    /// When the system says no.
    pub fn shrink(&mut self, bytes: u64) -> io::Result<bool> {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.file.set_len(self.bytes)?;
        Ok(self.bytes > 0)
    }
}

/// Reads a snapshot of a shard; `None` when there is none.
pub(super) fn read(
    path: &Path,
    shard: ShardIndex,
    identity: LogIdentity,
) -> Result<Option<Snapshot>, StateError> {
    let told = path.display().to_string();
    let failed = || StateError::io(told.clone(), "read");
    let damaged =
        |problem: &str| StateError::Damaged { path: told.clone(), problem: problem.to_owned() };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed()(error)),
    };
    let length = file.metadata().map_err(failed())?.len();
    let mut header = Header::zeroed();
    if length < HEADER_BYTES as u64 {
        return Err(damaged("cut short"));
    }
    file.read_exact(bytemuck::bytes_of_mut(&mut header)).map_err(failed())?;
    if header.magic != MAGIC || header.crc != header.checksum() {
        return Err(damaged("its header is not a snapshot's"));
    }
    if header.version != VERSION {
        let (path, found) = (told, header.version.to_string());
        return Err(StateError::Version { path, found, known: VERSION });
    }
    if header.identity != identity.0 || header.shard != shard.0 {
        return Err(damaged("it belongs to another state directory or another shard"));
    }
    if header.words.checked_mul(8).and_then(|bytes| bytes.checked_add(HEADER_BYTES as u64))
        != Some(length)
    {
        return Err(damaged("it is not as long as it says"));
    }
    let mut words = vec![0; header.words as usize];
    file.read_exact(bytemuck::cast_slice_mut(&mut words)).map_err(failed())?;
    if crc32c::crc32c(bytemuck::cast_slice(&words)) != header.words_crc {
        return Err(damaged("its checksum does not match what it holds"));
    }
    let (next, epoch) = (EntrySequence(header.next), header.epoch);
    Ok(Some(Snapshot { shard, next, epoch, words }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: LogIdentity = LogIdentity(7);

    fn snapshot(next: u64) -> Snapshot {
        let (shard, next) = (ShardIndex(3), EntrySequence(next));
        Snapshot { shard, next, epoch: 2, words: (0..100).collect() }
    }

    fn begin(folder: &Path, Snapshot { shard, next, epoch, .. }: &Snapshot) -> SnapshotWriter {
        let place = SnapshotPlace { shard: *shard, next: *next, epoch: *epoch };
        SnapshotWriter::begin(folder, IDENTITY, (place, None)).unwrap()
    }

    #[test]
    fn a_snapshot_takes_the_place_of_the_one_before_only_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let read = || read(&path_of(folder, ShardIndex(3)), ShardIndex(3), IDENTITY).unwrap();
        assert_eq!(read(), None);
        for next in [5, 9] {
            let before = read();
            let snapshot = snapshot(next);
            let mut writer = begin(folder, &snapshot);
            for piece in snapshot.words.chunks(7) {
                writer.append(piece).unwrap();
                assert_eq!(read(), before);
            }
            writer.finish().unwrap();
            assert_eq!(read(), before);
            let mut replaced = writer.switch().unwrap();
            assert_eq!(read(), Some(snapshot));
            assert_eq!(replaced.is_some(), before.is_some());
            if let Some(replaced) = &mut replaced {
                assert!(replaced.shrink(500).unwrap() && !replaced.shrink(500).unwrap());
            }
        }
    }

    #[test]
    fn a_snapshot_that_is_kept_stays_whole_when_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for next in [5, 9] {
            let Snapshot { shard, next, epoch, words } = snapshot(next);
            let place = SnapshotPlace { shard, next, epoch };
            let kept = Some(folder.join(format!("kept-{}", next.0)));
            let mut writer = SnapshotWriter::begin(folder, IDENTITY, (place, kept)).unwrap();
            writer.append(&words).unwrap();
            writer.finish().unwrap();
            assert!(writer.switch().unwrap().is_none());
        }
        let kept = read(&folder.join("kept-5"), ShardIndex(3), IDENTITY);
        assert_eq!(kept.unwrap(), Some(snapshot(5)));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut writer = begin(folder, &snapshot(1));
        writer.append(&snapshot(1).words).unwrap();
        writer.finish().unwrap();
        writer.switch().unwrap();
        let path = path_of(folder, ShardIndex(3));
        let mut bytes = fs::read(&path).unwrap();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).unwrap();
            assert!(
                read(&path_of(folder, ShardIndex(3)), ShardIndex(3), IDENTITY).is_err(),
                "bit {bit}"
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for length in [0, 1, HEADER_BYTES, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(
                read(&path_of(folder, ShardIndex(3)), ShardIndex(3), IDENTITY).is_err(),
                "{length} bytes"
            );
        }
        fs::write(&path, &bytes).unwrap();
        assert!(read(&path, ShardIndex(3), LogIdentity(8)).is_err());
    }
    #[test]
    fn a_snapshot_of_another_version_is_refused_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let mut header = Header { magic: MAGIC, version: 2, ..Header::zeroed() };
        header.crc = header.checksum();
        let path = path_of(folder.path(), ShardIndex(0));
        fs::write(&path, bytemuck::bytes_of(&header)).unwrap();
        let error = read(&path, ShardIndex(0), IDENTITY).unwrap_err().to_string();
        let expected = "s000.snapshot: of format 2; this program knows format 3: go on with the \
                        program that wrote it, or begin anew with another state directory";
        assert!(error.ends_with(expected), "{error}");
    }
}
