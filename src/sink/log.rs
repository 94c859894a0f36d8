//! The result log: results in a folder of their own, appended as the ring carries them, and each of
//! them once, however often the run is cut off.
//!
//! A frame of results carries the number of its first one and goes into the log whole or not at
//! all. So the end of the log says which results it holds, and what comes again is passed over, be
//! it a part of a frame. There is a log for each shard, of the same format as a shard's own, beside
//! a lock and a manifest as in a state directory. The manifest says what the results are of: all
//! that the state's manifest says, and which state that is.

use super::handle::{late, results};
use super::lane::{LATE_HEAD_WORDS, result_stride};
use super::{Output, OutputCounts, Results};
use crate::aggregate::Aggregate;
use crate::fault;
use crate::frame::{Frame, FrameHeader, FrameKind};
use crate::log::{
    EntrySequence, Guarantee, LogEnd, LogError, LogFiles, LogReader, LogWriter, SegmentName,
    WriterStart, drop_beyond, make_durable,
};
use crate::record::{KeyKind, Schema, ShardIndex};
use crate::state::{Delivery, Durability, OutputProgress, State, StateDirectory, StateError};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often at most it is noted in the state directory how far the log has come.
const NOTE_EVERY: Duration = Duration::from_millis(100);

/// What a result log's manifest begins with.
const CONTENTS: &str = "contents";
const RESULTS: &str = "results";
/// Of which state they are.
const STATE: &str = "state";

/// Why a result log can not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultLogError {
    /// Results of a run that nothing is kept of.
    #[error(
        "a result log goes on where a run was cut off, and this pipeline keeps no state to go on \
         from; give it a state directory (Pipeline::state)"
    )]
    NoState,
    /// Results may be lost, and a log has no gaps.
    #[error(
        "results are delivered at-most-once, so some may never come, and a result log holds all \
         of them, each once; say exactly-once"
    )]
    AtMostOnce,
    /// The folder holds something else.
    #[error("{path}: is the state of a pipeline and no result log; name another folder")]
    NotResults {
        /// The folder.
        path: String,
    },
    /// The log lacks results that were in it.
    #[error(
        "{path}: holds {holds} results and {late} late records of shard {}, and {} and {} were in \
         it: it was cut, or is of another time than the state; put it back as it was, or begin \
         anew with another folder and another state directory", shard.0, wanted.results, wanted.late
    )]
    Lost {
        /// The folder.
        path: String,
        /// The shard.
        shard: ShardIndex,
        /// Results that the log holds.
        holds: u64,
        /// Late records that it holds.
        late: u64,
        /// What was in it.
        wanted: OutputCounts,
    },
    /// The log was opened for another engine.
    #[error("the result log was opened for the results of another engine; open it with these")]
    OtherEngine,
    /// An earlier write failed.
    #[error("an earlier write into this result log failed; open it anew, with a new engine")]
    Broken,
    /// A file of it can not be used, or it is of another pipeline.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<LogError> for ResultLogError {
    fn from(error: LogError) -> Self {
        Self::State(error.into())
    }
}

/// What frames of a pipeline are laid out by, in the words of a manifest.
pub(crate) fn layout<S: Schema, A: Aggregate<S::Row>>(schema: &S) -> [(&'static str, String); 3] {
    [
        ("words of a row", schema.stride_words().to_string()),
        ("words of a key", S::Key::words().to_string()),
        ("bytes of a partial", size_of::<A::Partial>().to_string()),
    ]
}

/// A result log, to be appended to by [`Results::write_to`].
///
/// It lies in a folder of its own and belongs to one state directory. Whatever is in it stays. Late
/// records go into it, too, where the pipeline was asked for them.
#[derive(Debug)]
pub struct ResultLog {
    /// The log's own folder.
    directory: StateDirectory,
    files: Arc<LogFiles>,
    state: Arc<StateDirectory>,
    shards: Vec<ShardLog>,
    /// What the state directory says of how far the log has come, and since when.
    noted: (OutputProgress, Instant),
    is_broken: bool,
}

/// The log of one shard's results.
#[derive(Debug)]
struct ShardLog {
    start: WriterStart,
    writer: Option<LogWriter<LogFiles>>,
    holds: OutputCounts,
    is_synced: bool,
}

impl ResultLog {
    /// Opens the log in a folder, which is made if it is not there, for what comes out of
    /// `results`. It is read through, and all of it is checked.
    ///
    /// # Errors
    /// When the pipeline keeps no state, the folder holds something else or is in use, the log is
    /// of another pipeline or another state, damaged, or lacks results that were in it.
    pub fn open<S: Schema, A: Aggregate<S::Row>>(
        folder: impl Into<PathBuf>,
        results: &Results<S, A>,
    ) -> Result<Self, ResultLogError> {
        let folder = folder.into();
        let state = results.state().ok_or(ResultLogError::NoState)?;
        if state.delivery() == Delivery::AtMostOnce {
            return Err(ResultLogError::AtMostOnce);
        }
        refuse_state(&folder)?;
        let described = std::iter::once((CONTENTS.to_owned(), RESULTS.to_owned()))
            .chain(state.pipeline().iter().cloned())
            .chain([(STATE.to_owned(), format!("{:016x}", state.identity().0))]);
        let settings = State::in_directory(folder).durability(state.durability()).may_widen();
        let directory = StateDirectory::open(settings, described.collect())?;
        let guarantee = match directory.durability() {
            Durability::Process => Guarantee::Process,
            Durability::Disk { .. } => Guarantee::Disk,
        };
        let files = Arc::new(LogFiles::new(directory.folder(), guarantee));
        let shards = (0..).map(ShardIndex).take(results.shards());
        let shards = shards.map(|shard| ShardLog::open(&directory, &files, (shard, guarantee)));
        let shards = shards.collect::<Result<_, _>>()?;
        let noted = (OutputProgress::default(), Instant::now());
        let state = Arc::clone(state);
        let mut log = Self { directory, files, state, shards, noted, is_broken: false };
        log.refuse_lost(results)?;
        log.note()?;
        Ok(log)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.directory.folder()
    }

    /// What the log holds of a shard.
    ///
    /// # Panics
    /// When there is no such shard.
    pub fn holds(&self, shard: ShardIndex) -> OutputCounts {
        self.shards[shard.index()].holds
    }

    /// Refuses to go on with fewer results than the state says were in the log, or than its
    /// snapshots, after which they never come again.
    fn refuse_lost<S, A>(&self, coming: &Results<S, A>) -> Result<(), ResultLogError> {
        let noted = self.state.output_progress()?.unwrap_or_default();
        for (shard, log) in (0..).map(ShardIndex).zip(&self.shards) {
            let ((results, late), behind) = (noted.of(shard.index()), coming.behind(shard));
            let (results, late) = (results.max(behind.results), late.max(behind.late));
            let wanted = OutputCounts { results, late };
            if !wanted.are_within(log.holds) {
                return Err(self.lost(shard, wanted));
            }
        }
        Ok(())
    }

    fn lost(&self, shard: ShardIndex, wanted: OutputCounts) -> ResultLogError {
        let OutputCounts { results: holds, late } = self.holds(shard);
        let path = self.folder().display().to_string();
        ResultLogError::Lost { path, shard, holds, late, wanted }
    }

    /// Appends what is new of a frame; says how many of its rows the log holds already.
    fn take(&mut self, shard: ShardIndex, frame: Frame<'_>) -> Result<usize, ResultLogError> {
        let header = frame.header();
        let (first, count) = (header.lane_sequence, u64::from(header.count));
        let log = &mut self.shards[shard.index()];
        let mut holds = log.holds;
        let held = match header.kind() {
            Some(FrameKind::Partials) => &mut holds.results,
            _ => &mut holds.late,
        };
        if first > *held {
            // What is missing was confirmed once, or another reader took it.
            *held = first;
            return Err(self.lost(shard, holds));
        }
        let known = (*held - first).min(count);
        *held = (*held).max(first + count);
        if known < count {
            let path = || self.directory.folder().display().to_string();
            fault::point("results.append").map_err(LogError::io(path(), "append results to"))?;
            let trimmed = (known > 0).then(|| frame.without_first(known as usize));
            let frame = trimmed.as_deref().map_or(frame, Frame::trusted);
            log.writer(&self.files)?.append(frame)?;
            (log.holds, log.is_synced) = (holds, false);
        }
        Ok(known as usize)
    }

    /// Makes durable what was appended, where a loss of power is to be survived.
    fn sync(&mut self) -> Result<(), ResultLogError> {
        let path = || self.directory.folder().display().to_string();
        fault::point("results.written").map_err(LogError::io(path(), "sync"))?;
        for log in &mut self.shards {
            if log.is_synced || log.start.guarantee == Guarantee::Process {
                continue;
            }
            if let Some(writer) = &mut log.writer {
                let covered = writer.sync_point().sync()?;
                writer.mark_synced(covered)?;
            }
            log.is_synced = true;
        }
        Ok(())
    }

    /// Notes in the state directory how far the log has come: by that it is known again if the log
    /// loses something, or the state does.
    fn note(&mut self) -> Result<(), ResultLogError> {
        let mut now = OutputProgress::none(self.shards.len());
        for (shard, ShardLog { holds, .. }) in self.shards.iter().enumerate() {
            now.raise(shard, (holds.results, holds.late));
        }
        if now != self.noted.0 {
            self.state.set_output_progress(&now)?;
        }
        self.noted = (now, Instant::now());
        let path = || self.state.folder().display().to_string();
        let point = fault::point("results.noted");
        Ok(point.map_err(StateError::io(path(), "note the output in"))?)
    }
}

impl ShardLog {
    /// Reads a shard's log through, and goes on behind it.
    fn open(
        directory: &StateDirectory,
        files: &Arc<LogFiles>,
        (shard, guarantee): (ShardIndex, Guarantee),
    ) -> Result<Self, ResultLogError> {
        let (holds, end) = read_through(directory, files, shard, |_, _| Ok(()))?;
        drop_beyond(&**files, &end)?;
        if guarantee == Guarantee::Disk {
            make_durable(&**files, &end)?;
            directory.make_durable(shard)?;
        }
        let number = end.last.map_or(0, |last| last.number + 1);
        let start = WriterStart {
            segment: SegmentName { shard, number },
            next: end.next,
            identity: directory.identity(),
            guarantee,
            epoch: end.epoch.map_or(0, |epoch| epoch + 1),
            segment_bytes: directory.segment_bytes(),
        };
        Ok(Self { start, writer: None, holds, is_synced: true })
    }

    fn writer(&mut self, files: &Arc<LogFiles>) -> Result<&mut LogWriter<LogFiles>, LogError> {
        let begin = || LogWriter::begin(Arc::clone(files), self.start, [], VecDeque::new());
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => begin()?,
        };
        let writer = self.writer.insert(writer);
        // All of the log stays, so none of it is written anew.
        writer.forget_full();
        Ok(writer)
    }
}

/// Reads the log of a shard's results from its first entry to its end, frame by frame: `on_frame`
/// has those of results and late records. Says what there is of them.
fn read_through(
    directory: &StateDirectory,
    files: &Arc<LogFiles>,
    shard: ShardIndex,
    mut on_frame: impl FnMut(&StateDirectory, Frame<'_>) -> Result<(), ResultLogError>,
) -> Result<(OutputCounts, LogEnd), ResultLogError> {
    let mut reader = LogReader::open(Arc::clone(files), shard, Some(directory.identity()))?;
    reader.pass_before(EntrySequence::default())?;
    let mut holds = OutputCounts::default();
    while let Some(entry) = reader.read()? {
        let header = entry.frame.header();
        let held = match header.kind() {
            Some(FrameKind::Partials) => &mut holds.results,
            Some(FrameKind::Records) => &mut holds.late,
            _ => continue,
        };
        if header.lane_sequence != *held {
            let path = directory.folder().join(entry.position.segment.to_string());
            let problem = format!(
                "at byte {}: the numbers go on with {}, and {held} is due",
                entry.position.offset, header.lane_sequence
            );
            return Err(StateError::Damaged { path: path.display().to_string(), problem }.into());
        }
        *held += u64::from(header.count);
        on_frame(directory, entry.frame)?;
    }
    Ok((holds, reader.into_end()))
}

/// Refuses a folder with the state of a pipeline, before anything is written there.
fn refuse_state(folder: &Path) -> Result<(), ResultLogError> {
    let is_results = StateDirectory::described(folder, CONTENTS)?.as_deref() == Some(RESULTS);
    match is_results || !folder.join("manifest").exists() {
        true => Ok(()),
        false => Err(ResultLogError::NotResults { path: folder.display().to_string() }),
    }
}

/// Whether a folder holds a result log. It may be in use.
///
/// # Errors
/// When its manifest can not be read, or is damaged.
pub fn is_result_log(folder: &Path) -> Result<bool, StateError> {
    Ok(StateDirectory::described(folder, CONTENTS)?.as_deref() == Some(RESULTS))
}

impl<S: Schema, A: Aggregate<S::Row>> Results<S, A> {
    /// Appends to a result log what is there now, without waiting; syncs it with
    /// [`Durability::Disk`], and confirms it, at most ten times a second while more comes. Says how
    /// many results and late records are new in the log: those that come again are passed over.
    ///
    /// All results are to go this way: one that [`Results::poll`] takes is missing in the log.
    ///
    /// # Errors
    /// When the system says no, or results are missing between the log and these. Nothing more can
    /// be written then: what was not confirmed comes again from a new engine.
    pub fn write_to(&mut self, log: &mut ResultLog) -> Result<usize, ResultLogError> {
        if !self.state().is_some_and(|state| Arc::ptr_eq(state, &log.state)) {
            return Err(ResultLogError::OtherEngine);
        }
        if std::mem::replace(&mut log.is_broken, true) {
            return Err(ResultLogError::Broken);
        }
        let written = self.each_frame(|_, (shard, frame, taken)| {
            let shard = ShardIndex(u16::try_from(shard).expect("shards are counted in 16 bits"));
            let known = log.take(shard, frame)?;
            *taken = frame.header().count as usize;
            Ok::<_, ResultLogError>(known)
        })?;
        if written > 0 {
            log.sync()?;
        }
        if written == 0 || log.noted.1.elapsed() >= NOTE_EVERY || self.is_ended() {
            log.note()?;
            self.confirm();
        }
        log.is_broken = false;
        Ok(written)
    }
}

/// Reads a result log back.
#[derive(Debug)]
pub struct ResultReader<S, A> {
    schema: S,
    aggregate: A,
    directory: StateDirectory,
    files: Arc<LogFiles>,
    shards: u16,
}

impl<S: Schema, A: Aggregate<S::Row>> ResultReader<S, A> {
    /// Opens the log in a folder, of a pipeline whose windows are of records of this schema and
    /// have this aggregate. Nobody writes it meanwhile, and nothing is changed there.
    ///
    /// # Errors
    /// When the folder holds no result log or is in use, or the log's results are laid out
    /// otherwise.
    pub fn open(
        folder: impl Into<PathBuf>,
        schema: S,
        aggregate: A,
    ) -> Result<Self, ResultLogError> {
        let folder = folder.into();
        refuse_state(&folder)?;
        let directory = StateDirectory::look_at(&folder)?;
        let described = layout::<S, A>(&schema).map(|(what, value)| (what.to_owned(), value));
        directory.check(&State::in_directory(&folder), &described)?;
        let shards = StateDirectory::described(&folder, "shards")?;
        let shards = shards.and_then(|shards| shards.parse().ok()).unwrap_or(0);
        // Reading is the same whatever was promised when it was written.
        let files = Arc::new(LogFiles::new(&folder, Guarantee::Disk));
        Ok(Self { schema, aggregate, directory, files, shards })
    }

    /// How many shards the results are of.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// Hands over what the log holds, shard by shard, each in the order of its numbers; of `only`
    /// this shard or of all. A torn end, as a run leaves it that was killed, is passed over.
    ///
    /// # Errors
    /// When the system says no, or what is there can not be what was written.
    pub fn for_each(
        &self,
        only: Option<ShardIndex>,
        mut on_output: impl FnMut(Output<'_, <S::Key as KeyKind>::Ref<'_>, A::Output, S::Row>),
    ) -> Result<(), ResultLogError> {
        let Self { schema, aggregate, directory, files, .. } = self;
        for shard in (0..self.shards).map(ShardIndex) {
            if only.is_some_and(|only| only != shard) {
                continue;
            }
            read_through(directory, files, shard, |directory, frame| {
                self.refuse_layout(directory, frame.header())?;
                let next = (shard.index(), frame, &mut 0);
                match frame.header().kind() {
                    Some(FrameKind::Partials) => {
                        results(schema, aggregate, next, &mut |result| {
                            on_output(Output::Result(result));
                        });
                    }
                    _ => late(schema, next, &mut |late| on_output(Output::Late(late))),
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Refuses rows of another length than these are.
    fn refuse_layout(
        &self,
        directory: &StateDirectory,
        header: &FrameHeader,
    ) -> Result<(), StateError> {
        let due = match header.kind() {
            Some(FrameKind::Partials) => result_stride::<S::Key, A::Partial>(),
            _ => self.schema.stride_words() + LATE_HEAD_WORDS,
        };
        match usize::from(header.stride) == due {
            true => Ok(()),
            false => Err(StateError::Damaged {
                path: directory.folder().display().to_string(),
                problem: format!("rows of {} words, where {due} are due", header.stride),
            }),
        }
    }
}
