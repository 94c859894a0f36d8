//! Appending to a shard's log.

use super::ahead::{Helper, SegmentRequest, fill, remove};
use super::backing::{Backing, Segment, Syncer};
use super::error::LogError;
use super::segment::{Guarantee, LogIdentity, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::{EntrySequence, LogPosition, SegmentName};
use crate::fault;
use crate::frame::{Frame, FrameHeader, FrameKind, HEADER_WORDS};
use crate::limits::{SEGMENT_BYTES_FIRST, SPARE_SEGMENTS_MAX};
use crate::time::Watermark;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Where a run begins to write.
#[derive(Clone, Copy, Debug)]
pub struct WriterStart {
    /// The first segment of the run. It must not exist yet.
    pub segment: SegmentName,
    /// The run's first entry.
    pub next: EntrySequence,
    /// The log.
    pub identity: LogIdentity,
    /// What is promised about entries.
    pub guarantee: Guarantee,
    /// The number of the run.
    pub epoch: u64,
    /// Bytes of a segment at most.
    pub segment_bytes: u64,
}

/// Writes the log of one shard. A run begins a new segment, so that nothing is overwritten that is
/// needed; a run's first segment is small, so that short runs take little space. Segments that are
/// not needed any more are written anew, which spares the system making and clearing their memory.
pub struct LogWriter<B: Backing> {
    backing: Arc<B>,
    start: WriterStart,
    segment: B::Segment,
    header: SegmentHeader,
    offset: u64,
    next: EntrySequence,
    /// Segments that are full, oldest first.
    full: VecDeque<Full<B::Segment>>,
    /// The first entry of the segment that is being written.
    first: EntrySequence,
    /// Segments that have no name any more, whose space is being given back.
    leaving: Vec<B::Segment>,
    /// How many of the full ones, of the oldest, hold nothing that is needed.
    spare: usize,
    /// Segments that were made before they are needed, in their order.
    ready: VecDeque<(SegmentName, B::Segment)>,
    /// Full segments that no sync point has been taken of.
    unsynced: Vec<(SegmentName, Arc<dyn Syncer>)>,
    names_changed: bool,
    /// Who makes and removes segments; nobody but the writer itself where there is none.
    helper: Option<Helper<B>>,
}

/// A segment that nothing more is written into.
struct Full<S> {
    name: SegmentName,
    first: EntrySequence,
    /// The segment, if it is one of this run's.
    segment: Option<S>,
}

impl<B: Backing> fmt::Debug for LogWriter<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = LogPosition { segment: self.name(), offset: self.offset };
        f.debug_struct("LogWriter").field("at", &at).field("next", &self.next).finish()
    }
}

impl<B: Backing> LogWriter<B> {
    /// Begins a run. `before` are the log's segments from earlier runs, oldest first, each with
    /// its first entry; `ready` are [those that were made](make_ready) for this run.
    ///
    /// # Errors
    /// When the first segment can not be made.
    pub fn begin(
        backing: Arc<B>,
        start: WriterStart,
        before: impl IntoIterator<Item = (SegmentName, EntrySequence)>,
        mut ready: VecDeque<(SegmentName, B::Segment)>,
    ) -> Result<Self, LogError> {
        let (segment, header) = match ready.pop_front() {
            Some((name, segment)) => begin(&*backing, &start, (name, start.next), segment)?,
            None => {
                let bytes = SEGMENT_BYTES_FIRST as u64;
                make(&*backing, &start, (start.segment, start.next), bytes)?
            }
        };
        let full = |(name, first)| Full { name, first, segment: None };
        Ok(Self {
            backing,
            start,
            segment,
            header,
            offset: SEGMENT_HEADER_BYTES,
            next: start.next,
            full: before.into_iter().map(full).collect(),
            first: start.next,
            leaving: Vec::new(),
            spare: 0,
            ready,
            unsynced: Vec::new(),
            names_changed: true,
            helper: None,
        })
    }

    /// Has somebody else make segments ahead and remove those that are not needed any more: `ask`
    /// hands a request on to whoever [fulfils](SegmentRequest::fulfil) all of them in their order.
    pub fn help_with(&mut self, ask: impl FnMut(SegmentRequest<B>) + Send + 'static) {
        self.helper = Some(Helper::new(Arc::clone(&self.backing), ask));
        self.make_ahead();
    }

    /// Asks for the segment that comes next, unless there is one.
    fn make_ahead(&mut self) {
        let bytes = self.next_bytes();
        if let Some(helper) = &mut self.helper
            && self.ready.is_empty()
            && self.spare == 0
        {
            helper.make(bytes, self.start.guarantee);
        }
    }

    /// Bytes of the segment that comes next.
    fn next_bytes(&self) -> u64 {
        (self.segment.bytes() * 4).min(self.start.segment_bytes)
    }

    /// Hears of what the helper has done.
    fn hear(&mut self) -> Result<(), LogError> {
        if let Some(helper) = &mut self.helper {
            self.names_changed |= helper.hear()? > 0;
        }
        Ok(())
    }

    /// Whether all segments that are not needed any more, and are not kept to be written anew, are
    /// gone.
    ///
    /// # Errors
    /// When one could not be removed.
    pub fn is_tidy(&mut self) -> Result<bool, LogError> {
        self.hear()?;
        Ok(self.removing() == 0)
    }

    fn removing(&self) -> usize {
        self.helper.as_ref().map_or(0, Helper::removing)
    }

    fn name(&self) -> SegmentName {
        self.header.name()
    }

    /// The number of the entry that will be appended next.
    pub fn next(&self) -> EntrySequence {
        self.next
    }

    /// Appends a frame. It survives the end of the process once this has returned.
    ///
    /// # Errors
    /// When the system says no. The log is to be closed then; what it holds is for a
    /// [`LogReader`](super::LogReader) to find out.
    pub fn append(&mut self, frame: Frame<'_>) -> Result<EntrySequence, LogError> {
        let bytes = size_of_val(frame.words()) as u64;
        if self.offset + bytes > self.segment.bytes() {
            self.roll(bytes)?;
        }
        let mut header: FrameHeader = *frame.header();
        header.crc = frame.checksum(self.header.seed_at(self.offset));
        let parts: [&[u64]; 2] =
            [bytemuck::cast_slice(bytemuck::bytes_of(&header)), &frame.words()[HEADER_WORDS..]];
        let (segment, offset) = (&mut self.segment, self.offset);
        let mut write = || {
            fault::point("log.append.before")?;
            fault::point_in("log.append.half", || segment.write(offset, [parts[0], &[]]))?;
            segment.write(offset, parts)?;
            fault::point("log.append.after")
        };
        write().map_err(|error| {
            let path = self.backing.path_of(self.name());
            LogError::Io { path, action: "write an entry", error }
        })?;
        self.offset += bytes;
        let sequence = self.next;
        self.next = sequence.next();
        Ok(sequence)
    }

    /// Goes on in a new segment.
    #[cold]
    fn roll(&mut self, bytes: u64) -> Result<(), LogError> {
        self.hear()?;
        let segment_bytes = self.next_bytes();
        let needed = SEGMENT_HEADER_BYTES + bytes;
        if needed > segment_bytes {
            return Err(LogError::TooLong { bytes, segment_bytes });
        }
        let name = self.name().next();
        let path = self.backing.path_of(name);
        fault::point("log.roll").map_err(LogError::io(path, "make a log segment"))?;
        let (segment, header) = self.make_next(name, (needed, segment_bytes))?;
        let (before, full) = (self.name(), std::mem::replace(&mut self.segment, segment));
        if self.start.guarantee == Guarantee::Disk {
            self.unsynced.push((before, full.syncer()));
        }
        self.full.push_back(Full { name: before, first: self.first, segment: Some(full) });
        self.header = header;
        self.offset = SEGMENT_HEADER_BYTES;
        self.first = self.next;
        self.names_changed = true;
        self.make_ahead();
        Ok(())
    }

    /// A new segment, or an old one that holds nothing that is needed; one that was made ahead will
    /// do if what is `needed` fits.
    fn make_next(
        &mut self,
        name: SegmentName,
        (needed, bytes): (u64, u64),
    ) -> Result<(B::Segment, SegmentHeader), LogError> {
        if let Some((ready, segment)) = self.ready.pop_front() {
            debug_assert_eq!(ready, name, "they follow on the first");
            return begin(&*self.backing, &self.start, (ready, self.next), segment);
        }
        // A log has no gaps: one is written anew only once all before it are gone.
        let may_rename = self.spare > 0 && self.removing() == 0;
        let oldest = self.full.front_mut().filter(|full| may_rename && full.is_long(&self.start));
        let Some((old, segment)) = oldest.and_then(|full| Some((full.name, full.segment.take()?)))
        else {
            if let Some(made) = self.take_made(name, needed) {
                return begin(&*self.backing, &self.start, (name, self.next), made);
            }
            return make(&*self.backing, &self.start, (name, self.next), bytes);
        };
        self.full.pop_front();
        self.spare -= 1;
        let path = self.backing.path_of(old);
        let renamed = fault::point("log.rename").and_then(|()| self.backing.rename(old, name));
        renamed.map_err(LogError::io(path, "rename a log segment"))?;
        begin(&*self.backing, &self.start, (name, self.next), segment)
    }

    /// The segment that was made ahead, if there is one, under its name. Where it can not be named,
    /// another is made in its place, and that tells what is wrong.
    fn take_made(&mut self, name: SegmentName, bytes: u64) -> Option<B::Segment> {
        let made = self.helper.as_mut()?.take(bytes)?;
        let named = fault::point("log.name").and_then(|()| self.backing.give_name(&made, name));
        named.is_ok().then_some(made)
    }

    /// Appends that all entries before `covered` are synced: damage among them is told from a loss
    /// of power then.
    ///
    /// # Errors
    /// When the system says no.
    pub fn mark_synced(&mut self, covered: EntrySequence) -> Result<(), LogError> {
        let mut mark = FrameHeader::new(FrameKind::Synced, Watermark::START);
        mark.lane_sequence = covered.0;
        let words: &[u64] = bytemuck::cast_slice(bytemuck::bytes_of(&mark));
        self.append(Frame::trusted(words)).map(drop)
    }

    /// All that has been appended and no earlier sync point covers, to be synced by whoever may
    /// block. Sync points are synced in the order in which they were taken.
    pub fn sync_point(&mut self) -> SyncPoint<B> {
        let mut segments = std::mem::take(&mut self.unsynced);
        segments.push((self.name(), self.segment.syncer()));
        let names = std::mem::take(&mut self.names_changed);
        SyncPoint { backing: Arc::clone(&self.backing), segments, names, covers: self.next }
    }

    /// The segments that are held, oldest first, each with its first entry.
    pub fn segments(&self) -> impl Iterator<Item = (SegmentName, EntrySequence)> {
        let full = self.full.iter().skip(self.spare).map(|full| (full.name, full.first));
        full.chain([(self.name(), self.first)])
    }

    /// Lets go of the segments that are full, none of which is ever removed or written anew.
    pub fn forget_full(&mut self) {
        self.full.clear();
        self.spare = 0;
    }

    /// Entries before `first` are not needed any more: segments that hold no others are removed, or
    /// kept to be written anew.
    ///
    /// # Errors
    /// When the system says no.
    pub fn release_before(&mut self, first: EntrySequence) -> Result<(), LogError> {
        self.hear()?;
        let next = |at: usize| self.full.get(at + 1).map_or(self.first, |full| full.first);
        let mut spare = self.spare;
        while spare < self.full.len() && next(spare) <= first {
            spare += 1;
        }
        self.spare = spare;
        while self.spare > 0
            && let Some(oldest) = self.full.front_mut()
            && (self.spare > SPARE_SEGMENTS_MAX || !oldest.is_long(&self.start))
        {
            match &mut self.helper {
                Some(helper) => helper.remove(oldest.name, oldest.segment.take()),
                None => {
                    remove(&*self.backing, oldest.name)?;
                    self.leaving.extend(oldest.segment.take());
                    self.names_changed = true;
                }
            }
            self.full.pop_front();
            self.spare -= 1;
        }
        Ok(())
    }

    /// Gives back so many bytes more of segments that were removed, where nobody else does; says
    /// whether there were any.
    pub fn give_back(&mut self, bytes: u64) -> bool {
        let Some(segment) = self.leaving.last_mut() else { return false };
        // Without a name, its space is given back with it in the end.
        if !segment.shrink(bytes).unwrap_or(false) {
            self.leaving.pop();
        }
        true
    }
}

impl<S: Segment> Full<S> {
    /// Whether it can be written anew.
    fn is_long(&self, start: &WriterStart) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.bytes() == start.segment_bytes)
    }
}

/// Makes segments of full length before they are needed, the first of them `first`, with room for
/// so many bytes at least. One that is never written into holds nothing, and is passed over. Those
/// that are to be synced are filled with zeros and synced once: space that was allocated and never
/// written costs a journal's commit at each sync.
///
/// # Errors
/// When the system says no.
pub fn make_ready<B: Backing>(
    backing: &B,
    (first, guarantee): (SegmentName, Guarantee),
    (bytes, segment_bytes): (u64, u64),
) -> Result<VecDeque<(SegmentName, B::Segment)>, LogError> {
    let mut name = first;
    let mut make = |_| {
        let path = backing.path_of(name);
        let segment = backing.create(name, segment_bytes);
        let filled = segment.and_then(|mut segment| {
            segment.prefault();
            if guarantee == Guarantee::Disk {
                fill(&mut segment, &|| true)?;
            }
            Ok(segment)
        });
        let made = (name, filled.map_err(LogError::io(path, "make a log segment"))?);
        name = name.next();
        Ok(made)
    };
    (0..bytes.div_ceil(segment_bytes)).map(&mut make).collect()
}

/// Makes a segment without entries, durably: a log that is lost before a snapshot goes on from it.
///
/// # Errors
/// When the system says no.
pub fn begin_empty<B: Backing>(backing: &B, start: &WriterStart) -> Result<(), LogError> {
    let (name, bytes) = (start.segment, SEGMENT_BYTES_FIRST as u64);
    let (segment, _) = make(backing, start, (name, start.next), bytes)?;
    let synced = segment.syncer().sync().and_then(|()| backing.sync_names());
    synced.map_err(LogError::io(backing.path_of(name), "sync"))
}

/// Makes a segment and writes its header.
fn make<B: Backing>(
    backing: &B,
    start: &WriterStart,
    (name, first): (SegmentName, EntrySequence),
    bytes: u64,
) -> Result<(B::Segment, SegmentHeader), LogError> {
    let segment = fault::point("log.create")
        .and_then(|()| backing.create(name, bytes))
        .map_err(LogError::io(backing.path_of(name), "make a log segment"))?;
    begin(backing, start, (name, first), segment)
}

/// Writes a segment's header.
fn begin<B: Backing>(
    backing: &B,
    start: &WriterStart,
    (name, first): (SegmentName, EntrySequence),
    mut segment: B::Segment,
) -> Result<(B::Segment, SegmentHeader), LogError> {
    let told = (start.identity, start.guarantee);
    let header = SegmentHeader::new(name, first, told, (start.epoch, segment.bytes()));
    fault::point("log.header")
        .and_then(|()| segment.write(0, [&header.words(), &[]]))
        .map_err(LogError::io(backing.path_of(name), "write a segment's header"))?;
    Ok((segment, header))
}

/// Entries to be made durable.
#[must_use]
pub struct SyncPoint<B> {
    backing: Arc<B>,
    segments: Vec<(SegmentName, Arc<dyn Syncer>)>,
    names: bool,
    covers: EntrySequence,
}

impl<B> fmt::Debug for SyncPoint<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncPoint").field("covers", &self.covers).finish_non_exhaustive()
    }
}

impl<B: Backing> SyncPoint<B> {
    /// The first entry that it does not cover.
    pub const fn covers(&self) -> EntrySequence {
        self.covers
    }

    /// Makes them durable; blocks. Says the first entry that is not covered.
    ///
    /// # Errors
    /// When the system says no. What is durable is not known then: never to be tried again.
    pub fn sync(self) -> Result<EntrySequence, LogError> {
        for (name, syncer) in &self.segments {
            let path = || self.backing.path_of(*name);
            let synced = fault::point("log.sync").and_then(|()| syncer.sync());
            let synced = synced.and_then(|()| fault::point("log.synced"));
            synced.map_err(|error| LogError::Io { path: path(), action: "sync", error })?;
        }
        if self.names {
            let path = self.segments.last().map(|(name, _)| self.backing.path_of(*name));
            let action = "sync the folder of";
            self.backing.sync_names().map_err(LogError::io(path.unwrap_or_default(), action))?;
        }
        Ok(self.covers)
    }
}
