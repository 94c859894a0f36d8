//! Bringing back what an earlier run left: the state directory is opened, each shard's snapshot is
//! read, and its log behind that read through once; from that follows what each shard has taken and
//! where each source goes on. History is looked back on in the same way, from as far back as it is
//! kept, and nothing is changed then.

use super::OpenError;
use crate::cpu::Topology;
use crate::fault;
use crate::log::{
    Backing, EntrySequence, Guarantee, LogError, LogFiles, LogReader, SegmentName, WriterStart,
    drop_beyond, make_durable,
};
use crate::record::{NotSaved, ShardIndex, WordsReader};
use crate::shard::{Heard, IntakePlace, Journal, JournalParts};
use crate::state::{Durability, Snapshot, State, StateDirectory, StateError};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Opens a state directory for so many shards, and a source for each of `pushed`: whether its
    /// records come only once.
    pub(super) fn bring_back(
        state: State,
        described: Vec<(String, String)>,
        shards: usize,
        pushed: &[bool],
    ) -> Result<Self, OpenError> {
        let sources = pushed.len();
        let directory = Arc::new(StateDirectory::open(state, described)?);
        directory.begin_output(shards)?;
        let guarantee = match directory.durability() {
            Durability::Process => Guarantee::Process,
            Durability::Disk { .. } => Guarantee::Disk,
        };
        let files = Arc::new(LogFiles::new(directory.folder(), guarantee));
        let logs = at_once(indices(shards).collect(), |shard| {
            let part = (shard, guarantee, directory.snapshot(shard)?);
            look_through(&directory, &files, part, (shards, sources))
        })?;
        logs.iter().try_for_each(|parts| settle(&directory, &files, parts))?;
        let all: Vec<_> = logs.iter().map(|parts| parts.heard.clone()).collect();
        let run = logs.iter().map(|parts| parts.start.epoch).max().unwrap_or(0);
        let resumed =
            |(source, pushed): (usize, &bool)| resumption(&all, source, pushed.then_some(run));
        let sources: Vec<_> = pushed.iter().enumerate().map(resumed).collect();
        let closed: Vec<bool> = sources.iter().map(|source| source.ended).collect();
        let journals = logs
            .into_iter()
            .map(|parts| Journal::open(JournalParts { closed: closed.clone(), ..parts }))
            .collect::<Result<_, _>>()?;
        Ok(Self { directory, journals, sources })
    }

    /// Opens a state directory to take again what is kept of its history, of `only` this shard or
    /// of all. There are no sources.
    pub(super) fn look_back(
        state: &State,
        described: &[(String, String)],
        (shards, sources): (usize, usize),
        only: Option<ShardIndex>,
    ) -> Result<Self, OpenError> {
        Self::look(state, described, (shards, sources), (only, Base::Oldest))
    }

    /// Opens a state directory to take again what its shards hold now.
    pub(super) fn look_at_last(
        state: &State,
        described: &[(String, String)],
        parties: (usize, usize),
    ) -> Result<Self, OpenError> {
        Self::look(state, described, parties, (None, Base::Newest))
    }

    fn look(
        state: &State,
        described: &[(String, String)],
        (shards, sources): (usize, usize),
        (only, base): (Option<ShardIndex>, Base),
    ) -> Result<Self, OpenError> {
        let directory = Arc::new(StateDirectory::look_at(state.folder())?);
        directory.check(state, described)?;
        // Reading is the same whatever was promised when it was written.
        let guarantee = Guarantee::Disk;
        let files = Arc::new(LogFiles::new(directory.folder(), guarantee));
        let journal = |shard| {
            let snapshot = match base {
                Base::Oldest => oldest_base(&directory, &files, shard)?,
                Base::Newest => directory.snapshot(shard)?,
            };
            let part = (shard, guarantee, snapshot);
            let parts = look_through(&directory, &files, part, (shards, sources))?;
            Journal::open(JournalParts { is_history: true, ..parts })
        };
        let wanted = indices(shards).filter(|shard| only.is_none_or(|only| *shard == only));
        let journals = wanted.map(journal).collect::<Result<_, _>>()?;
        Ok(Self { directory, journals, sources: Vec::new() })
    }
}

/// From which snapshot a log is taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// From the oldest that it reaches back to.
    Oldest,
    /// From the one in force.
    Newest,
}

/// Does something for each of many, as many at a time as there are CPUs. The first error in their
/// order is told.
pub(super) fn at_once<T: Send, U: Send, E: Send>(
    all: Vec<T>,
    each: impl Fn(T) -> Result<U, E> + Sync,
) -> Result<Vec<U>, E> {
    let helpers = all.len().min(Topology::detect().cpu_count());
    let queue = Mutex::new(all.into_iter().enumerate());
    let work = || {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::iter::from_fn(next).map(|(at, it)| (at, each(it))).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        // Where no thread can be had, there is one less.
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (1..helpers).filter_map(start).collect();
        let mut done = work();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done.sort_unstable_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, did)| did).collect()
    })
}

fn indices(shards: usize) -> impl Iterator<Item = ShardIndex> {
    let shards = u16::try_from(shards).expect("shards are counted in 16 bits");
    (0..shards).map(ShardIndex)
}

/// The oldest snapshot that a shard's log reaches back to; `None` where it reaches to its start.
fn oldest_base(
    directory: &StateDirectory,
    files: &Arc<LogFiles>,
    shard: ShardIndex,
) -> Result<Option<Snapshot>, StateError> {
    let reader = LogReader::open(Arc::clone(files), shard, Some(directory.identity()))?;
    let oldest = reader.oldest()?;
    if oldest == Some(EntrySequence::default()) {
        return Ok(None);
    }
    let mut kept = directory.kept_snapshots(shard)?.into_iter();
    match kept.find(|next| oldest.is_some_and(|oldest| oldest <= *next)) {
        Some(next) => directory.kept_snapshot(shard, next).map(Some),
        None => directory.snapshot(shard),
    }
}

/// Reads a shard's log behind a snapshot: all of it is checked before any of it is believed.
fn look_through(
    directory: &Arc<StateDirectory>,
    files: &Arc<LogFiles>,
    (shard, guarantee, snapshot): (ShardIndex, Guarantee, Option<Snapshot>),
    (shards, sources): (usize, usize),
) -> Result<JournalParts, StateError> {
    let identity = directory.identity();
    let mut reader = LogReader::open(Arc::clone(files), shard, Some(identity))?;
    let mut heard = vec![Heard::default(); sources];
    if let Some(snapshot) = &snapshot {
        heard = Heard::restore_all(&mut WordsReader::new(&snapshot.words), sources)
            .map_err(|NotSaved| directory.not_a_snapshot(shard))?;
    }
    reader.pass_before(snapshot.as_ref().map(|snapshot| snapshot.next).unwrap_or_default())?;
    let mut logged = 0;
    while let Some(entry) = reader.read()? {
        let path = || files.path_of(entry.position.segment);
        let failed = |error| LogError::io(path(), "read an entry")(error);
        fault::point("recovery.read").map_err(failed)?;
        logged += size_of_val(entry.frame.words()) as u64;
        if let Some(source) = heard.get_mut(usize::from(entry.frame.header().partition)) {
            source.hear(entry.frame);
        }
    }
    let end = reader.into_end();
    let epoch = end.epoch.map_or(0, |epoch| epoch + 1);
    let segment = SegmentName { shard, number: 0 };
    let segment_bytes = directory.segment_bytes();
    let start = WriterStart { segment, next: end.next, identity, guarantee, epoch, segment_bytes };
    Ok(JournalParts {
        directory: Arc::clone(directory),
        shards,
        files: Arc::clone(files),
        snapshot,
        logged,
        end,
        start,
        heard,
        closed: Vec::new(),
        is_history: false,
    })
}

/// What was read counts from here on.
fn settle(
    directory: &StateDirectory,
    files: &LogFiles,
    parts: &JournalParts,
) -> Result<(), StateError> {
    drop_beyond(files, &parts.end)?;
    directory.forget_leftovers(parts.start.segment.shard, parts.snapshot.as_ref())?;
    if parts.start.guarantee == Guarantee::Disk {
        make_durable(files, &parts.end)?;
        directory.make_durable(parts.start.segment.shard)?;
    }
    Ok(())
}

/// A source goes on where the shard stood that had heard least: the others know what they have. One
/// that is not read again, but `pushed` in such a run, goes on behind all of them.
fn resumption(shards: &[Vec<Heard>], source: usize, pushed: Option<u64>) -> Resumption {
    let heard = || shards.iter().map(|shard| &shard[source]);
    let ended = heard().all(|heard| heard.ended);
    let places = heard().map(|heard| heard.place.clone().unwrap_or_default());
    let further =
        |one: IntakePlace, other: IntakePlace| match other.is_before(&one) == pushed.is_some() {
            true => one,
            false => other,
        };
    let place = places.reduce(further).unwrap_or_default();
    let place = match pushed {
        Some(run) => place.behind_all(heard().map(|heard| heard.rows).collect(), run),
        None => place,
    };
    Resumption { place, ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_at_once_comes_in_its_order_and_the_first_error_is_told() {
        for count in [0, 1, 2, 100] {
            let done = at_once((0..count).collect(), |at| Ok::<u64, u64>(at * 2));
            assert_eq!(done, Ok((0..count).map(|at| at * 2).collect()));
        }
        let odd = |at: u64| if at % 2 == 1 { Err(at) } else { Ok(at) };
        assert_eq!(at_once((0..50).collect(), odd), Err(1));
    }
}
