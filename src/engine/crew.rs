//! A crew: the cores that one thread steps. Where there are more shards than CPUs, several share a
//! thread, which costs less than threads that share a CPU: those wait for each other by the
//! scheduler's slices.

use super::EngineError;
use super::core::CoreDuty;
use super::running::message_of;
use crate::cpu::{IdlePolicy, IdleState, IdleStep, StopReason, StopSignal};
use crate::shard::Progress;
use crate::time::MonotonicNanos;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

struct Member {
    shard: usize,
    core: Box<dyn CoreDuty>,
}

impl Member {
    /// One step of a task. A panic is this shard's, whoever shares its thread.
    fn step(&mut self, task: usize, last: &mut MonotonicNanos) -> Result<Progress, EngineError> {
        let Self { shard, core } = self;
        catch_unwind(AssertUnwindSafe(|| core.step(task, last))).unwrap_or_else(|panic| {
            Err(EngineError::Panicked { shard: *shard, message: message_of(&*panic) })
        })
    }
}

/// What a runtime knows of the cores on its thread.
pub(super) struct Crew {
    members: Vec<Member>,
    /// The members' sources: whose, and which of theirs.
    sources: Vec<(usize, usize)>,
    /// When the step before ended, whichever member's it was.
    last: MonotonicNanos,
}

/// Divides cores among threads, in turn. The threads' time counts from `now`.
pub(super) fn divide(
    cores: Vec<Box<dyn CoreDuty>>,
    threads: usize,
    now: MonotonicNanos,
) -> Vec<Crew> {
    let crew = || Crew { members: Vec::new(), sources: Vec::new(), last: now };
    let mut crews: Vec<Crew> = (0..threads).map(|_| crew()).collect();
    for (shard, core) in cores.into_iter().enumerate() {
        let Crew { members, sources, .. } = &mut crews[shard % threads];
        sources.extend((0..core.tasks() - 1).map(|source| (members.len(), source)));
        members.push(Member { shard, core });
    }
    crews
}

impl Crew {
    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.members.len()
    }

    /// How many tasks there are: one a source, then one for all shards together.
    pub(super) fn tasks(&self) -> usize {
        self.sources.len() + 1
    }

    /// One bounded step of a task.
    pub(super) fn step(&mut self, task: usize) -> Result<Progress, EngineError> {
        let Self { members, sources, last } = self;
        if let Some((member, source)) = sources.get(task) {
            return members[*member].step(*source, last);
        }
        let mut all = Progress::Finished;
        for member in members {
            let shard = member.core.tasks() - 1;
            all = all.and(member.step(shard, last)?);
        }
        Ok(all)
    }

    fn step_all(&mut self) -> Result<Progress, EngineError> {
        let mut all = Progress::Finished;
        for task in 0..self.tasks() {
            all = all.and(self.step(task)?);
        }
        Ok(all)
    }
}

/// What is to be done after a look at all tasks of a crew.
#[derive(Debug)]
pub(super) enum Turn {
    /// Another look.
    GoOn,
    /// Listen to the thread's bell, look once more, and sleep so long at most if all
    /// [is quiet](Shift::is_quiet) then.
    Listen(Duration),
    /// Nothing: the crew is at its end.
    End,
}

/// A crew at work: what the runtimes have in common. They differ in how they sleep.
pub(super) struct Shift<'s> {
    crew: Crew,
    idle: IdleState,
    stop: &'s StopSignal,
}

impl<'s> Shift<'s> {
    pub(super) fn new(crew: Crew, idle: IdlePolicy, stop: &'s StopSignal) -> Self {
        Self { idle: IdleState::new(idle, crew.shards()), crew, stop }
    }

    /// Steps every task once. The end has come, too, when another thread has failed.
    fn step(&mut self) -> Result<Progress, EngineError> {
        match self.stop.reason() {
            Some(StopReason::Failed) => Ok(Progress::Finished),
            _ => self.crew.step_all(),
        }
    }

    /// Steps every task once, and says how to go on.
    pub(super) fn turn(&mut self) -> Result<Turn, EngineError> {
        match self.step()? {
            Progress::Finished => return Ok(Turn::End),
            Progress::Worked => {
                self.idle.reset();
                return Ok(Turn::GoOn);
            }
            Progress::Idle | Progress::Blocked => {}
        }
        Ok(match self.idle.next_step() {
            IdleStep::Spin => {
                std::hint::spin_loop();
                Turn::GoOn
            }
            IdleStep::Park(timeout) => Turn::Listen(timeout),
        })
    }

    /// Steps every task once more, now that the bell is listened to: whether none has anything to
    /// do.
    pub(super) fn is_quiet(&mut self) -> Result<bool, EngineError> {
        match self.step()? {
            Progress::Idle | Progress::Blocked => Ok(true),
            Progress::Worked => {
                self.idle.reset();
                Ok(false)
            }
            // The next turn comes to it again.
            Progress::Finished => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Bell;
    use crate::shard::{CommitRequest, SegmentWork};
    use crossbeam::channel::Sender;
    use std::sync::{Arc, Mutex};

    /// Notes its steps; its last source panics when it has three of them.
    struct Noting {
        shard: usize,
        sources: usize,
        steps: Arc<Mutex<Vec<(usize, usize)>>>,
    }

    impl CoreDuty for Noting {
        fn tasks(&self) -> usize {
            self.sources + 1
        }

        fn step(&mut self, task: usize, _: &mut MonotonicNanos) -> Result<Progress, EngineError> {
            assert!(task != 2, "a source of shard {} fell over", self.shard);
            self.steps.lock().unwrap().push((self.shard, task));
            Ok(Progress::Idle)
        }

        fn sync_with(&mut self, _: Sender<CommitRequest>, _: Bell) {}

        fn make_segments_with(&mut self, _: Sender<SegmentWork>, _: Bell) {}

        fn observe_replay(&mut self, _: crate::shard::ReplayObserver) {}

        fn holds_until(&self) -> Option<crate::time::EventTime> {
            None
        }
    }

    #[test]
    fn every_source_and_every_shard_is_stepped_and_a_panic_is_its_own_shards() {
        let steps = Arc::new(Mutex::new(Vec::new()));
        let core = |(shard, sources)| {
            Box::new(Noting { shard, sources, steps: Arc::clone(&steps) }) as Box<dyn CoreDuty>
        };
        let cores = [1, 0, 1, 3, 0].into_iter().enumerate().map(core).collect();
        let mut crews = divide(cores, 2, MonotonicNanos(0));
        assert_eq!(crews.iter().map(Crew::shards).collect::<Vec<_>>(), [3, 2]);
        for task in 0..crews[0].tasks() {
            assert_eq!(crews[0].step(task).unwrap(), Progress::Idle);
        }
        // A source of shard 0 and one of shard 2, then all shards.
        let seen = std::mem::take(&mut *steps.lock().unwrap());
        assert_eq!(seen, [(0, 0), (2, 0), (0, 1), (2, 1), (4, 0)]);
        assert!(crews[1].step(0).is_ok() && crews[1].step(1).is_ok());
        let error = crews[1].step(2).unwrap_err().to_string();
        assert_eq!(error, "shard 3 panicked: a source of shard 3 fell over");
    }
}
