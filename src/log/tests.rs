use super::*;
use crate::frame::{Extras, Frame, FrameHeader, FrameKind, FrameWriter, Tail};
use crate::limits::SEGMENT_BYTES_MAX;
use crate::record::ShardIndex;
use crate::time::Watermark;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

pub(super) const SHARD: ShardIndex = ShardIndex(3);
pub(super) const IDENTITY: LogIdentity = LogIdentity(0x5eed);

/// A frame of one row of so many words.
pub(super) fn frame(kind: FrameKind, sequence: u64, words: usize) -> Vec<u64> {
    let mut memory = vec![0; 4096];
    let mut tail = Tail::default();
    let mut header = FrameHeader::new(kind, Watermark::START);
    header.lane_sequence = sequence;
    let mut writer = FrameWriter::begin(&mut memory[..], &mut tail, header, words, Extras::NONE);
    if words > 0 {
        writer.push_with(|row, _| row.fill(sequence | 0xab << 56));
    }
    writer.set_kind(kind);
    let (_, _, length) = writer.finish(Watermark::START, 0);
    memory.truncate(length);
    memory
}

pub(super) fn start(segment: u64, next: u64, guarantee: Guarantee) -> WriterStart {
    WriterStart {
        segment: SegmentName { shard: SHARD, number: segment },
        next: EntrySequence(next),
        identity: IDENTITY,
        guarantee,
        epoch: segment,
        segment_bytes: SEGMENT_BYTES_MAX as u64,
    }
}

/// What a log holds, and where it ends.
pub(super) fn read<B: Backing>(backing: &Arc<B>) -> Result<(Vec<Vec<u64>>, LogEnd), LogError> {
    read_from(backing, 0)
}

/// The same behind a snapshot.
pub(super) fn read_from<B: Backing>(
    backing: &Arc<B>,
    first: u64,
) -> Result<(Vec<Vec<u64>>, LogEnd), LogError> {
    let mut reader = LogReader::open(Arc::clone(backing), SHARD, Some(IDENTITY))?;
    reader.pass_before(EntrySequence(first))?;
    let mut frames = Vec::new();
    while let Some(entry) = reader.read()? {
        assert_eq!(entry.sequence.0, first + frames.len() as u64);
        let mut words = entry.frame.words().to_vec();
        bytemuck::cast_slice_mut::<u64, FrameHeader>(&mut words[..8])[0].crc = 0;
        frames.push(words);
    }
    assert!(reader.read()?.is_none(), "an end stays the end");
    Ok((frames, reader.into_end()))
}

/// A writer that goes on where a log ends.
pub(super) fn resume<B: Backing>(
    backing: &Arc<B>,
    end: &LogEnd,
    guarantee: Guarantee,
) -> LogWriter<B> {
    let number = end.last.map_or(0, |last| last.number + 1);
    let start = start(number, end.next.0, guarantee);
    LogWriter::begin(Arc::clone(backing), start, end.segments.iter().copied(), VecDeque::new())
        .unwrap()
}

pub(super) fn frames(count: u64) -> Vec<Vec<u64>> {
    (0..count).map(|at| frame(FrameKind::Records, at, (at * 7 % 40) as usize)).collect()
}

fn write<B: Backing>(backing: &Arc<B>, frames: &[Vec<u64>]) -> LogWriter<B> {
    let start = start(0, 0, Guarantee::Process);
    let mut writer = LogWriter::begin(Arc::clone(backing), start, [], VecDeque::new()).unwrap();
    for frame in frames {
        writer.append(Frame::trusted(frame)).unwrap();
    }
    writer
}

/// Writes a log of short segments, so many frames each; says the first entry of each segment.
pub(super) fn write_small<B: Backing>(backing: &B, frames: &[Vec<u64>], each: usize) -> Vec<u64> {
    let mut firsts = Vec::new();
    for (number, part) in (0..).zip(frames.chunks(each)) {
        let next = number * each as u64;
        let start = start(number, next, Guarantee::Process);
        let bytes = part.iter().map(|frame| frame.len() as u64 * 8).sum::<u64>();
        let segment = backing.create(start.segment, 64 + bytes).unwrap();
        let header = SegmentHeader::new(
            start.segment,
            start.next,
            (IDENTITY, start.guarantee),
            (start.epoch, 64 + bytes),
        );
        append_all(segment, header, part);
        firsts.push(next);
    }
    firsts
}

/// Writes a segment by hand.
fn append_all(mut segment: impl Segment, header: SegmentHeader, frames: &[Vec<u64>]) {
    segment.write(0, [&header.words(), &[]]).unwrap();
    let mut at = 64;
    for frame in frames {
        let mut words = frame.clone();
        let crc = Frame::trusted(frame).checksum(header.seed_at(at));
        bytemuck::cast_slice_mut::<u64, FrameHeader>(&mut words[..8])[0].crc = crc;
        segment.write(at, [&words, &[]]).unwrap();
        at += size_of_val(&words[..]) as u64;
    }
}

fn backings(test: impl Fn(&str)) {
    ["plain", "mapped"].into_iter().for_each(test);
}

#[test]
fn what_is_appended_is_read_run_after_run() {
    fn check<B: Backing>(backing: B) {
        let backing = Arc::new(backing);
        assert_eq!(read(&backing).unwrap().1.last, None);
        let all = frames(60);
        for run in all.chunks(20) {
            let (_, end) = read(&backing).unwrap();
            let mut writer = resume(&backing, &end, Guarantee::Process);
            for frame in run {
                writer.append(Frame::trusted(frame)).unwrap();
            }
        }
        let (found, end) = read(&backing).unwrap();
        assert_eq!(found, all);
        assert_eq!((end.next, end.segments.len(), end.torn), (EntrySequence(60), 3, None));
        assert_eq!(end.epoch, Some(2));
    }
    backings(|kind| {
        let folder = tempfile::tempdir().unwrap();
        match kind {
            "plain" => check(PlainFiles::new(folder.path())),
            _ => check(MappedFiles::new(folder.path())),
        }
    });
    check(CrashingFiles::new());
}

#[test]
fn segments_that_are_made_before_they_are_needed_are_written_first_and_pass_for_nothing_unused() {
    let folder = tempfile::tempdir().unwrap();
    let backing = Arc::new(PlainFiles::new(folder.path()));
    let first = start(0, 0, Guarantee::Process);
    let ready =
        make_ready(&*backing, (first.segment, Guarantee::Disk), (130 << 20, first.segment_bytes))
            .unwrap();
    assert_eq!(ready.len(), 3);
    let mut writer = LogWriter::begin(Arc::clone(&backing), first, [], ready).unwrap();
    // More than one of them holds, and less than two.
    let long: Vec<_> = (0..3_000).map(|at| frame(FrameKind::Records, at, 3_000)).collect();
    for frame in &long {
        writer.append(Frame::trusted(frame)).unwrap();
    }
    drop(writer);
    let (found, end) = read(&backing).unwrap();
    assert_eq!(found, long);
    assert_eq!((end.last.map(|last| last.number), end.torn.clone()), (Some(2), None));
    let mut writer = resume(&backing, &end, Guarantee::Process);
    let next = frame(FrameKind::Records, 3_000, 5);
    writer.append(Frame::trusted(&next)).unwrap();
    let (found, end) = read(&backing).unwrap();
    assert_eq!((found.len(), end.segments.len()), (3_001, 4));
    // All of them can go once they are not needed.
    writer.release_before(EntrySequence(3_001)).unwrap();
    assert_eq!(backing.list().unwrap().len(), 1);
}

#[test]
fn a_full_segment_is_followed_by_a_longer_one_and_old_ones_can_go() {
    let folder = tempfile::tempdir().unwrap();
    let backing = Arc::new(PlainFiles::new(folder.path()));
    let long: Vec<_> = (0..1_000).map(|at| frame(FrameKind::Records, at, 3_000)).collect();
    let mut writer = write(&backing, &long);
    let (found, end) = read(&backing).unwrap();
    assert_eq!(found.len(), long.len());
    assert!(end.segments.len() >= 3, "{end:?}");
    let third = end.segments[2].1;
    let left = |backing: &Arc<PlainFiles>| backing.list().unwrap().len();
    let all = left(&backing);
    writer.release_before(EntrySequence(third.0 - 1)).unwrap();
    assert_eq!(left(&backing), all - 1);
    writer.release_before(third).unwrap();
    assert_eq!(left(&backing), all - 2);
    let reader = LogReader::open(Arc::clone(&backing), SHARD, None);
    let first = reader.unwrap().read().unwrap().map(|entry| entry.sequence);
    assert_eq!(first, Some(third));
}

#[test]
fn a_segment_that_is_not_needed_is_written_anew_and_the_log_goes_on_behind_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let backing = Arc::new(MappedFiles::new(folder.path()));
    let start = start(0, 0, Guarantee::Process);
    let mut writer = LogWriter::begin(Arc::clone(&backing), start, [], VecDeque::new()).unwrap();
    let (mut most, mut snapshot) = (0, EntrySequence(0));
    for at in 0..30_000 {
        let long = frame(FrameKind::Records, at, 3_000);
        writer.append(Frame::trusted(&long)).unwrap();
        if at % 2_500 == 1_777 {
            snapshot = EntrySequence(at - 99);
            writer.release_before(snapshot).unwrap();
            most = most.max(backing.list().unwrap().len());
        }
    }
    assert!(most <= 4, "{most} segments, and 720 MB were written");
    let behind = |first: EntrySequence| -> Result<Vec<u64>, LogError> {
        let mut reader = LogReader::open(Arc::clone(&backing), SHARD, Some(IDENTITY))?;
        reader.pass_before(first)?;
        let mut found = Vec::new();
        while let Some(entry) = reader.read()? {
            assert_eq!(entry.sequence.0, entry.frame.header().lane_sequence);
            found.push(entry.sequence.0);
        }
        Ok(found)
    };
    assert!(behind(snapshot).unwrap().into_iter().eq(snapshot.0..30_000));
    assert!(behind(EntrySequence(30_000)).unwrap().is_empty());
    for first in [0, 30_001] {
        let error = behind(EntrySequence(first)).unwrap_err().to_string();
        assert!(error.contains(&format!("its snapshot with entry {first}")), "{error}");
    }
}

#[test]
fn a_run_that_left_a_segment_without_a_header_keeps_nobody_from_a_snapshot() {
    let files = CrashingFiles::new();
    let backing = Arc::new(files.clone());
    let all = frames(30);
    for run in all.chunks(10) {
        let (_, end) = read(&backing).unwrap();
        let mut writer = resume(&backing, &end, Guarantee::Process);
        run.iter().for_each(|frame| {
            writer.append(Frame::trusted(frame)).unwrap();
        });
        let next = SegmentName { shard: SHARD, number: end.last.map_or(1, |last| last.number + 2) };
        backing.create(next, 1 << 20).unwrap();
    }
    let snapshot = EntrySequence(25);
    // A crash may come after any of the removals.
    let copy = Arc::new(files.crash(|| true));
    for removed in 0..=4 {
        let mut reader = LogReader::open(Arc::clone(&copy), SHARD, Some(IDENTITY)).unwrap();
        reader.pass_before(snapshot).unwrap();
        let mut rest = 0;
        while reader.read().unwrap().is_some() {
            rest += 1;
        }
        assert_eq!(rest, 5);
        if removed < 4 {
            copy.remove(SegmentName { shard: SHARD, number: removed }).unwrap();
        }
    }
    let (_, end) = read(&backing).unwrap();
    let mut writer = resume(&backing, &end, Guarantee::Process);
    writer.release_before(snapshot).unwrap();
    let left: Vec<u64> = backing.list().unwrap().iter().map(|name| name.number).collect();
    assert_eq!(left, [4, 5, 6]);
}

#[test]
fn what_was_checked_is_not_checked_once_more_and_what_lies_behind_is() {
    let files = CrashingFiles::new();
    let backing = Arc::new(files.clone());
    let all = frames(60);
    drop(write(&backing, &all));
    let behind = |count: usize| 64 + all[..count].iter().map(Vec::len).sum::<usize>() * 8;
    let (_, mut end) = read(&backing).unwrap();
    let name = SegmentName { shard: SHARD, number: 0 };
    let believing = |end: &LogEnd| {
        let mut reader = LogReader::open(Arc::clone(&backing), SHARD, Some(IDENTITY))?;
        reader.believe(end);
        while reader.read()?.is_some() {}
        Ok::<_, LogError>(reader.sequence().0)
    };
    end.next = EntrySequence(30);
    files.tamper(name, |bytes| bytes[behind(30) - 1] ^= 1);
    assert_eq!(believing(&end).unwrap(), 60);
    files.tamper(name, |bytes| bytes[behind(31) - 1] ^= 1);
    assert!(matches!(believing(&end), Err(LogError::Damaged { .. })));
}

#[test]
fn a_torn_entry_behind_which_another_run_went_on_is_no_entry_for_one_who_believes_either() {
    let files = CrashingFiles::new();
    let backing = Arc::new(files.clone());
    let all = frames(60);
    drop(write(&backing, &all[..40]));
    // The last entry has its header, and not all of what it holds.
    let torn = 64 + all[..40].iter().map(|frame| frame.len() * 8).sum::<usize>() - 1;
    files.tamper(SegmentName { shard: SHARD, number: 0 }, |bytes| bytes[torn] ^= 1);
    let (found, end) = read(&backing).unwrap();
    assert_eq!(found.len(), 39);
    let mut writer = resume(&backing, &end, Guarantee::Process);
    for frame in &all[39..] {
        writer.append(Frame::trusted(frame)).unwrap();
    }
    let (_, end) = read(&backing).unwrap();
    let mut reader = LogReader::open(Arc::clone(&backing), SHARD, Some(IDENTITY)).unwrap();
    reader.believe(&end);
    let mut count = 0;
    while reader.read().unwrap().is_some() {
        count += 1;
    }
    assert_eq!((count, end.next), (60, EntrySequence(60)));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let files = CrashingFiles::new();
    let all = frames(60);
    drop(write(&Arc::new(files.clone()), &all));
    let name = SegmentName { shard: SHARD, number: 0 };
    let used = 64 + all.iter().map(|frame| frame.len() * 8).sum::<usize>();
    for bit in 0..used * 8 {
        files.tamper(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        match read(&Arc::new(files.clone())) {
            Err(LogError::Damaged { position, .. }) => {
                assert!(position.offset <= bit as u64 / 8, "{position} for bit {bit}");
            }
            // The last entry.
            Ok((found, end)) => {
                let lost = all.len() - found.len();
                assert!(lost == 1 && end.torn.is_some(), "bit {bit}");
                assert_eq!(found[..], all[..found.len()]);
            }
            Err(LogError::Version { .. } | LogError::Foreign { .. }) => panic!("bit {bit}"),
            Err(error) => panic!("{error}"),
        }
        files.tamper(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }
}

#[test]
fn every_flipped_bit_of_64_kib_of_segments_is_noticed() {
    let files = CrashingFiles::new();
    let backing = Arc::new(files.clone());
    let all = frames(312);
    let firsts = write_small(&files, &all, 8);
    let last = firsts.len() as u64 - 1;
    let mut noticed = 0;
    for number in 0..=last {
        let name = SegmentName { shard: SHARD, number };
        // Those beside it are enough to tell, and the others cost time.
        let backing = Arc::new(files.crash(|| true));
        let files = &*backing;
        for name in backing.list().unwrap() {
            if name.number.abs_diff(number) > 1 {
                backing.remove(name).unwrap();
            }
        }
        let from = firsts[number.saturating_sub(1) as usize];
        let bits = backing.open(name).unwrap().bytes() as usize * 8;
        for bit in 0..bits {
            files.tamper(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            let found = read_from(&backing, from).map(|(found, _)| found.len() as u64);
            let due = all.len() as u64 - from;
            // The last entry of all may be the torn end of a write.
            let is_torn = matches!(found, Ok(found) if number == last && found == due - 1);
            assert!(found.is_err() || is_torn, "{name}, bit {bit}");
            files.tamper(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        }
        noticed += bits;
    }
    assert!(noticed >= 64 * 1024 * 8, "{noticed} bits");
    assert_eq!(read(&backing).unwrap().0, all);
}

#[test]
fn a_cut_anywhere_in_the_last_entries_leaves_the_whole_ones() {
    let files = CrashingFiles::new();
    let all = frames(20);
    drop(write(&Arc::new(files.clone()), &all));
    let name = SegmentName { shard: SHARD, number: 0 };
    let ends: Vec<usize> = (0..=all.len())
        .map(|count| 64 + all[..count].iter().map(|frame| frame.len() * 8).sum::<usize>())
        .collect();
    let mut whole = Vec::new();
    files.tamper(name, |bytes| whole = bytes.clone());
    for cut in ends[17]..ends[20] {
        files.tamper(name, |bytes| {
            bytes.clone_from(&whole);
            bytes[cut..].fill(0);
        });
        let (found, end) = read(&Arc::new(files.clone())).unwrap();
        let expected = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(found[..], all[..expected], "cut at {cut}");
        let clean = whole[ends[expected]..cut].iter().all(|byte| *byte == 0);
        assert_eq!(end.torn.is_none(), clean, "cut at {cut}");
        // The same where the file itself is shorter; that it ends too soon is said always.
        files.tamper(name, |bytes| bytes.truncate(cut));
        let (shorter, torn) = read(&Arc::new(files.clone())).unwrap();
        assert_eq!(shorter, found, "cut at {cut}");
        let expected_at = LogPosition { segment: name, offset: ends[expected] as u64 };
        assert_eq!(torn.torn.map(|torn| torn.position), Some(expected_at));
        files.tamper(name, |bytes| bytes.resize(whole.len(), 0));
        // Going on after it, nothing is read of what was torn.
        let backing = Arc::new(files.crash(|| true));
        let mut writer = resume(&backing, &end, Guarantee::Process);
        writer.append(Frame::trusted(&all[expected])).unwrap();
        assert_eq!(read(&backing).unwrap().0[..], all[..=expected]);
    }
}

#[test]
fn damage_in_the_middle_names_the_byte_and_foreign_or_later_logs_are_refused() {
    let files = CrashingFiles::new();
    let backing = Arc::new(files.clone());
    drop(write(&backing, &frames(20)));
    let name = SegmentName { shard: SHARD, number: 0 };
    let third: usize = 64 + frames(2).iter().map(|frame| frame.len() * 8).sum::<usize>();
    files.tamper(name, |bytes| bytes[third + 70] ^= 1);
    let error = read(&backing).unwrap_err().to_string();
    assert!(error.contains(&format!("damaged at byte {third}: the frame's checksum")), "{error}");
    files.tamper(name, |bytes| bytes[third + 70] ^= 1);

    let reader = LogReader::open(Arc::clone(&backing), SHARD, Some(LogIdentity(1)));
    let error = reader.unwrap().read().unwrap_err().to_string();
    assert!(error.contains("belongs to another log"), "{error}");

    files.tamper(name, |bytes| {
        bytes[8] = 9;
        bytes[56..60].fill(0);
        let crc = crc32c::crc32c(&bytes[..64]);
        bytes[56..60].copy_from_slice(&crc.to_le_bytes());
    });
    let error = read(&backing).unwrap_err().to_string();
    assert!(error.contains("written in version 9 of the log's format"), "{error}");
}

/// Three runs that left a segment of ten entries each, and promised so much.
fn runs_of(guarantees: [Guarantee; 3]) -> CrashingFiles {
    let files = CrashingFiles::new();
    for (number, guarantee) in (0..).zip(guarantees) {
        let part = &frames(10 * number as u64 + 10)[10 * number..];
        let start = start(number as u64, 10 * number as u64, guarantee);
        let segment = files.create(start.segment, 8 << 10).unwrap();
        let told = (IDENTITY, guarantee);
        let header = SegmentHeader::new(start.segment, start.next, told, (start.epoch, 8 << 10));
        append_all(segment, header, part);
    }
    files
}

#[test]
fn a_header_that_is_damaged_is_no_loss_of_power_unless_the_run_behind_it_syncs() {
    use Guarantee::{Disk, Process};
    let middle = SegmentName { shard: SHARD, number: 1 };
    // The last run does not sync: it had read what was before it, and lost no power since.
    for first in [Disk, Process] {
        let files = runs_of([first, Process, Process]);
        files.tamper(middle, |bytes| bytes[20] ^= 1);
        let refused = matches!(read(&Arc::new(files)), Err(LogError::Damaged { .. }));
        assert!(refused, "{first:?}");
    }
    // What was never synced may be lost, whoever wrote before.
    for first in [Disk, Process] {
        let files = runs_of([first, Disk, Disk]);
        files.tamper(middle, |bytes| bytes[..64].fill(0));
        let (found, end) = read(&Arc::new(files)).unwrap();
        assert_eq!((found.len(), end.beyond.len()), (10, 1), "{first:?}");
    }
}

#[test]
fn a_header_that_is_damaged_at_the_end_of_the_log_is_noticed() {
    let last = SegmentName { shard: SHARD, number: 2 };
    let files = runs_of([Guarantee::Process; 3]);
    for bit in 0..64 * 8 {
        files.tamper(last, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let Err(LogError::Damaged { position, .. }) = read(&Arc::new(files.clone())) else {
            panic!("bit {bit}");
        };
        assert_eq!(position, LogPosition { segment: last, offset: 0 });
        files.tamper(last, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }
    // One that was never written is none.
    files.tamper(last, |bytes| bytes.fill(0));
    assert_eq!(read(&Arc::new(files)).unwrap().0.len(), 20);
}

#[test]
fn a_beginning_that_was_never_synced_may_be_lost_and_one_that_was_may_not() {
    let first = SegmentName { shard: SHARD, number: 0 };
    for is_missing in [false, true] {
        let lose = |files: &CrashingFiles| match is_missing {
            true => files.remove(first).unwrap(),
            false => files.tamper(first, |bytes| bytes[..64].fill(0)),
        };
        let files = runs_of([Guarantee::Disk; 3]);
        lose(&files);
        let (found, end) = read(&Arc::new(files.clone())).unwrap();
        assert_eq!((found.len(), end.beyond.len()), (0, 2));
        // A later entry says that it had been synced.
        let (number, next) = (3, EntrySequence(30));
        let start = start(number, next.0, Guarantee::Disk);
        let begun = LogWriter::begin(Arc::new(files.clone()), start, [], VecDeque::new());
        begun.unwrap().mark_synced(EntrySequence(5)).unwrap();
        assert!(read(&Arc::new(files)).is_err());
        let files = runs_of([Guarantee::Process; 3]);
        lose(&files);
        assert!(read(&Arc::new(files)).is_err());
    }
}

#[test]
fn a_segment_that_is_missing_is_named() {
    let files = CrashingFiles::new();
    let backing = Arc::new(files.clone());
    for _ in 0..3 {
        let (_, end) = read(&backing).unwrap();
        let mut writer = resume(&backing, &end, Guarantee::Process);
        writer.append(Frame::trusted(&frame(FrameKind::End, 0, 0))).unwrap();
    }
    backing.remove(SegmentName { shard: SHARD, number: 1 }).unwrap();
    let error = read(&backing).unwrap_err().to_string();
    assert!(error.contains("segment s003-0000000000000001.log is missing"), "{error}");
}

#[test]
fn bytes_of_an_older_use_of_a_segment_are_no_entries() {
    let files = CrashingFiles::new();
    let backing = Arc::new(files.clone());
    let all = frames(20);
    drop(write(&backing, &all));
    let name = SegmentName { shard: SHARD, number: 0 };
    let mut old = Vec::new();
    files.tamper(name, |bytes| old = bytes.clone());
    let files = CrashingFiles::new();
    let backing = Arc::new(files.clone());
    let start = WriterStart { epoch: 1, ..start(0, 0, Guarantee::Process) };
    let mut writer = LogWriter::begin(Arc::clone(&backing), start, [], VecDeque::new()).unwrap();
    files.tamper(name, |bytes| bytes[64..].copy_from_slice(&old[64..]));
    assert_eq!(read(&backing).unwrap().0.len(), 0);
    for (at, frame) in all.iter().enumerate() {
        writer.append(Frame::trusted(frame)).unwrap();
        assert_eq!(read(&backing).unwrap().0[..], all[..=at]);
    }
}

/// What happens to a log whose power may be cut.
#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Sync,
    /// The power is cut; what was not synced survives by these coins.
    Cut(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..200).prop_map(Step::Append),
        2 => Just(Step::Sync),
        1 => any::<u64>().prop_map(Step::Cut),
    ];
    prop::collection::vec(step, 1..60)
}

/// Coins that are mostly heads, mostly tails or even, by their seed.
fn coins(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed | 1;
    move || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) % 8 < [1, 4, 7][(seed % 3) as usize]
    }
}

proptest! {
    #[test]
    fn what_was_synced_survives_every_loss_of_power(steps in steps()) {
        let mut files = CrashingFiles::new();
        let mut model: Vec<Vec<u64>> = Vec::new();
        let mut synced = 0;
        let mut writer: Option<LogWriter<CrashingFiles>> = None;
        for step in steps {
            let backing = Arc::new(files.clone());
            let writer_now = writer.get_or_insert_with(|| {
                let (_, end) = read(&backing).unwrap();
                resume(&backing, &end, Guarantee::Disk)
            });
            match step {
                Step::Append(words) => {
                    let words = frame(FrameKind::Records, model.len() as u64, words);
                    writer_now.append(Frame::trusted(&words)).unwrap();
                    model.push(words);
                }
                Step::Sync => {
                    synced = writer_now.sync_point().sync().unwrap().0 as usize;
                    prop_assert_eq!(synced, model.len());
                    let mark = frame(FrameKind::Synced, synced as u64, 0);
                    writer_now.append(Frame::trusted(&mark)).unwrap();
                    model.push(mark);
                }
                Step::Cut(seed) => {
                    files = files.crash(coins(seed));
                    writer = None;
                    let (found, _) = read(&Arc::new(files.clone())).unwrap();
                    prop_assert!(found.len() >= synced, "{} of {synced}", found.len());
                    prop_assert_eq!(&found[..], &model[..found.len()]);
                    model = found;
                }
            }
        }
    }

    #[test]
    fn damage_to_what_was_synced_is_refused(
        count in 1_u64..20, at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let files = CrashingFiles::new();
        let backing = Arc::new(files.clone());
        let start = start(0, 0, Guarantee::Disk);
        let begun = LogWriter::begin(Arc::clone(&backing), start, [], VecDeque::new());
        let mut writer = begun.unwrap();
        let all = frames(count);
        for frame in &all {
            writer.append(Frame::trusted(frame)).unwrap();
        }
        let covers = writer.sync_point().sync().unwrap();
        writer.append(Frame::trusted(&frame(FrameKind::Synced, covers.0, 0))).unwrap();
        let used = all.iter().map(|frame| frame.len() * 8).sum::<usize>();
        let name = SegmentName { shard: SHARD, number: 0 };
        files.tamper(name, |bytes| bytes[64 + at.index(used)] ^= 1_u8 << bit);
        let is_refused = matches!(read(&backing), Err(LogError::Damaged { .. }));
        prop_assert!(is_refused);
    }
}
