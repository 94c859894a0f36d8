//! A crew on a plain thread: its tasks in turn, and a nap when none has anything to do.

use super::EngineError;
use super::crew::Crew;
use crate::cpu::{Bell, IdlePolicy, IdleState, IdleStep, StopReason, StopSignal};
use crate::shard::Progress;

/// Steps every task once.
pub(super) fn step_all(crew: &mut Crew) -> Result<Progress, EngineError> {
    let mut all = Progress::Finished;
    for task in 0..crew.tasks() {
        all = all.and(crew.step(task)?);
    }
    Ok(all)
}

/// Runs a crew to its end, or until another has failed.
pub(super) fn run(
    crew: &mut Crew,
    idle: IdlePolicy,
    bell: &Bell,
    stop: &StopSignal,
) -> Result<(), EngineError> {
    let mut listener = bell.listen().expect("a thread's bell has one listener, its own thread");
    let mut idle = IdleState::new(idle, crew.shards());
    loop {
        if stop.reason() == Some(StopReason::Failed) {
            return Ok(());
        }
        match step_all(crew)? {
            Progress::Finished => return Ok(()),
            Progress::Worked => {
                idle.reset();
                continue;
            }
            Progress::Idle | Progress::Blocked => {}
        }
        match idle.next_step() {
            IdleStep::Spin => std::hint::spin_loop(),
            IdleStep::Park(timeout) => {
                let nap = listener.prepare();
                match step_all(crew)? {
                    Progress::Worked => idle.reset(),
                    Progress::Finished => return Ok(()),
                    Progress::Idle | Progress::Blocked => {
                        if stop.reason() != Some(StopReason::Failed) {
                            nap.sleep(timeout);
                        }
                    }
                }
            }
        }
    }
}
