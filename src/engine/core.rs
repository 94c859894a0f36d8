//! A core: one shard and the sources that share its thread. Its parts are stepped one at a time,
//! by whichever runtime holds it.

use super::EngineError;
use crate::aggregate::Aggregate;
use crate::cpu::{Bell, StopSignal};
use crate::metrics::{ShardMeter, SourceMeter};
use crate::operator::Stage;
use crate::record::Schema;
use crate::ring::LocalRing;
use crate::shard::{CommitRequest, Intake, Progress, ReplayObserver, SegmentWork, Shard};
use crate::sink::ResultSink;
use crate::time::{Clock, EventTime, MonotonicNanos, SystemClock};
use crossbeam::channel::Sender;
use std::sync::Arc;

/// What is known of a core by those who step it. Nothing here is called per record.
pub(super) trait CoreDuty: Send {
    /// How many tasks it has: its sources, then its shard.
    fn tasks(&self) -> usize;
    /// One bounded step of a task. `last` is when the thread's step before ended, of whichever
    /// core it was, and becomes when this one did.
    fn step(&mut self, task: usize, last: &mut MonotonicNanos) -> Result<Progress, EngineError>;
    /// Has another thread sync what the shard writes down; it rings this bell when it has.
    fn sync_with(&mut self, syncs: Sender<CommitRequest>, bell: Bell);
    /// Has another thread make and remove segments of the shard's log.
    fn make_segments_with(&mut self, work: Sender<SegmentWork>, bell: Bell);
    /// Shows the rows that the shard takes again.
    fn observe_replay(&mut self, observer: ReplayObserver);
    /// Windows of the shard that start before this may hold rows already.
    fn holds_until(&self) -> Option<EventTime>;
}

pub(super) struct Core<S: Schema, P: Stage<S>, A: Aggregate<<P::Out as Schema>::Row>, R> {
    pub(super) intakes: Vec<(Intake<S, P, A>, Arc<SourceMeter>)>,
    pub(super) shard: Shard<P::Out, A, R>,
    pub(super) shard_meter: Arc<ShardMeter>,
    /// The lanes from the core's sources to its own shard.
    pub(super) locals: Vec<LocalRing<u64>>,
    /// Whether a task had no room the last time that it was stepped.
    pub(super) blocked: bool,
    pub(super) clock: SystemClock,
    pub(super) stop: StopSignal,
}

impl<S: Schema, P: Stage<S>, A: Aggregate<<P::Out as Schema>::Row>, R> Core<S, P, A, R> {
    /// A core without sources.
    pub(super) fn new(
        shard: Shard<P::Out, A, R>,
        shard_meter: Arc<ShardMeter>,
        clock: SystemClock,
        stop: StopSignal,
    ) -> Self {
        let (intakes, locals) = (Vec::new(), Vec::new());
        Self { intakes, shard, shard_meter, locals, blocked: false, clock, stop }
    }
}

impl<S, P, A, R> CoreDuty for Core<S, P, A, R>
where
    S: Schema,
    P: Stage<S>,
    A: Aggregate<<P::Out as Schema>::Row>,
    R: ResultSink<P::Out, A>,
{
    fn tasks(&self) -> usize {
        self.intakes.len() + 1
    }

    fn step(&mut self, task: usize, last: &mut MonotonicNanos) -> Result<Progress, EngineError> {
        let before = self.clock.now();
        // Between two steps a thread only sleeps: for want of work, or of room.
        let slept = match self.blocked {
            true => &self.shard_meter.blocked_nanos,
            false => &self.shard_meter.idle_nanos,
        };
        slept.add(before.since(*last));
        let progress = match self.intakes.get_mut(task) {
            Some((intake, _)) => {
                let local = self.locals.get_mut(task);
                intake.step(local, &self.clock, self.stop.is_raised())?
            }
            None => self.shard.step(&mut self.locals, &self.clock, self.stop.is_raised())?,
        };
        let now = self.clock.now();
        let spent = now.since(before);
        self.blocked = (self.blocked && task > 0) || progress == Progress::Blocked;
        *last = now;
        match self.intakes.get(task) {
            Some((_, meter)) => match progress {
                Progress::Worked => meter.busy_nanos.add(spent),
                Progress::Blocked => meter.blocked_nanos.add(spent),
                Progress::Idle | Progress::Finished => meter.idle_nanos.add(spent),
            },
            None => match progress {
                Progress::Worked => self.shard_meter.busy_nanos.add(spent),
                Progress::Blocked => self.shard_meter.blocked_nanos.add(spent),
                Progress::Idle | Progress::Finished => self.shard_meter.idle_nanos.add(spent),
            },
        }
        Ok(progress)
    }

    fn sync_with(&mut self, syncs: Sender<CommitRequest>, bell: Bell) {
        self.shard.sync_with(syncs, bell);
    }

    fn make_segments_with(&mut self, work: Sender<SegmentWork>, bell: Bell) {
        self.shard.make_segments_with(work, bell);
    }

    fn observe_replay(&mut self, observer: ReplayObserver) {
        self.shard.observe_replay(observer);
    }

    fn holds_until(&self) -> Option<EventTime> {
        self.shard.holds_until()
    }
}
