//! Files of which one call fails: the disk is full, breaks, or breaks in the middle of a write.

use super::backing::{Backing, Segment, Syncer};
use super::tests::{IDENTITY, SHARD, frame, frames, read, read_from, start};
use super::*;
use crate::frame::{Frame, FrameKind};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    List,
    Create,
    CreateNameless,
    GiveName,
    Rename,
    Open,
    Remove,
    SyncNames,
    Write,
    Read,
    Sync,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// There is no room.
    Full,
    /// The disk breaks before it has done anything.
    Broken,
    /// The disk breaks in the middle: part of a write is there, a segment with a new name is gone.
    Short,
}

impl Fault {
    fn error(self) -> io::Error {
        let code =
            if self == Self::Full { rustix::io::Errno::NOSPC } else { rustix::io::Errno::IO };
        code.into()
    }
}

/// Which call fails: this one of those that are counted.
#[derive(Debug)]
struct Plan {
    fault: Fault,
    /// Only such calls are counted, if it is said which.
    only: Option<Call>,
    left: Option<u64>,
    failed: Option<Call>,
}

#[derive(Clone, Debug)]
struct FaultyFiles<B> {
    files: B,
    plan: Arc<Mutex<Plan>>,
}

impl<B: Backing> FaultyFiles<B> {
    fn new(files: B, fault: Fault, (only, nth): (Option<Call>, u64)) -> Self {
        let plan = Plan { fault, only, left: Some(nth), failed: None };
        Self { files, plan: Arc::new(Mutex::new(plan)) }
    }

    fn failed(&self) -> Option<Call> {
        self.plan.lock().unwrap().failed
    }
}

/// Counts a call; says how it fails, if it is the one that does.
fn count(plan: &Mutex<Plan>, call: Call) -> Option<Fault> {
    let mut plan = plan.lock().unwrap();
    if plan.only.is_some_and(|only| only != call) {
        return None;
    }
    plan.left = plan.left?.checked_sub(1);
    (plan.left.is_none()).then(|| {
        plan.failed = Some(call);
        plan.fault
    })
}

fn pass(plan: &Mutex<Plan>, call: Call) -> io::Result<()> {
    count(plan, call).map_or(Ok(()), |fault| Err(fault.error()))
}

impl<B: Backing> Backing for FaultyFiles<B> {
    type Segment = FaultySegment<B::Segment>;

    fn list(&self) -> io::Result<Vec<SegmentName>> {
        pass(&self.plan, Call::List)?;
        self.files.list()
    }

    fn create(&self, name: SegmentName, bytes: u64) -> io::Result<Self::Segment> {
        pass(&self.plan, Call::Create)?;
        let segment = self.files.create(name, bytes)?;
        Ok(FaultySegment { segment, plan: Arc::clone(&self.plan) })
    }

    fn create_nameless(&self, bytes: u64) -> io::Result<Self::Segment> {
        pass(&self.plan, Call::CreateNameless)?;
        let segment = self.files.create_nameless(bytes)?;
        Ok(FaultySegment { segment, plan: Arc::clone(&self.plan) })
    }

    fn give_name(&self, segment: &Self::Segment, name: SegmentName) -> io::Result<()> {
        pass(&self.plan, Call::GiveName)?;
        self.files.give_name(&segment.segment, name)
    }

    fn rename(&self, from: SegmentName, to: SegmentName) -> io::Result<()> {
        match count(&self.plan, Call::Rename) {
            None => self.files.rename(from, to),
            Some(fault) => {
                if fault == Fault::Short {
                    self.files.remove(from)?;
                }
                Err(fault.error())
            }
        }
    }

    fn open(&self, name: SegmentName) -> io::Result<Self::Segment> {
        pass(&self.plan, Call::Open)?;
        let segment = self.files.open(name)?;
        Ok(FaultySegment { segment, plan: Arc::clone(&self.plan) })
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        pass(&self.plan, Call::Remove)?;
        self.files.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        pass(&self.plan, Call::SyncNames)?;
        self.files.sync_names()
    }

    fn path_of(&self, name: SegmentName) -> String {
        self.files.path_of(name)
    }
}

struct FaultySegment<S> {
    segment: S,
    plan: Arc<Mutex<Plan>>,
}

impl<S: Segment> Segment for FaultySegment<S> {
    fn bytes(&self) -> u64 {
        self.segment.bytes()
    }

    fn write(&mut self, offset: u64, parts: [&[u64]; 2]) -> io::Result<()> {
        match count(&self.plan, Call::Write) {
            None => self.segment.write(offset, parts),
            Some(fault) => {
                if fault == Fault::Short {
                    // Half of what there is, the first part before the second.
                    let half = (parts[0].len() + parts[1].len()) / 2;
                    let first = half.min(parts[0].len());
                    let short = [&parts[0][..first], &parts[1][..half - first]];
                    self.segment.write(offset, short)?;
                }
                Err(fault.error())
            }
        }
    }

    fn read(&self, offset: u64, into: &mut [u64]) -> io::Result<()> {
        pass(&self.plan, Call::Read)?;
        self.segment.read(offset, into)
    }

    fn syncer(&self) -> Arc<dyn Syncer> {
        Arc::new(FaultySyncer { syncer: self.segment.syncer(), plan: Arc::clone(&self.plan) })
    }
}

struct FaultySyncer {
    syncer: Arc<dyn Syncer>,
    plan: Arc<Mutex<Plan>>,
}

impl Syncer for FaultySyncer {
    fn sync(&self) -> io::Result<()> {
        pass(&self.plan, Call::Sync)?;
        self.syncer.sync()
    }
}

/// What was reported as done.
#[derive(Debug, Default)]
struct Reported {
    appended: Vec<Vec<u64>>,
    synced: usize,
    /// Entries before this one were said not to be needed.
    released: usize,
}

/// A writer that goes on where the log ends, in a segment so short that it is full soon.
fn resume_short<B: Backing>(
    backing: &Arc<B>,
    end: &LogEnd,
    (guarantee, helped): (Guarantee, bool),
) -> Result<LogWriter<B>, LogError> {
    let number = end.last.map_or(0, |last| last.number + 1);
    let start = start(number, end.next.0, guarantee);
    let made = backing.create(start.segment, 2 << 10);
    let path = backing.path_of(start.segment);
    let ready = (start.segment, made.map_err(LogError::io(path, "make a log segment"))?);
    let before = end.segments.iter().copied();
    let ready = VecDeque::from([ready]);
    let mut writer = LogWriter::begin(Arc::clone(backing), start, before, ready)?;
    if helped {
        writer.help_with(|request| request.fulfil(true));
    }
    Ok(writer)
}

/// Three runs over a log: appends, full segments, syncs, and what is not needed any more.
fn work<B: Backing>(
    backing: &Arc<B>,
    (guarantee, helped): (Guarantee, bool),
    done: &mut Reported,
) -> Result<(), LogError> {
    let all = frames(90);
    for run in all.chunks(30) {
        let mut reader = LogReader::open(Arc::clone(backing), SHARD, Some(IDENTITY))?;
        if done.released > 0 {
            reader.pass_before(EntrySequence(done.released as u64))?;
        }
        while reader.read()?.is_some() {}
        let end = reader.into_end();
        // What an earlier run had not synced is made durable before anything follows from it.
        for (name, _) in end.segments.iter().filter(|_| guarantee == Guarantee::Disk) {
            let failed = |action| LogError::io(backing.path_of(*name), action);
            let segment = backing.open(*name).map_err(failed("open"))?;
            segment.syncer().sync().map_err(failed("sync"))?;
        }
        let mut writer = resume_short(backing, &end, (guarantee, helped))?;
        for (at, frame) in run.iter().enumerate() {
            writer.append(Frame::trusted(frame))?;
            done.appended.push(frame.clone());
            if guarantee == Guarantee::Disk && at % 7 == 6 {
                let covers = writer.sync_point().sync()?;
                done.synced = covers.0 as usize;
                writer.mark_synced(covers)?;
                done.appended.push(tests::frame(FrameKind::Synced, covers.0, 0));
            }
            if at % 20 == 19 {
                done.released = done.appended.len() - 10;
                writer.release_before(EntrySequence(done.released as u64))?;
            }
        }
        assert!(writer.is_tidy()?, "what was to be removed is gone");
    }
    Ok(())
}

/// What is there behind what is not needed; all of what was reported, and nothing else.
fn check<B: Backing>(backing: &Arc<B>, done: &Reported) {
    let (found, end) = read_from(backing, done.released as u64).unwrap();
    assert_eq!(found[..], done.appended[done.released..]);
    // It can be gone on with.
    let next = frame(FrameKind::Records, end.next.0, 5);
    let mut writer = resume_short(backing, &end, (Guarantee::Process, false)).unwrap();
    writer.append(Frame::trusted(&next)).unwrap();
    let (again, _) = read_from(backing, done.released as u64).unwrap();
    assert_eq!(again.last(), Some(&next));
    assert_eq!(again.len(), found.len() + 1);
}

#[test]
fn whichever_call_fails_is_named_and_nothing_that_was_reported_is_lost() {
    let mut seen = Vec::new();
    for guarantee in [Guarantee::Process, Guarantee::Disk] {
        for fault in [Fault::Full, Fault::Broken, Fault::Short] {
            for nth in 0.. {
                let files = CrashingFiles::new();
                let faulty = FaultyFiles::new(files.clone(), fault, (None, nth));
                let mut done = Reported::default();
                let outcome = work(&Arc::new(faulty.clone()), (guarantee, false), &mut done);
                let Some(call) = faulty.failed() else {
                    outcome.unwrap();
                    assert!(nth > 100, "{nth} calls");
                    break;
                };
                let error = outcome.unwrap_err().to_string();
                assert!(error.starts_with("memory:s003-"), "{call:?}: {error}");
                assert!(error.contains(": can not "), "{call:?}: {error}");
                let told = fault.error().to_string();
                assert!(error.ends_with(&told), "{call:?}: {error}");
                if !seen.contains(&call) {
                    seen.push(call);
                }
                // What was synced survives a loss of power behind that, too.
                if guarantee == Guarantee::Disk && done.synced >= done.released {
                    let mut coin = nth;
                    let left = Arc::new(files.crash(|| {
                        coin = coin.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                        coin >> 63 == 0
                    }));
                    let (found, _) = read_from(&left, done.released as u64).unwrap();
                    let held = done.released + found.len();
                    assert!(held >= done.synced, "{held} of {}", done.synced);
                    assert_eq!(found[..], done.appended[done.released..held]);
                }
                check(&Arc::new(files), &done);
            }
        }
    }
    use Call::{Create, List, Open, Read, Remove, Sync, SyncNames, Write};
    for call in [List, Create, Open, Remove, SyncNames, Write, Read, Sync] {
        assert!(seen.contains(&call), "{call:?} was called");
    }
}

#[test]
fn a_segment_that_can_not_be_made_ahead_is_made_when_it_is_needed() {
    for guarantee in [Guarantee::Process, Guarantee::Disk] {
        for (call, nth) in [(Call::CreateNameless, 0), (Call::GiveName, 0), (Call::GiveName, 1)] {
            let files = CrashingFiles::new();
            let faulty = FaultyFiles::new(files.clone(), Fault::Full, (Some(call), nth));
            let mut done = Reported::default();
            work(&Arc::new(faulty.clone()), (guarantee, true), &mut done).unwrap();
            assert_eq!(faulty.failed(), Some(call));
            check(&Arc::new(files), &done);
        }
    }
}

#[test]
fn a_segment_that_another_can_not_remove_ends_the_run() {
    let files = CrashingFiles::new();
    let faulty = FaultyFiles::new(files.clone(), Fault::Broken, (Some(Call::Remove), 0));
    let mut done = Reported::default();
    let outcome = work(&Arc::new(faulty), (Guarantee::Process, true), &mut done);
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains(": can not remove a segment that is not needed any more: "), "{error}");
    check(&Arc::new(files), &done);
}

#[test]
fn a_segment_that_can_not_be_written_anew_ends_the_run_and_loses_nothing_that_is_needed() {
    for fault in [Fault::Broken, Fault::Short] {
        let folder = tempfile::tempdir().unwrap();
        let files = MappedFiles::new(folder.path());
        let faulty = Arc::new(FaultyFiles::new(files.clone(), fault, (Some(Call::Rename), 0)));
        let first = start(0, 0, Guarantee::Process);
        let mut writer = LogWriter::begin(Arc::clone(&faulty), first, [], VecDeque::new()).unwrap();
        let mut released = 0;
        let mut written = 0;
        let error = loop {
            let long = frame(FrameKind::Records, written, 3_000);
            if let Err(error) = writer.append(Frame::trusted(&long)) {
                break error.to_string();
            }
            written += 1;
            if written.is_multiple_of(1_000) {
                released = written - 10;
                writer.release_before(EntrySequence(released)).unwrap();
            }
            assert!(written < 30_000, "it comes to write one anew");
        };
        drop(writer);
        assert!(error.contains(".log: can not rename a log segment: "), "{error}");
        let files = Arc::new(files);
        let mut reader = LogReader::open(Arc::clone(&files), SHARD, Some(IDENTITY)).unwrap();
        reader.pass_before(EntrySequence(released)).unwrap();
        while reader.read().unwrap().is_some() {}
        assert_eq!(reader.into_end().next, EntrySequence(written));
    }
}

#[test]
fn what_is_counted_fails_once() {
    let faulty = FaultyFiles::new(CrashingFiles::new(), Fault::Full, (Some(Call::List), 1));
    let faulty = Arc::new(faulty);
    assert!(read(&faulty).is_ok());
    let error = read(&faulty).unwrap_err().to_string();
    assert!(error.contains("can not list the folder of: No space left"), "{error}");
    assert!(read(&faulty).is_ok());
}
