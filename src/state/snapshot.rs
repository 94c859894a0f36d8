//! A shard's snapshot: all that it holds at one place of its log.
//!
//! ```text
//!  s003.snapshot:    | header | earlier parts | outline | chunks of words ... |
//! ```
//! The file is written beside the one before it, piece by piece as the words come, its header last:
//! only then it is known how many there are. Then it takes that one's place as a whole.
//!
//! One that refers to earlier parts has the chunks that changed since. What the shard held is its
//! words, and behind them the chunks of the parts, the newest first.

use super::StateError;
use super::chain::{self, Part, Replaced, SnapshotChain};
use super::name::PlacedName;
use crate::fault;
use crate::log::{EntrySequence, LogIdentity};
use crate::record::ShardIndex;
use bytemuck::{Pod, Zeroable};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
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
    /// What the shard held: of each chunk, the first one counts.
    pub words: Vec<u64>,
    /// The places of the files that it is in, the newest first.
    pub parts: Vec<EntrySequence>,
    /// Bytes of the oldest of these, which is whole.
    pub whole_bytes: u64,
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
    /// Parts that it refers to.
    earlier: u16,
    identity: u64,
    next: u64,
    epoch: u64,
    words: u64,
    /// Words before the chunks.
    outline: u64,
    /// Of the earlier parts and the words.
    words_crc: u32,
    crc: u32,
}

/// A part that is referred to.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Earlier {
    next: u64,
    crc: u32,
    reserved: u32,
}

const HEADER_BYTES: usize = size_of::<Header>();
const EARLIER_BYTES: usize = size_of::<Earlier>();
const _: () = assert!(HEADER_BYTES == 64 && EARLIER_BYTES == 16, "no padding, and whole words");

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
    name: OtherName,
    earlier: SnapshotChain,
    file: File,
    /// Words that are written, and the checksum of the earlier parts and them.
    words: u64,
    crc: u32,
    outline: u64,
    header_crc: u32,
}

/// The name that a snapshot has beside the one under which it is in force.
#[derive(Debug)]
pub(super) enum OtherName {
    /// As a base of the history that is kept.
    Kept(PathBuf),
    /// As a part that later ones may refer to.
    Part,
}

impl SnapshotWriter {
    pub(super) fn begin(
        folder: &Path,
        identity: LogIdentity,
        (place, name): (SnapshotPlace, OtherName),
        earlier: SnapshotChain,
    ) -> Result<Self, StateError> {
        let path = path_of(folder, place.shard);
        let new = path.with_extension("snapshot.new");
        let begun = fault::point("snapshot.begin").and_then(|()| File::create(&new));
        let earlier_of = |part: &Part| Earlier { next: part.next.0, crc: part.crc, reserved: 0 };
        let parts: Vec<_> = earlier.parts.iter().map(earlier_of).collect();
        let parts: &[u8] = bytemuck::cast_slice(&parts);
        let file = begun.and_then(|mut file| {
            file.write_all(&[0; HEADER_BYTES])?;
            file.write_all(parts)?;
            Ok(file)
        });
        let file = file.map_err(StateError::io(new.display().to_string(), "write a snapshot"))?;
        let (crc, header_crc) = (crc32c::crc32c(parts), 0);
        let (words, outline) = (0, 0);
        Ok(Self {
            place,
            identity,
            path,
            new,
            name,
            earlier,
            file,
            words,
            crc,
            outline,
            header_crc,
        })
    }

    /// Whether it is to have all chunks, and not only those that changed since an earlier one.
    pub fn is_whole(&self) -> bool {
        self.earlier.parts.is_empty()
    }

    /// The first so many words are no chunks.
    pub fn set_outline(&mut self, words: usize) {
        self.outline = words as u64;
    }

    /// The files of the snapshot, once it has been finished, where later ones may refer to them.
    pub fn chain(&self) -> SnapshotChain {
        match self.name {
            OtherName::Kept(_) => SnapshotChain::default(),
            OtherName::Part => self.files(),
        }
    }

    fn files(&self) -> SnapshotChain {
        let (next, crc, bytes) = (self.place.next, self.header_crc, self.bytes());
        let mut parts = vec![Part { next, crc, bytes }];
        parts.extend(&self.earlier.parts);
        SnapshotChain { parts }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> StateError {
        StateError::io(self.new.display().to_string(), action)
    }

    /// Bytes of the file, as far as it is written.
    pub fn bytes(&self) -> u64 {
        (HEADER_BYTES + self.earlier.parts.len() * EARLIER_BYTES) as u64 + self.words * 8
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
            earlier: self.earlier.parts.len() as u16,
            identity: self.identity.0,
            next: self.place.next.0,
            epoch: self.place.epoch,
            words: self.words,
            outline: self.outline,
            words_crc: self.crc,
            crc: 0,
        };
        header.crc = header.checksum();
        self.header_crc = header.crc;
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
        let folder = self.folder().to_owned();
        let before = self.put_in_force()?;
        super::directory::sync_folder(&folder)?;
        self.forget_others(before).map(drop)
    }

    /// Puts the snapshot in the place of the one before. That one is left without a name, if there
    /// was one, and so are parts that this one does not refer to. It must have been finished.
    ///
    /// # Errors
    /// When the system says no. The snapshot before this one is good still, or this one.
    pub fn switch(self) -> Result<Option<Replaced>, StateError> {
        let before = self.put_in_force()?;
        self.forget_others(before)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    fn put_in_force(&self) -> Result<Option<File>, StateError> {
        let part = PlacedName::part(self.place.shard, self.place.next);
        let linked = match &self.name {
            OtherName::Kept(kept) => chain::link(&self.new, kept),
            OtherName::Part => {
                match chain::link(&self.new, &self.folder().join(part.file_name())) {
                    // Nothing will refer to it.
                    Err(error) if chain::can_not_link(&error) => Ok(()),
                    linked => linked,
                }
            }
        };
        linked.map_err(self.failed("give another name to"))?;
        // Where it can not be opened, its space is given back at once.
        let before = OpenOptions::new().write(true).open(&self.path).ok();
        fault::point("snapshot.switch")
            .and_then(|()| fs::rename(&self.new, &self.path))
            .and_then(|()| fault::point("snapshot.switched"))
            .map_err(self.failed("rename"))?;
        Ok(before)
    }

    /// Removes what the snapshot in force does not refer to.
    fn forget_others(&self, before: Option<File>) -> Result<Option<Replaced>, StateError> {
        let needed: Vec<_> = self.files().parts.iter().map(|part| part.next).collect();
        let mut files = chain::forget_parts(self.folder(), self.place.shard, &needed)?;
        files.extend(before);
        Ok(Replaced::new(files))
    }
}

impl Drop for SnapshotWriter {
    /// One that was not put in force is of no use to anyone.
    fn drop(&mut self) {
        // What is left over of it is written anew by the next one.
        let _ = fs::remove_file(&self.new);
    }
}

/// A file of a snapshot.
struct SnapshotFile {
    header: Header,
    earlier: Vec<Earlier>,
    words: Vec<u64>,
    bytes: u64,
}

/// Reads a snapshot of a shard, with all the parts that it refers to; `None` when there is none.
pub(super) fn read(
    path: &Path,
    shard: ShardIndex,
    identity: LogIdentity,
) -> Result<Option<Snapshot>, StateError> {
    let Some(newest) = read_file(path, shard, identity)? else { return Ok(None) };
    let SnapshotFile { header, earlier, mut words, bytes } = newest;
    let (mut parts, mut whole_bytes) = (vec![EntrySequence(header.next)], bytes);
    for Earlier { next, crc, .. } in earlier {
        let name = PlacedName::part(shard, EntrySequence(next));
        let part = path.with_file_name(name.file_name());
        let damaged = |problem: String| {
            let path = part.display().to_string();
            StateError::Damaged { path, problem }
        };
        let named = path.file_name().unwrap_or_default().display();
        let found = read_file(&part, shard, identity)?
            .ok_or_else(|| damaged(format!("it is gone, and {named} refers to it")))?;
        if found.header.crc != crc || found.header.next != next {
            return Err(damaged(format!("it is another one than {named} refers to")));
        }
        words.extend_from_slice(&found.words[found.header.outline as usize..]);
        parts.push(name.next);
        whole_bytes = found.bytes;
    }
    let (next, epoch) = (EntrySequence(header.next), header.epoch);
    Ok(Some(Snapshot { shard, next, epoch, words, parts, whole_bytes }))
}

/// Reads one file of a snapshot; `None` when there is none.
fn read_file(
    path: &Path,
    shard: ShardIndex,
    identity: LogIdentity,
) -> Result<Option<SnapshotFile>, StateError> {
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
    let before = (HEADER_BYTES + usize::from(header.earlier) * EARLIER_BYTES) as u64;
    if header.words.checked_mul(8).and_then(|bytes| bytes.checked_add(before)) != Some(length)
        || header.outline > header.words
    {
        return Err(damaged("it is not as long as it says"));
    }
    let mut earlier = vec![Earlier::zeroed(); usize::from(header.earlier)];
    file.read_exact(bytemuck::cast_slice_mut(&mut earlier)).map_err(failed())?;
    let mut words = vec![0; header.words as usize];
    file.read_exact(bytemuck::cast_slice_mut(&mut words)).map_err(failed())?;
    let crc = crc32c::crc32c(bytemuck::cast_slice(&earlier));
    if crc32c::crc32c_append(crc, bytemuck::cast_slice(&words)) != header.words_crc {
        return Err(damaged("its checksum does not match what it holds"));
    }
    Ok(Some(SnapshotFile { header, earlier, words, bytes: length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: LogIdentity = LogIdentity(7);

    const SHARD: ShardIndex = ShardIndex(3);

    /// Words before the chunks.
    const OUTLINE: usize = 40;

    /// What each snapshot holds: an outline, and chunks.
    fn words(next: u64) -> Vec<u64> {
        (0..100).map(|nth| next * 1_000 + nth).collect()
    }

    fn snapshot(next: u64) -> Snapshot {
        let (next, words) = (EntrySequence(next), words(next));
        let whole_bytes = (HEADER_BYTES + words.len() * 8) as u64;
        Snapshot { shard: SHARD, next, epoch: 2, words, parts: vec![next], whole_bytes }
    }

    fn begin(folder: &Path, next: u64, earlier: SnapshotChain) -> SnapshotWriter {
        let place = SnapshotPlace { shard: SHARD, next: EntrySequence(next), epoch: 2 };
        SnapshotWriter::begin(folder, IDENTITY, (place, OtherName::Part), earlier).unwrap()
    }

    fn finished(folder: &Path, next: u64, earlier: SnapshotChain) -> SnapshotWriter {
        let mut writer = begin(folder, next, earlier);
        writer.set_outline(OUTLINE);
        writer.append(&words(next)).unwrap();
        writer.finish().unwrap();
        writer
    }

    /// Puts a snapshot in force that refers to `earlier`.
    fn put(folder: &Path, next: u64, earlier: SnapshotChain) -> SnapshotChain {
        let writer = finished(folder, next, earlier);
        let chain = writer.chain();
        writer.switch().unwrap();
        chain
    }

    fn read(folder: &Path) -> Result<Option<Snapshot>, StateError> {
        super::read(&path_of(folder, SHARD), SHARD, IDENTITY)
    }

    fn files(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_snapshot_takes_the_place_of_the_one_before_only_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let read = || read(folder).unwrap();
        assert_eq!(read(), None);
        for next in [5, 9] {
            let before = read();
            let mut writer = begin(folder, next, SnapshotChain::default());
            for piece in words(next).chunks(7) {
                writer.append(piece).unwrap();
                assert_eq!(read(), before);
            }
            writer.finish().unwrap();
            assert_eq!(read(), before);
            let mut replaced = writer.switch().unwrap();
            assert_eq!(read(), Some(snapshot(next)));
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
            let place = SnapshotPlace { shard: SHARD, next: EntrySequence(next), epoch: 2 };
            let name = OtherName::Kept(folder.join(format!("kept-{next}")));
            let earlier = SnapshotChain::default();
            let mut writer =
                SnapshotWriter::begin(folder, IDENTITY, (place, name), earlier).unwrap();
            writer.append(&words(next)).unwrap();
            writer.finish().unwrap();
            assert!(writer.switch().unwrap().is_none());
        }
        let kept = super::read(&folder.join("kept-5"), SHARD, IDENTITY);
        assert_eq!(kept.unwrap(), Some(snapshot(5)));
    }

    #[test]
    fn a_snapshot_of_changes_is_read_with_the_parts_that_it_refers_to() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let first = put(folder, 5, SnapshotChain::default());
        let second = put(folder, 7, first);
        assert_eq!(second.files(), 2);
        let third = put(folder, 9, second.clone());
        let found = read(folder).unwrap().unwrap();
        assert_eq!(found.parts, [9, 7, 5].map(EntrySequence));
        let chunks = [&words(9)[..], &words(7)[OUTLINE..], &words(5)[OUTLINE..]];
        assert_eq!(found.words, chunks.concat());
        assert_eq!(found.whole_bytes, snapshot(5).whole_bytes);
        assert_eq!(third.bytes(), found.whole_bytes * 3 + 3 * EARLIER_BYTES as u64);
        // One that was cut off before it came in force is left over.
        let cut_off = finished(folder, 11, third);
        cut_off.put_in_force().unwrap();
        fs::rename(folder.join("s003-0000000000000009.part"), folder.join("s003.snapshot"))
            .unwrap();
        fs::hard_link(folder.join("s003.snapshot"), folder.join("s003-0000000000000009.part"))
            .unwrap();
        assert_eq!(read(folder).unwrap().as_ref(), Some(&found));
        chain::forget_parts(folder, SHARD, &found.parts).unwrap();
        assert_eq!(read(folder).unwrap(), Some(found));
        let parts = [5, 7, 9].map(|next| format!("s003-{next:016}.part"));
        assert_eq!(files(folder), [&parts[..], &["s003.snapshot".to_owned()]].concat());
        // A whole one leaves nothing of them, and one of another shard is none of its business.
        let other = "s004-0000000000000001.part";
        fs::write(folder.join(other), "").unwrap();
        let writer = finished(folder, 13, SnapshotChain::default());
        let mut replaced = writer.switch().unwrap().unwrap();
        assert_eq!(files(folder), ["s003-0000000000000013.part", "s003.snapshot", other]);
        let bytes = second.bytes() + snapshot(9).whole_bytes;
        assert!(replaced.shrink(bytes).unwrap() && !replaced.shrink(1_000).unwrap());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_any_file_is_noticed_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let chain = put(folder, 1, SnapshotChain::default());
        let chain = put(folder, 2, chain);
        put(folder, 3, chain);
        let refused = |name: &str, what: &str| {
            let error = read(folder).map(|_| ()).expect_err(what).to_string();
            assert!(error.contains(&format!("{name}: ")), "{what}: {error}");
        };
        // The name of the newest as a part is of no use to it.
        fs::remove_file(folder.join("s003-0000000000000003.part")).unwrap();
        for name in ["s003.snapshot", "s003-0000000000000002.part", "s003-0000000000000001.part"] {
            let path = folder.join(name);
            let mut bytes = fs::read(&path).unwrap();
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, &bytes).unwrap();
                refused(name, &format!("{name}: bit {bit}"));
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            for length in [0, 1, HEADER_BYTES, bytes.len() - 1] {
                fs::write(&path, &bytes[..length]).unwrap();
                refused(name, &format!("{name}: {length} bytes"));
            }
            fs::write(&path, &bytes).unwrap();
        }
        assert!(read(folder).unwrap().is_some());
        assert!(super::read(&path_of(folder, SHARD), SHARD, LogIdentity(8)).is_err());
    }

    #[test]
    fn a_part_that_is_gone_or_another_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let chain = put(folder, 1, SnapshotChain::default());
        let chain = put(folder, 2, chain);
        put(folder, 3, chain.clone());
        let part = folder.join("s003-0000000000000002.part");
        let good = fs::read(&part).unwrap();
        fs::remove_file(&part).unwrap();
        let error = read(folder).unwrap_err().to_string();
        let expected = "0002.part: it is gone, and s003.snapshot refers to it";
        assert!(error.contains(expected), "{error}");
        // Whole, of the same place, but with other words before it.
        let elsewhere = tempfile::tempdir().unwrap();
        put(elsewhere.path(), 2, SnapshotChain::default());
        fs::copy(elsewhere.path().join("s003.snapshot"), &part).unwrap();
        let error = read(folder).unwrap_err().to_string();
        assert!(error.contains("0002.part: it is another one than"), "{error}");
        fs::write(&part, good).unwrap();
        assert_eq!(read(folder).unwrap().unwrap().parts.len(), chain.files() + 1);
    }

    #[test]
    fn a_snapshot_of_another_version_is_refused_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let mut header = Header { magic: MAGIC, version: 2, ..Header::zeroed() };
        header.crc = header.checksum();
        let path = path_of(folder.path(), ShardIndex(0));
        fs::write(&path, bytemuck::bytes_of(&header)).unwrap();
        let error = super::read(&path, ShardIndex(0), IDENTITY).unwrap_err().to_string();
        let expected = "s000.snapshot: of format 2; this program knows format 3: go on with the \
                        program that wrote it, or begin anew with another state directory";
        assert!(error.ends_with(expected), "{error}");
    }
}
