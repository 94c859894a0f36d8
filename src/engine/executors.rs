//! A crew on an executor of glommio, as the one future of it. The one room that touches glommio,
//! so that a successor is one file's work.
//!
//! An executor of glommio 0.9 goes to sleep although tasks are ready, with nothing to wake it, when
//! its timer of preemption has run out before it comes to the first of them (glommio/glommio, pull
//! request 53): its thread had to wait for the CPU just then. So the timer is set to as good as
//! never; there is nobody to preempt the crew for.

use super::EngineError;
use super::crew::{Crew, Shift, Turn};
use super::running::message_of;
use crate::cpu::{Bell, Cpu, IdlePolicy, StopSignal};
use glommio::timer::Timer;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Bytes that an executor sets aside for its own file I/O.
const IO_MEMORY_BYTES: usize = 1 << 20;
/// After how long a task is preempted.
const PREEMPTION: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after the end of a sleep a second timer runs out. The first one is taken back when the
/// bell was rung, and should it run out in that very moment, it is taken for that of preemption.
const OVERSLEPT: Duration = Duration::from_millis(100);

/// Makes the executor of the calling thread, pinned when `cpu` says where.
pub(super) fn make(cpu: Option<Cpu>, name: &str) -> Result<LocalExecutor, String> {
    // An executor starts a thread of its own, and panics where it may not.
    let trial = std::thread::Builder::new().name(name.to_owned()).spawn(|| ());
    let trial = trial.map_err(|error| format!("an executor needs one more thread: {error}"))?;
    trial.join().map_err(|_| "a thread that does nothing panicked".to_owned())?;
    let placement = cpu.map_or(Placement::Unbound, |cpu| Placement::Fixed(cpu.0 as usize));
    let builder = LocalExecutorBuilder::new(placement)
        .name(name)
        .io_memory(IO_MEMORY_BYTES)
        .preempt_timer(PREEMPTION);
    match catch_unwind(AssertUnwindSafe(|| builder.make())) {
        Ok(made) => made.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("it panicked at its start: {}", message_of(&*panic))),
    }
}

/// Runs a crew to its end, or until another has failed.
pub(super) fn run(
    executor: &LocalExecutor,
    crew: Crew,
    idle: IdlePolicy,
    bell: &Bell,
    stop: &StopSignal,
) -> Result<(), EngineError> {
    executor.run(async {
        let mut listener = bell.listen().expect("a thread's bell has one listener, its own thread");
        let mut shift = Shift::new(crew, idle, stop);
        loop {
            match shift.turn()? {
                Turn::GoOn => {}
                Turn::End => return Ok(()),
                Turn::Listen(timeout) => {
                    let nap = listener.prepare();
                    if shift.is_quiet()? {
                        sleep(nap, timeout).await;
                    }
                }
            }
        }
    })
}

/// Waits for the bell, or for the time to pass.
async fn sleep(nap: impl Future<Output = ()>, timeout: Duration) {
    let mut nap = pin!(nap);
    let mut timer = pin!(Timer::new(timeout));
    let mut overslept = pin!(Timer::new(timeout + OVERSLEPT));
    poll_fn(|context| {
        let rung = nap.as_mut().poll(context).is_ready();
        // Whichever comes first is to wake the task, so all of them are asked.
        let over = timer.as_mut().poll(context).is_ready();
        let long_over = overslept.as_mut().poll(context).is_ready();
        if rung || over || long_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
