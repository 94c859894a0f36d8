//! Bringing back what an earlier run left: the state directory is opened, each shard's snapshot is
//! read, and its log behind that read through once; from that follows what each shard has taken and
//! where each source goes on.

use super::OpenError;
use crate::fault;
use crate::log::{
    Backing, Guarantee, LogEnd, LogError, LogFiles, LogReader, Segment, SegmentName, WriterStart,
};
use crate::record::{NotSaved, ShardIndex, WordsReader};
use crate::shard::{Heard, IntakePlace, Journal, JournalParts};
use crate::state::{Durability, State, StateDirectory, StateError};
use std::sync::Arc;

/// What an engine with state begins with.
pub(super) struct Durable {
    pub(super) directory: Arc<StateDirectory>,
    /// One a shard.
    pub(super) journals: Vec<Journal>,
    /// One a source.
    pub(super) sources: Vec<Resumption>,
}

/// Where a source goes on.
#[derive(Clone, Debug)]
pub(super) struct Resumption {
    pub(super) place: IntakePlace,
    /// Whether all shards have heard of its end.
    pub(super) ended: bool,
}

impl Durable {
    /// Opens a state directory for so many shards and sources.
    pub(super) fn bring_back(
        state: State,
        described: Vec<(String, String)>,
        (shards, sources): (usize, usize),
    ) -> Result<Self, OpenError> {
        let directory = Arc::new(StateDirectory::open(state, described)?);
        let guarantee = match directory.durability() {
            Durability::Process => Guarantee::Process,
            Durability::Disk { .. } => Guarantee::Disk,
        };
        let files = Arc::new(LogFiles::new(directory.folder(), guarantee));
        let (mut logs, mut all) = (Vec::new(), Vec::new());
        for shard in 0..shards {
            let shard = ShardIndex(u16::try_from(shard).expect("shards are counted in 16 bits"));
            let parts = look_through(&directory, &files, (shard, guarantee), sources)?;
            all.push(parts.heard.clone());
            logs.push(parts);
        }
        let sources: Vec<_> = (0..sources).map(|source| resumption(&all, source)).collect();
        let closed: Vec<bool> = sources.iter().map(|source| source.ended).collect();
        let journals = logs
            .into_iter()
            .map(|parts| Journal::open(JournalParts { closed: closed.clone(), ..parts }))
            .collect::<Result<_, _>>()?;
        Ok(Self { directory, journals, sources })
    }
}

/// Reads a shard's snapshot and the log behind it: all of it is checked before any of it is
/// believed.
fn look_through(
    directory: &Arc<StateDirectory>,
    files: &Arc<LogFiles>,
    (shard, guarantee): (ShardIndex, Guarantee),
    sources: usize,
) -> Result<JournalParts, StateError> {
    let identity = directory.identity();
    let snapshot = directory.snapshot(shard)?;
    let mut reader = LogReader::open(Arc::clone(files), shard, Some(identity))?;
    let mut heard = vec![Heard::default(); sources];
    if let Some(snapshot) = &snapshot {
        heard = Heard::restore_all(&mut WordsReader::new(&snapshot.words), sources)
            .map_err(|NotSaved| directory.not_a_snapshot(shard))?;
    }
    reader.pass_before(snapshot.as_ref().map(|snapshot| snapshot.next).unwrap_or_default())?;
    let mut logged = 0;
    while let Some(entry) = reader.read()? {
        let point = fault::point("recovery.read");
        point.map_err(LogError::io(files.path_of(entry.position.segment), "read an entry"))?;
        logged += size_of_val(entry.frame.words()) as u64;
        if let Some(source) = heard.get_mut(usize::from(entry.frame.header().partition)) {
            source.hear(entry.frame);
        }
    }
    let end = reader.into_end();
    let epoch = end.epoch.map_or(0, |epoch| epoch + 1);
    drop_beyond(files, &end)?;
    if guarantee == Guarantee::Disk {
        make_durable(files, &end)?;
        directory.make_durable(shard)?;
    }
    let segment = SegmentName { shard, number: 0 };
    let start = WriterStart { segment, next: end.next, identity, guarantee, epoch };
    let (directory, files) = (Arc::clone(directory), Arc::clone(files));
    let closed = Vec::new();
    Ok(JournalParts { directory, files, snapshot, logged, end, start, heard, closed })
}

/// Removes what a loss of power has left behind the end of a log, the last first: a log has no
/// gaps.
fn drop_beyond(files: &LogFiles, end: &LogEnd) -> Result<(), LogError> {
    for name in end.beyond.iter().rev() {
        let failed = LogError::io(files.path_of(*name), "remove a segment behind the log's end");
        fault::point("recovery.drop").and_then(|()| files.remove(*name)).map_err(failed)?;
    }
    Ok(())
}

/// What an earlier run has written and not synced is read, so it counts: it is made durable before
/// anything follows from it.
fn make_durable(files: &LogFiles, end: &LogEnd) -> Result<(), LogError> {
    for (name, _) in &end.segments {
        let failed = |action| LogError::io(files.path_of(*name), action);
        let segment = files.open(*name).map_err(failed("open"))?;
        let synced = fault::point("recovery.durable").and_then(|()| segment.syncer().sync());
        synced.map_err(failed("sync"))?;
    }
    Ok(())
}

/// A source goes on where the shard stood that had heard least: the others know what they have.
fn resumption(shards: &[Vec<Heard>], source: usize) -> Resumption {
    let heard = || shards.iter().map(|shard| &shard[source]);
    let ended = heard().all(|heard| heard.ended);
    let mut least =
        heard().map(|heard| heard.place.clone().unwrap_or_default()).reduce(|least, place| {
            match place.is_before(&least) {
                true => place,
                false => least,
            }
        });
    Resumption { place: least.take().unwrap_or_default(), ended }
}
