//! Segments that are made, and removed, by another thread than the one that writes the log: both
//! take the system a while. The writer asks for the next segment long before it needs it, and never
//! waits: what is not there when it needs it, it makes itself.
//!
//! A segment has no name until the writer takes it, so that nothing is left of one that was never
//! taken, however the process ends.

use super::SegmentName;
use super::backing::{Backing, Segment};
use super::error::LogError;
use super::segment::Guarantee;
use crate::fault;
use crate::limits::{FRAME_BYTES_MAX, LOG_FILL_BYTES};
use crossbeam::channel::{Receiver, Sender, unbounded};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Something to be done about a log's segments, by whoever may block.
pub struct SegmentRequest<B: Backing> {
    backing: Arc<B>,
    what: What<B::Segment>,
    done: Sender<Done<B::Segment>>,
    /// Whether the writer is still there.
    writer: Weak<()>,
    /// Whether a segment could not be removed: those behind it stay then, since a log has no gaps.
    stuck: Arc<AtomicBool>,
}

enum What<S> {
    /// A segment of so many bytes is made.
    Make(u64, Guarantee),
    /// A segment is removed; it is closed then, if it was open.
    Remove(SegmentName, Option<S>),
}

enum Done<S> {
    /// The segment that was asked for, unless the system said no.
    Made(Option<S>),
    Removed(Result<(), LogError>),
}

impl<B: Backing> fmt::Debug for SegmentRequest<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what: &dyn fmt::Debug = match &self.what {
            What::Make(bytes, _) => bytes,
            What::Remove(name, _) => name,
        };
        f.debug_tuple("SegmentRequest").field(what).finish()
    }
}

impl<B: Backing> SegmentRequest<B> {
    /// Does it, which blocks, and lets the writer know. Segments are prefaulted where a CPU is
    /// `free` for that: where it is the shards' own, each would rather have its pages one by one
    /// than none for as long as the scheduler lets another thread run.
    pub fn fulfil(self, free: bool) {
        let Self { backing, what, done, writer, stuck } = self;
        let did = match what {
            What::Make(bytes, guarantee) => {
                let is_wanted = || writer.strong_count() > 0;
                // The writer tries by itself when it needs one, and tells what is wrong.
                let mut made = make(&*backing, bytes, (guarantee, &is_wanted)).unwrap_or_default();
                if let (true, Some(segment)) = (free, &mut made) {
                    segment.prefault();
                }
                Done::Made(made)
            }
            What::Remove(..) if stuck.load(Ordering::Relaxed) => return,
            What::Remove(name, segment) => {
                let removed = remove(&*backing, name);
                stuck.store(removed.is_err(), Ordering::Relaxed);
                drop(segment);
                Done::Removed(removed)
            }
        };
        // A writer that is gone wants to know nothing.
        let _ = done.send(did);
    }
}

/// A segment without a name, unless it is wanted no more by then. One that is to be synced is
/// filled, as [`super::make_ready`] says.
fn make<B: Backing>(
    backing: &B,
    bytes: u64,
    (guarantee, is_wanted): (Guarantee, &dyn Fn() -> bool),
) -> io::Result<Option<B::Segment>> {
    if !is_wanted() {
        return Ok(None);
    }
    fault::point("log.ahead")?;
    let mut segment = backing.create_nameless(bytes)?;
    let is_whole = guarantee == Guarantee::Process || fill(&mut segment, is_wanted)?;
    Ok(is_whole.then_some(segment))
}

/// Fills a segment with zeros, a piece at a time that is synced before the next, so that others'
/// syncs have their turn between. Says whether that was all of it.
pub(super) fn fill(segment: &mut impl Segment, is_wanted: &dyn Fn() -> bool) -> io::Result<bool> {
    let zeros = vec![0; FRAME_BYTES_MAX / 8];
    let (bytes, syncer) = (segment.bytes(), segment.syncer());
    for at in (0..bytes).step_by(FRAME_BYTES_MAX) {
        let words = (bytes - at).min(FRAME_BYTES_MAX as u64) / 8;
        segment.write(at, [&zeros[..words as usize], &[]])?;
        if (at + words * 8).is_multiple_of(LOG_FILL_BYTES) {
            syncer.sync()?;
            if !is_wanted() {
                return Ok(false);
            }
        }
    }
    syncer.sync()?;
    Ok(true)
}

/// Removes a segment that is not needed any more.
pub(super) fn remove<B: Backing>(backing: &B, name: SegmentName) -> Result<(), LogError> {
    let failed =
        LogError::io(backing.path_of(name), "remove a segment that is not needed any more");
    fault::point("log.remove").and_then(|()| backing.remove(name)).map_err(failed)
}

/// Whoever makes and removes segments, from the writer's side.
pub(super) struct Helper<B: Backing> {
    backing: Arc<B>,
    ask: Box<dyn FnMut(SegmentRequest<B>) + Send>,
    tell: Sender<Done<B::Segment>>,
    told: Receiver<Done<B::Segment>>,
    here: Arc<()>,
    stuck: Arc<AtomicBool>,
    /// Whether a segment is being made.
    is_making: bool,
    made: Option<B::Segment>,
    /// How many segments are being removed.
    removing: usize,
}

impl<B: Backing> Helper<B> {
    pub(super) fn new(
        backing: Arc<B>,
        ask: impl FnMut(SegmentRequest<B>) + Send + 'static,
    ) -> Self {
        // Never more than the segments that there are, and the one that is made.
        let (tell, told) = unbounded();
        Self {
            backing,
            ask: Box::new(ask),
            tell,
            told,
            here: Arc::new(()),
            stuck: Arc::default(),
            is_making: false,
            made: None,
            removing: 0,
        }
    }

    fn ask(&mut self, what: What<B::Segment>) {
        (self.ask)(SegmentRequest {
            backing: Arc::clone(&self.backing),
            what,
            done: self.tell.clone(),
            writer: Arc::downgrade(&self.here),
            stuck: Arc::clone(&self.stuck),
        });
    }

    /// Asks for a segment of so many bytes, unless one is on its way.
    pub(super) fn make(&mut self, bytes: u64, guarantee: Guarantee) {
        if !self.is_making && self.made.is_none() {
            self.is_making = true;
            self.ask(What::Make(bytes, guarantee));
        }
    }

    /// Has a segment removed, and closed. Those that are to go first are to be named first.
    pub(super) fn remove(&mut self, name: SegmentName, segment: Option<B::Segment>) {
        self.removing += 1;
        self.ask(What::Remove(name, segment));
    }

    /// Takes the segment that was made, if it is there and so long at least. It may be one that was
    /// asked for too late, and shorter than those after it.
    pub(super) fn take(&mut self, bytes: u64) -> Option<B::Segment> {
        self.made.take_if(|made| made.bytes() >= bytes)
    }

    /// How many segments are being removed.
    pub(super) fn removing(&self) -> usize {
        self.removing
    }

    /// Hears of what was done. Says how many segments are gone.
    ///
    /// # Errors
    /// When one could not be removed.
    pub(super) fn hear(&mut self) -> Result<usize, LogError> {
        let before = self.removing;
        while let Ok(done) = self.told.try_recv() {
            match done {
                Done::Made(made) => (self.is_making, self.made) = (false, made),
                Done::Removed(removed) => {
                    self.removing -= 1;
                    removed?;
                }
            }
        }
        Ok(before - self.removing)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frame, frames, read, read_from, start};
    use super::super::*;
    use super::*;
    use crate::frame::{Frame, FrameKind};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[derive(Clone, Debug)]
    enum Step {
        Append(usize),
        /// So many requests are fulfilled.
        Fulfil(usize),
        /// Entries but so many are not needed any more.
        Release(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0_usize..400).prop_map(Step::Append),
            2 => (1_usize..4).prop_map(Step::Fulfil),
            1 => (0_u64..12).prop_map(Step::Release),
        ];
        prop::collection::vec(step, 1..200)
    }

    /// A start whose segments are soon full, the longest ones too.
    fn short(guarantee: Guarantee) -> WriterStart {
        WriterStart { segment_bytes: 8 << 10, ..start(0, 0, guarantee) }
    }

    fn fulfil<B: Backing>(request: SegmentRequest<B>) {
        request.fulfil(true);
    }

    fn begin<B: Backing>(backing: &Arc<B>, guarantee: Guarantee) -> LogWriter<B> {
        let start = short(guarantee);
        let segment = backing.create(start.segment, 1 << 10).unwrap();
        let ready = VecDeque::from([(start.segment, segment)]);
        LogWriter::begin(Arc::clone(backing), start, [], ready).unwrap()
    }

    /// A writer, and what it asks for.
    #[allow(clippy::type_complexity)] // it is but three things
    fn helped(
        guarantee: Guarantee,
    ) -> (Arc<CrashingFiles>, LogWriter<CrashingFiles>, Receiver<SegmentRequest<CrashingFiles>>)
    {
        let backing = Arc::new(CrashingFiles::new());
        let mut writer = begin(&backing, guarantee);
        let (sender, requests) = unbounded();
        writer.help_with(move |request| sender.send(request).unwrap());
        (backing, writer, requests)
    }

    proptest! {
        #[test]
        fn whenever_requests_are_fulfilled_the_log_is_the_same(steps in steps()) {
            let (backing, mut writer, requests) = helped(Guarantee::Disk);
            let (mut all, mut needed) = (Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Append(words) => {
                        let words = frame(FrameKind::Records, all.len() as u64, words);
                        writer.append(Frame::trusted(&words)).unwrap();
                        all.push(words);
                    }
                    Step::Fulfil(count) => {
                        requests.try_iter().take(count).for_each(fulfil);
                        prop_assert!(requests.len() <= 1 + backing.list().unwrap().len());
                    }
                    Step::Release(but) => {
                        needed = needed.max((all.len() as u64).saturating_sub(but));
                        writer.release_before(EntrySequence(needed)).unwrap();
                    }
                }
                let (found, _) = read_from(&backing, needed).unwrap();
                prop_assert_eq!(&found[..], &all[needed as usize..]);
            }
            requests.try_iter().for_each(fulfil);
            prop_assert!(writer.is_tidy().unwrap());
            let kept = writer.segments().count() + crate::limits::SPARE_SEGMENTS_MAX;
            prop_assert!(backing.list().unwrap().len() <= kept, "nothing is left over");
        }
    }

    #[test]
    fn a_thread_makes_and_removes_segments_and_nothing_is_left_of_those_that_were_not_taken() {
        fn check<B: Backing>(backing: B, guarantee: Guarantee) {
            let backing = Arc::new(backing);
            let mut writer = begin(&backing, guarantee);
            let (sender, requests) = unbounded::<SegmentRequest<B>>();
            writer.help_with(move |request| sender.send(request).unwrap());
            let thread = std::thread::spawn(move || {
                requests.into_iter().for_each(fulfil);
            });
            let all = frames(4_000);
            for (at, frame) in (0..).zip(&all) {
                writer.append(Frame::trusted(frame)).unwrap();
                if at % 300 == 299 && at < 2_000 {
                    writer.release_before(EntrySequence(at - 50)).unwrap();
                }
            }
            while !writer.is_tidy().unwrap() {
                std::thread::yield_now();
            }
            let held: Vec<_> = writer.segments().map(|(name, _)| name).collect();
            drop(writer);
            thread.join().unwrap();
            let mut left = backing.list().unwrap();
            left.retain(|name| *name >= held[0]);
            left.sort();
            assert_eq!(left, held);
            let (found, end) = read_from(&backing, 1_749).unwrap();
            assert_eq!(found[..], all[1_749..]);
            assert_eq!(end.beyond, []);
        }
        for guarantee in [Guarantee::Process, Guarantee::Disk] {
            let folder = tempfile::tempdir().unwrap();
            check(LogFiles::new(folder.path(), guarantee), guarantee);
            let others = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_str().unwrap().parse::<SegmentName>().is_err()
            });
            assert_eq!(others.count(), 0);
        }
    }

    #[test]
    fn one_that_came_too_late_is_the_next_and_others_are_asked_for_behind_it() {
        let (backing, mut writer, requests) = helped(Guarantee::Process);
        let mut frames = frames(2_000).into_iter();
        let mut roll = |writer: &mut LogWriter<CrashingFiles>| {
            let before = writer.segments().count();
            while writer.segments().count() == before {
                writer.append(Frame::trusted(&frames.next().unwrap())).unwrap();
            }
            writer.segments().last().unwrap().0
        };
        roll(&mut writer);
        // Asked for beside a segment of 1 KiB, and now the present one has 4 KiB.
        requests.try_iter().for_each(fulfil);
        for bytes in [4, 8, 8, 8] {
            let segment = backing.open(roll(&mut writer)).unwrap();
            assert_eq!(segment.bytes(), bytes << 10);
            let request = requests.try_recv().unwrap();
            assert!(matches!(request.what, What::Make(8192, _)), "{request:?}");
            fulfil(request);
        }
    }

    #[test]
    fn behind_a_segment_that_can_not_be_removed_none_is() {
        let (backing, mut writer, requests) = helped(Guarantee::Process);
        let all = frames(2_000);
        for frame in &all {
            writer.append(Frame::trusted(frame)).unwrap();
        }
        let before = backing.list().unwrap().len();
        writer.release_before(EntrySequence(1_990)).unwrap();
        let removals = requests.len() - 1;
        assert!(removals > 3, "{removals} are to be removed");
        // Somebody else has removed the oldest.
        backing
            .remove(SegmentName { number: 0, ..start(0, 0, Guarantee::Process).segment })
            .unwrap();
        requests.try_iter().for_each(fulfil);
        assert!(writer.is_tidy().is_err());
        assert_eq!(backing.list().unwrap().len(), before - 1);
    }

    #[test]
    fn without_help_the_space_of_segments_that_were_removed_is_given_back_in_pieces() {
        for guarantee in [Guarantee::Process, Guarantee::Disk] {
            let folder = tempfile::tempdir().unwrap();
            let backing = Arc::new(LogFiles::new(folder.path(), guarantee));
            let mut writer = begin(&backing, guarantee);
            let all = frames(2_000);
            for frame in &all {
                writer.append(Frame::trusted(frame)).unwrap();
            }
            assert!(!writer.give_back(1 << 10), "all are needed");
            let segments = backing.list().unwrap();
            writer.release_before(EntrySequence(1_990)).unwrap();
            let mut left = backing.list().unwrap();
            left.sort();
            let removed = segments.into_iter().filter(|name| left.binary_search(name).is_err());
            // One of 1 KiB, one of 4, and all others of 8.
            let pieces = removed.map(|name| [1, 4].get(name.number as usize).copied().unwrap_or(8));
            let pieces: usize = pieces.sum();
            assert!(pieces > 20, "{pieces}");
            let given_back = std::iter::from_fn(|| writer.give_back(1 << 10).then_some(())).count();
            assert_eq!(given_back, pieces);
            assert_eq!(read_from(&backing, 1_990).unwrap().0[..], all[1_990..]);
        }
    }

    #[test]
    fn what_is_asked_for_a_writer_that_is_gone_is_not_made() {
        let (backing, writer, requests) = helped(Guarantee::Disk);
        let request = requests.try_recv().unwrap();
        assert!(matches!(request.what, What::Make(4096, Guarantee::Disk)), "{request:?}");
        assert!(make(&*backing, 4096, (Guarantee::Disk, &|| true)).unwrap().is_some());
        assert!(make(&*backing, 16 << 20, (Guarantee::Disk, &|| false)).unwrap().is_none());
        let asked = std::cell::Cell::new(0);
        let is_wanted = || asked.replace(asked.get() + 1) < 2;
        assert!(make(&*backing, 16 << 20, (Guarantee::Disk, &is_wanted)).unwrap().is_none());
        drop(writer);
        fulfil(request);
        assert_eq!(read(&backing).unwrap().1.segments.len(), 1);
    }
}
