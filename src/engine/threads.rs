//! A crew on a plain thread: its tasks in turn, and a nap when none has anything to do.

use super::EngineError;
use super::crew::{Crew, Shift, Turn};
use crate::cpu::{Bell, IdlePolicy, StopSignal};

/// Runs a crew to its end, or until another has failed.
pub(super) fn run(
    crew: Crew,
    idle: IdlePolicy,
    bell: &Bell,
    stop: &StopSignal,
) -> Result<(), EngineError> {
    let mut listener = bell.listen().expect("a thread's bell has one listener, its own thread");
    let mut shift = Shift::new(crew, idle, stop);
    loop {
        match shift.turn()? {
            Turn::GoOn => {}
            Turn::End => return Ok(()),
            Turn::Listen(timeout) => {
                let nap = listener.prepare();
                if shift.is_quiet()? {
                    nap.sleep(timeout);
                }
            }
        }
    }
}
