//! Reading a shard's log: every entry is checked before it is believed, and where the log ends is
//! found out, not written down.
//!
//! A bad entry ends a segment. Where the next segment goes on with the entry that is due, a run
//! ended there and another took over. Otherwise it is the log's end, torn if bytes of an entry
//! that was being written are left; unless a good entry behind it shows that it cannot be the end.
//! A segment that is missing is as one without a header: a loss of power may take the names of some
//! that were not synced and leave those of later ones.

use super::backing::{Backing, Segment};
use super::error::{LogError, Refusal};
use super::segment::{
    Guarantee, HeaderFault, LogIdentity, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_WORDS, SegmentHeader,
};
use super::{EntrySequence, LogPosition, SegmentName};
use crate::frame::{Frame, FrameError, FrameKind};
use crate::limits::{FRAME_BYTES_MAX, LOG_READ_BYTES};
use crate::record::ShardIndex;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that a segment's header and its first entry take at most.
const HEADED_BYTES: usize = SEGMENT_HEADER_BYTES as usize + FRAME_BYTES_MAX;

/// An entry, where it was read to.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its number.
    pub sequence: EntrySequence,
    /// Where it lies.
    pub position: LogPosition,
    /// The number of the run that wrote it.
    pub epoch: u64,
    /// What it is.
    pub frame: Frame<'a>,
}

/// The end of a log that was left in the middle of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where the last whole entry ends.
    pub position: LogPosition,
    /// What was found there.
    pub reason: Refusal,
}

/// Where a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The entry that would come next.
    pub next: EntrySequence,
    /// The last segment that there is, good or not.
    pub last: Option<SegmentName>,
    /// The segments, oldest first, each with its first entry, or where it holds none that is
    /// needed, one that is not after those of the next segment.
    pub segments: Vec<(SegmentName, EntrySequence)>,
    /// The number of the run that wrote last.
    pub epoch: Option<u64>,
    /// What is left of a write that was interrupted.
    pub torn: Option<Torn>,
    /// Segments behind the end, oldest first: a loss of power has taken what was between. Nothing
    /// in them was ever durable; they are to be removed before the log goes on.
    pub beyond: Vec<SegmentName>,
}

/// Reads the entries of one shard's log in their order.
pub struct LogReader<B: Backing> {
    backing: Arc<B>,
    shard: ShardIndex,
    identity: Option<LogIdentity>,
    ahead: VecDeque<SegmentName>,
    open: Option<OpenSegment<B::Segment>>,
    due: Option<EntrySequence>,
    /// The first segment without a header.
    headless: Option<SegmentName>,
    /// The first entry that is needed, if that is known.
    needed: Option<EntrySequence>,
    /// What another reader has found, if the checksums that it has computed are believed.
    believed: Option<Believed>,
    /// Entries of the open segment before this one need not be checked.
    checked_before: EntrySequence,
    /// Where the last segment ended, whether its run synced, and what was found there.
    left: Option<(LogPosition, bool, Refusal)>,
    end: LogEnd,
    ended: bool,
}

/// The segments that a reader went through, each with its first entry, and the entry behind the
/// last.
struct Believed(Vec<(SegmentName, EntrySequence)>, EntrySequence);

struct OpenSegment<S> {
    segment: S,
    header: SegmentHeader,
    offset: u64,
    /// Part of the segment, and the offset that it begins at.
    words: Vec<u64>,
    words_at: u64,
}

impl<B: Backing> fmt::Debug for LogReader<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").field("due", &self.due).field("end", &self.end).finish()
    }
}

impl<B: Backing> LogReader<B> {
    /// A reader of a shard's log from its first entry on. Segments of another log than `identity`
    /// are refused.
    ///
    /// # Errors
    /// When the segments can not be listed.
    pub fn open(
        backing: Arc<B>,
        shard: ShardIndex,
        identity: Option<LogIdentity>,
    ) -> Result<Self, LogError> {
        let path = backing.path_of(SegmentName { shard, number: 0 });
        let mut names = backing.list().map_err(LogError::io(path, "list the folder of"))?;
        names.retain(|name| name.shard == shard);
        names.sort();
        Ok(Self::over(backing, (shard, identity), names))
    }

    /// A reader of so much of a log as lies in these segments.
    pub(super) fn over(
        backing: Arc<B>,
        (shard, identity): (ShardIndex, Option<LogIdentity>),
        names: Vec<SegmentName>,
    ) -> Self {
        let last = names.last().copied();
        let next = EntrySequence::default();
        Self {
            backing,
            shard,
            identity,
            ahead: names.into(),
            open: None,
            due: None,
            headless: None,
            needed: None,
            believed: None,
            checked_before: EntrySequence::default(),
            left: None,
            end: LogEnd {
                next,
                last,
                segments: Vec::new(),
                epoch: None,
                torn: None,
                beyond: Vec::new(),
            },
            ended: false,
        }
    }

    /// The oldest entry that is there, of what has not been read; `None` where there is none.
    ///
    /// # Errors
    /// When the system says no.
    pub fn oldest(&self) -> Result<Option<EntrySequence>, LogError> {
        for name in &self.ahead {
            if let Some(header) = self.header_of(*name)? {
                return Ok(Some(header.first()));
            }
        }
        Ok(None)
    }

    /// Passes over the entries before `first`, which a snapshot knows of. Segments that hold no
    /// others are not looked at.
    ///
    /// # Errors
    /// When the system says no, what is there can not be what was written, or `first` is neither
    /// an entry of the log nor the one that would come next.
    pub fn pass_before(&mut self, first: EntrySequence) -> Result<(), LogError> {
        self.needed = Some(first);
        while let (Some(oldest), Some(next)) = (self.ahead.front(), self.ahead.get(1))
            && let Some(next) = self.header_of(*next)?
            && next.first() <= first
        {
            let oldest = *oldest;
            let own = self.header_of(oldest)?.map(|header| header.first());
            self.end.segments.push((oldest, own.unwrap_or(next.first())));
            self.ahead.pop_front();
        }
        while self.open.is_none() && !self.ended {
            self.open_next()?;
        }
        while self.due.is_some_and(|due| due < first) && self.read()?.is_some() {}
        let found = self.due.unwrap_or_default();
        if found != first {
            let shard = self.shard;
            let last = self.end.segments.last().map(|(name, _)| *name).or(self.end.last);
            let path = self.backing.path_of(last.unwrap_or(SegmentName { shard, number: 0 }));
            return Err(LogError::Lost { path, shard, found: found.0, first: first.0 });
        }
        Ok(())
    }

    /// Another reader has found that the log ends like this since it was last written: the
    /// checksums of the entries that it has read are not computed once more. Those of what lies
    /// behind a segment's last entry are, since that reader did not take it for an entry.
    pub fn believe(&mut self, end: &LogEnd) {
        self.believed = Some(Believed(end.segments.clone(), end.next));
    }

    /// The header of a segment, if it has one.
    fn header_of(&self, name: SegmentName) -> Result<Option<SegmentHeader>, LogError> {
        let path = || self.backing.path_of(name);
        let segment = self.backing.open(name).map_err(LogError::io(path(), "open"))?;
        if segment.bytes() < SEGMENT_HEADER_BYTES {
            return Ok(None);
        }
        let mut words = [0; SEGMENT_HEADER_WORDS];
        segment.read(0, &mut words).map_err(LogError::io(path(), "read the header of"))?;
        Ok(SegmentHeader::parse(&words).ok().filter(|header| header.name() == name))
    }

    /// The next entry; `None` once the log has ended.
    ///
    /// # Errors
    /// When the system says no, or what is there can not be what was written.
    pub fn read(&mut self) -> Result<Option<Entry<'_>>, LogError> {
        let words = loop {
            if self.ended {
                return Ok(None);
            }
            let Some(open) = &mut self.open else {
                self.open_next()?;
                continue;
            };
            let is_checked = self.due.is_some_and(|due| due < self.checked_before);
            let name = open.header.name();
            let failed = |error| LogError::io(self.backing.path_of(name), "read an entry")(error);
            match open.look(is_checked).map_err(failed)? {
                Ok(words) => break words,
                Err(reason) => self.leave(reason),
            }
        };
        let (Some(open), Some(due)) = (&mut self.open, &mut self.due) else { return Ok(None) };
        let position = LogPosition { segment: open.header.name(), offset: open.offset };
        let sequence = *due;
        *due = sequence.next();
        self.end.next = *due;
        let frame = Frame::trusted(&open.words[words]);
        open.offset += size_of_val(frame.words()) as u64;
        Ok(Some(Entry { sequence, position, epoch: open.header.epoch, frame }))
    }

    /// The number of the entry that comes next.
    pub fn sequence(&self) -> EntrySequence {
        self.end.next
    }

    /// Where the log ends. Read it to its end first.
    pub fn into_end(self) -> LogEnd {
        self.end
    }

    /// Opens the segment that comes next, or ends.
    fn open_next(&mut self) -> Result<(), LogError> {
        let Some(name) = self.ahead.pop_front() else {
            return self.finish(None);
        };
        let path = || self.backing.path_of(name);
        let segment = self.backing.open(name).map_err(LogError::io(path(), "open"))?;
        let mut words = [0; SEGMENT_HEADER_WORDS];
        let parsed = match segment.bytes() < SEGMENT_HEADER_BYTES {
            true => Err(HeaderFault::NotAHeader),
            false => {
                let read = segment.read(0, &mut words);
                read.map_err(LogError::io(path(), "read the header of"))?;
                SegmentHeader::parse(&words)
            }
        };
        let header = match parsed {
            Ok(header) if header.name() == name => header,
            Err(HeaderFault::Version(found)) => {
                let known = SegmentHeader::VERSION;
                return Err(LogError::Version { path: path(), found, known });
            }
            // A run that ended before it had written the header: the next one took over.
            _ => {
                self.headless.get_or_insert(name);
                self.end.segments.push((name, self.end.next));
                return Ok(());
            }
        };
        let identity = *self.identity.get_or_insert(header.identity());
        if header.identity() != identity {
            let (found, expected) = (header.identity().0, identity.0);
            return Err(LogError::Foreign { path: path(), found, expected });
        }
        if self.due.is_none() && header.first() > self.needed.unwrap_or_default() {
            self.begin_late(&header)?;
            if self.ended {
                return Ok(());
            }
        }
        let due = *self.due.get_or_insert(header.first());
        if header.first() != due {
            return self.finish(Some((header, due)));
        }
        self.end.next = due;
        self.end.epoch = Some(header.epoch);
        self.end.segments.push((name, due));
        if let Some(Believed(segments, next)) = &self.believed {
            let behind = segments.iter().find(|(other, _)| *other > name);
            self.checked_before = behind.map_or(*next, |(_, first)| *first);
        }
        self.open = Some(OpenSegment {
            segment,
            header,
            offset: SEGMENT_HEADER_BYTES,
            words: Vec::new(),
            words_at: 0,
        });
        Ok(())
    }

    /// Decides what it means that the first segment with a header begins behind what is needed.
    fn begin_late(&mut self, header: &SegmentHeader) -> Result<(), LogError> {
        let from_start = self.needed == Some(EntrySequence(0));
        if from_start && header.guarantee() == Some(Guarantee::Disk) {
            // Before anything was synced, a loss of power may take any of it.
            self.ended = !self.is_synced_beyond(header.name())?;
            if self.ended {
                return Ok(());
            }
        }
        if let Some(name) = self.headless {
            // What the entries before this segment's were is unknown.
            let position = LogPosition { segment: name, offset: 0 };
            let path = self.backing.path_of(name);
            return Err(LogError::Damaged { path, position, reason: Refusal::Header });
        }
        Ok(())
    }

    /// Puts a segment and all later ones behind the log's end, unless one of them shows that there
    /// was more before it.
    fn is_synced_beyond(&mut self, first: SegmentName) -> Result<bool, LogError> {
        for name in std::iter::once(first).chain(std::mem::take(&mut self.ahead)) {
            let start = LogPosition { segment: name, offset: SEGMENT_HEADER_BYTES };
            if self.is_followed(start)? {
                return Ok(true);
            }
            self.end.beyond.push(name);
        }
        self.end.last = self.end.segments.last().map(|(name, _)| *name);
        Ok(false)
    }

    /// Leaves a segment at the first thing in it that is no entry.
    fn leave(&mut self, reason: Refusal) {
        if let Some(open) = self.open.take() {
            let position = LogPosition { segment: open.header.name(), offset: open.offset };
            let synced = open.header.guarantee() == Some(Guarantee::Disk);
            self.left = Some((position, synced, reason));
        }
    }

    /// Decides whether the place at which the last segment was left is the end of the log. `gap`:
    /// a later segment, and the entry that was due where it begins with another.
    fn finish(&mut self, gap: Option<(SegmentHeader, EntrySequence)>) -> Result<(), LogError> {
        self.ended = true;
        if gap.is_none() {
            self.refuse_headless()?;
        }
        let Some((position, synced, reason)) = self.left.take() else {
            return Ok(());
        };
        let missing = self.missing_behind(position.segment, gap.map(|(later, _)| later.name()));
        let reason = match &gap {
            Some((later, due)) => Refusal::Gap { found: later.first().0, expected: due.0 },
            None => reason,
        };
        // The run that wrote the later segment had read all that was before its own: of that only
        // a loss of power takes something, and only where that run itself syncs.
        let mut is_damage = match gap {
            Some((later, _)) => later.guarantee() != Some(Guarantee::Disk),
            None => missing.is_some() && !synced,
        };
        is_damage = is_damage || self.is_followed(position)?;
        if let Some((later, _)) = gap
            && !is_damage
        {
            is_damage = self.is_synced_beyond(later.name())?;
        }
        if let (true, Some((name, later))) = (is_damage, missing) {
            return Err(LogError::Missing { name, path: self.backing.path_of(later) });
        }
        if is_damage {
            let path = self.backing.path_of(position.segment);
            return Err(LogError::Damaged { path, position, reason });
        }
        if gap.is_some() || reason != Refusal::Frame(FrameError::Empty) {
            self.end.torn = Some(Torn { position, reason });
        }
        Ok(())
    }

    /// The first segment that is missing between one and a later one, or the last that was come to;
    /// and the one behind it.
    fn missing_behind(
        &self,
        from: SegmentName,
        later: Option<SegmentName>,
    ) -> Option<(SegmentName, SegmentName)> {
        let behind = self.end.segments.iter().map(|(name, _)| *name).filter(|name| *name > from);
        let mut due = from.next();
        for name in behind.chain(later) {
            if name != due {
                return Some((due, name));
            }
            due = name.next();
        }
        None
    }

    /// Refuses a segment without a header at the log's end whose first entry was written behind
    /// one. A run that ended before it had written the header left none.
    fn refuse_headless(&self) -> Result<(), LogError> {
        let last_good = self.left.as_ref().map(|(position, ..)| position.segment);
        for (name, _) in self.end.segments.iter().filter(|(name, _)| Some(*name) > last_good) {
            let path = || self.backing.path_of(*name);
            let segment = self.backing.open(*name).map_err(LogError::io(path(), "open"))?;
            let mut words = vec![0; (segment.bytes() as usize).min(HEADED_BYTES) / 8];
            segment.read(0, &mut words).map_err(LogError::io(path(), "read the header of"))?;
            let Some((head, behind)) = words.split_first_chunk() else { continue };
            let is_entry = |seed| Frame::parse(behind, Some(seed)).is_ok();
            if SegmentHeader::seeds_of_damaged(head).into_iter().flatten().any(is_entry) {
                let position = LogPosition { segment: *name, offset: 0 };
                return Err(LogError::Damaged { path: path(), position, reason: Refusal::Header });
            }
        }
        Ok(())
    }

    /// Whether a good entry lies behind a place of a segment; where entries are synced, one that
    /// says that the place had been.
    fn is_followed(&self, from: LogPosition) -> Result<bool, LogError> {
        let path = || self.backing.path_of(from.segment);
        let segment = self.backing.open(from.segment).map_err(LogError::io(path(), "open"))?;
        let mut head = [0; SEGMENT_HEADER_WORDS];
        segment.read(0, &mut head).map_err(LogError::io(path(), "read the header of"))?;
        let Ok(header) = SegmentHeader::parse(&head) else { return Ok(false) };
        let is_synced = header.guarantee() == Some(Guarantee::Disk);
        let is_entry = |at, words: &[u64]| {
            Frame::parse(words, Some(header.seed_at(at))).is_ok_and(|frame| {
                let header = frame.header();
                let covers = header.kind() == Some(FrameKind::Synced)
                    && EntrySequence(header.lane_sequence) > self.end.next;
                covers || !is_synced
            })
        };
        let (mut piece, mut at) = (Vec::new(), from.offset);
        // What is cut short may end within a word.
        while at + 8 <= segment.bytes() {
            // With all of an entry that begins at the last word of what is searched.
            let bytes = (segment.bytes() - at).min((LOG_READ_BYTES + FRAME_BYTES_MAX) as u64);
            piece.resize((bytes / 8) as usize, 0);
            segment.read(at, &mut piece).map_err(LogError::io(path(), "read"))?;
            let searched = piece.len().min(LOG_READ_BYTES / 8);
            let pairs = piece.windows(2).take(searched).zip(0..);
            // Most of it is zeros, and what begins with no length begins no entry.
            let mut lengths = pairs.filter(|(pair, _)| Frame::words_of(pair) > 0);
            if lengths.any(|(_, from)| is_entry(at + from as u64 * 8, &piece[from..])) {
                return Ok(true);
            }
            at += searched as u64 * 8;
        }
        Ok(false)
    }
}

impl<S: Segment> OpenSegment<S> {
    /// The words of the entry that comes next, or why there is none.
    fn look(&mut self, is_checked: bool) -> std::io::Result<Result<Range<usize>, Refusal>> {
        let left = (self.segment.bytes() - self.offset) / 8;
        let at = match self.in_words(FRAME_BYTES_MAX as u64 / 8) {
            Some(at) => at,
            None => {
                let length = left.min(LOG_READ_BYTES as u64 / 8) as usize;
                self.words.resize(length, 0);
                self.words_at = self.offset;
                self.segment.read(self.offset, &mut self.words)?;
                0
            }
        };
        let seed = (!is_checked).then(|| self.header.seed_at(self.offset));
        let words = Frame::parse(&self.words[at..], seed).map(|frame| frame.words().len());
        Ok(words.map(|length| at..at + length).map_err(Refusal::from))
    }

    /// Where in the words at hand the next entry begins, if all of it must be there.
    fn in_words(&self, entry_words: u64) -> Option<usize> {
        let at = (self.offset - self.words_at) / 8;
        let have = self.words.len() as u64;
        let all = (self.segment.bytes() - self.words_at) / 8 == have;
        (have > 0 && (all || at + entry_words <= have)).then_some((at as usize).min(have as usize))
    }
}
