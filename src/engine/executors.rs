//! A crew on an executor of glommio: its sources and its shards are tasks. The one room that
//! touches glommio, so that a successor is one file's work.

use super::EngineError;
use super::crew::Crew;
use super::threads::step_all;
use crate::cpu::{Bell, Cpu, IdlePolicy, IdleState, IdleStep, StopReason, StopSignal};
use crate::shard::Progress;
use glommio::timer::Timer;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Bytes that an executor sets aside for its own file I/O.
const IO_MEMORY_BYTES: usize = 1 << 20;

/// Makes the executor of the calling thread, pinned when `cpu` says where.
pub(super) fn make(cpu: Option<Cpu>, name: &str) -> Result<LocalExecutor, String> {
    let placement = cpu.map_or(Placement::Unbound, |cpu| Placement::Fixed(cpu.0 as usize));
    LocalExecutorBuilder::new(placement)
        .name(name)
        .io_memory(IO_MEMORY_BYTES)
        .make()
        .map_err(|error| error.to_string())
}

/// What the tasks of one crew share.
struct Shared {
    crew: RefCell<Crew>,
    stop: StopSignal,
    /// Steps without work since the last one with.
    quiet: Cell<usize>,
    /// Tasks that wait for the crew to wake up.
    asleep: RefCell<Vec<Waker>>,
    failure: RefCell<Option<EngineError>>,
}

impl Shared {
    fn step(&self, task: usize) -> Progress {
        self.settle(|crew| crew.step(task))
    }

    fn step_all(&self) -> Progress {
        self.settle(step_all)
    }

    fn settle(&self, step: impl FnOnce(&mut Crew) -> Result<Progress, EngineError>) -> Progress {
        if self.stop.reason() == Some(StopReason::Failed) || self.failure.borrow().is_some() {
            return Progress::Finished;
        }
        let stepped = step(&mut self.crew.borrow_mut());
        match stepped {
            Ok(Progress::Worked) => {
                self.quiet.set(0);
                Progress::Worked
            }
            Ok(progress) => {
                self.quiet.set(self.quiet.get() + 1);
                progress
            }
            Err(error) => {
                self.failure.borrow_mut().get_or_insert(error);
                self.wake();
                Progress::Finished
            }
        }
    }

    fn wake(&self) {
        self.quiet.set(0);
        self.asleep.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// Waits until the crew wakes up.
    async fn sleep(&self) {
        let mut slept = false;
        poll_fn(|context| {
            if slept {
                return Poll::Ready(());
            }
            slept = true;
            self.asleep.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
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
    let (sources, shards) = (crew.tasks() - 1, crew.shards());
    let shared = Rc::new(Shared {
        crew: RefCell::new(crew),
        stop: stop.clone(),
        quiet: Cell::new(0),
        asleep: RefCell::default(),
        failure: RefCell::new(None),
    });
    executor.run(async {
        let tasks: Vec<_> = (0..sources)
            .map(|task| glommio::spawn_local(run_source(Rc::clone(&shared), task, sources)))
            .collect();
        run_shards(&shared, sources, IdleState::new(idle, shards), bell).await;
        shared.wake();
        for task in tasks {
            task.await;
        }
    });
    let failure = shared.failure.take();
    failure.map_or(Ok(()), Err)
}

/// A source's task. It sleeps while the whole crew is quiet; the shards' task wakes it.
async fn run_source(shared: Rc<Shared>, task: usize, sources: usize) {
    loop {
        match shared.step(task) {
            Progress::Finished => return,
            Progress::Worked => glommio::executor().yield_now().await,
            Progress::Idle | Progress::Blocked => {
                if shared.quiet.get() > sources {
                    shared.sleep().await;
                } else {
                    glommio::executor().yield_now().await;
                }
            }
        }
    }
}

/// The shards' task. While nothing moves it is the only one awake, and steps the others too.
async fn run_shards(shared: &Shared, task: usize, mut idle: IdleState, bell: &Bell) {
    let mut listener = bell.listen().expect("a thread's bell has one listener, its own task");
    loop {
        let progress = match shared.quiet.get() > task {
            true => shared.step_all(),
            false => shared.step(task),
        };
        match progress {
            Progress::Finished => return,
            Progress::Worked => {
                idle.reset();
                shared.wake();
                glommio::executor().yield_now().await;
                continue;
            }
            Progress::Idle | Progress::Blocked => {}
        }
        match idle.next_step() {
            IdleStep::Spin => glommio::executor().yield_now().await,
            IdleStep::Park(timeout) => {
                let nap = listener.prepare();
                match shared.step_all() {
                    Progress::Finished => return,
                    Progress::Worked => {
                        idle.reset();
                        shared.wake();
                    }
                    Progress::Idle | Progress::Blocked => either(nap, timeout).await,
                }
            }
        }
    }
}

/// Waits for the bell, or for the time to pass.
async fn either(nap: impl Future<Output = ()>, timeout: Duration) {
    let mut nap = pin!(nap);
    let mut timer = pin!(Timer::new(timeout));
    poll_fn(|context| match nap.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => timer.as_mut().poll(context).map(|_| ()),
    })
    .await;
}
