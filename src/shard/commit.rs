//! Making durable what a shard has written down, where a loss of power is to be survived: results
//! leave once all that they follow from has been synced. The shard never waits for that. It asks
//! somebody else to sync, at most so often, and goes on; results that are not to leave yet wait in
//! their sink. A sync that fails is never tried again: what the disk holds is not known then.

use super::ShardError;
use crate::cpu::Bell;
use crate::log::{EntrySequence, LogFiles, SyncPoint};
use crate::record::ShardIndex;
use crate::sink::OutputCounts;
use crate::state::{SnapshotWriter, StateError};
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crate::time::{MonotonicNanos, Span};
use crossbeam::channel::Sender;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Places at which results wait. More are not told apart: results wait a little longer then.
const WAITING_MAX: usize = 64;
/// Requests of one shard that can be on their way at a time: entries, and a snapshot.
pub const REQUESTS_MAX: usize = 2;

/// Something to be synced, by whoever may block.
#[derive(Debug)]
pub struct CommitRequest {
    what: Durable,
    told: Arc<Told>,
    bell: Option<Bell>,
}

/// What is to become durable.
#[derive(Debug)]
enum Durable {
    Entries(SyncPoint<LogFiles>),
    Snapshot(SnapshotWriter),
}

/// What became of a shard's requests. Whoever syncs writes it, the shard reads it.
#[derive(Debug, Default)]
struct Told {
    /// The first entry that is not durable.
    covered: AtomicU64,
    /// Snapshots in force.
    snapshots: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<StateError>>,
}

impl CommitRequest {
    /// Syncs, which blocks, and tells the shard.
    pub fn fulfil(self) {
        let Self { what, told, bell } = self;
        let done = match what {
            Durable::Entries(point) => match point.sync() {
                Ok(covered) => {
                    told.covered.store(covered.0, Ordering::Release);
                    Ok(())
                }
                Err(error) => Err(error.into()),
            },
            Durable::Snapshot(writer) => writer.switch_durably().map(|()| {
                told.snapshots.fetch_add(1, Ordering::Release);
            }),
        };
        if let Err(error) = done {
            *told.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            told.failed.store(true, Ordering::Release);
        }
        if let Some(bell) = bell {
            bell.ring();
        }
    }
}

/// The commits of one shard.
#[derive(Debug)]
pub(super) struct Commits {
    shard: ShardIndex,
    /// How long at least between two requests, while there is other work.
    interval: Span,
    /// Who syncs; nobody but the shard itself in an engine that is stepped by hand.
    syncs: Option<(Sender<CommitRequest>, Bell)>,
    told: Arc<Told>,
    asked: MonotonicNanos,
    /// What the last request covers.
    asked_for: EntrySequence,
    /// Snapshots that were sent to be put in force.
    snapshots: u64,
    waiting: VecDeque<(EntrySequence, OutputCounts)>,
    seen: OutputCounts,
}

impl Commits {
    /// Commits of a log of which all before `next` is durable.
    pub(super) fn new(shard: ShardIndex, interval: Span, next: EntrySequence) -> Self {
        let told = Told { covered: AtomicU64::new(next.0), ..Told::default() };
        Self {
            shard,
            interval,
            syncs: None,
            told: Arc::new(told),
            asked: MonotonicNanos(0),
            asked_for: next,
            snapshots: 0,
            waiting: VecDeque::with_capacity(WAITING_MAX),
            seen: OutputCounts::default(),
        }
    }

    /// Has another thread sync, which rings this bell when it has.
    pub(super) fn sync_with(&mut self, syncs: Sender<CommitRequest>, bell: Bell) {
        self.syncs = Some((syncs, bell));
    }

    /// The first entry that is not durable.
    pub(super) fn covered(&self) -> Result<EntrySequence, ShardError> {
        if self.told.failed.load(Ordering::Acquire) {
            let mut failure = self.told.failure.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(error) = failure.take() {
                return Err(ShardError::State { shard: self.shard, error });
            }
        }
        Ok(EntrySequence(self.told.covered.load(Ordering::Acquire)))
    }

    /// Notes what has come out by now, of a log that has come to `next`: it waits until all of
    /// that is durable.
    pub(super) fn note(&mut self, taken: OutputCounts, next: EntrySequence) {
        if taken == self.seen {
            return;
        }
        self.seen = taken;
        let is_full = self.waiting.len() >= WAITING_MAX;
        match self.waiting.back_mut() {
            Some(last) if last.0 == next || is_full => *last = (next, taken),
            _ => self.waiting.push_back((next, taken)),
        }
    }

    /// What may leave, if that is more than before.
    pub(super) fn let_out(&mut self, covered: EntrySequence) -> Option<OutputCounts> {
        let mut out = None;
        while let Some((_, counts)) = self.waiting.front().filter(|(next, _)| *next <= covered) {
            out = Some(*counts);
            self.waiting.pop_front();
        }
        out
    }

    /// Whether the entries before `next` are to be synced now: if the last request is done, and
    /// some time ago unless there is nothing else to do.
    pub(super) fn is_due(
        &self,
        next: EntrySequence,
        covered: EntrySequence,
        (now, idle): (MonotonicNanos, bool),
    ) -> bool {
        let is_free = covered >= self.asked_for;
        let interval = self.interval.as_nanos().unsigned_abs();
        let is_time = || idle || now.since(self.asked) >= interval;
        next > covered && is_free && is_time()
    }

    /// Asks for entries to be synced.
    pub(super) fn ask(&mut self, point: SyncPoint<LogFiles>, now: MonotonicNanos) {
        self.asked = now;
        self.asked_for = point.covers();
        self.send(Durable::Entries(point));
    }

    /// Asks for a snapshot to be put in force.
    pub(super) fn ask_snapshot(&mut self, writer: SnapshotWriter) {
        self.snapshots += 1;
        self.send(Durable::Snapshot(writer));
    }

    /// Whether all snapshots that were sent are in force.
    pub(super) fn snapshots_are_in_force(&self) -> bool {
        self.told.snapshots.load(Ordering::Acquire) == self.snapshots
    }

    fn send(&self, what: Durable) {
        let told = Arc::clone(&self.told);
        match &self.syncs {
            None => CommitRequest { what, told, bell: None }.fulfil(),
            Some((syncs, bell)) => {
                let request = CommitRequest { what, told, bell: Some(bell.clone()) };
                // Whoever is gone has failed, and the engine stops.
                let _ = syncs.send(request);
            }
        }
    }
}
