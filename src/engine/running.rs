//! A running engine: its threads, and the handle that a program holds. No type parameters here.

use super::crew::{self, Crew};
use super::runtime::RuntimeChoice;
use super::{Engine, EngineError, helpers, threads};
use crate::cpu::{Bell, Cpu, IdlePolicy, StopReason, StopSignal, Topology, pin_current_thread};
use crate::metrics::{MeterBoard, Metrics};
use crate::shard::ShardError;
use crate::state::{Durability, StateDirectory};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

/// A running engine. Dropped without [`Running::join`], it is stopped at once and what its
/// windows hold is lost.
#[derive(Debug)]
pub struct Running {
    threads: Vec<JoinHandle<Result<(), EngineError>>>,
    stopper: Stopper,
    board: Arc<MeterBoard>,
    choice: RuntimeChoice,
    /// The threads that do what blocks, where there is state. They end after the others.
    helpers: Vec<JoinHandle<()>>,
    /// Keeps the state directory locked.
    _state: Option<Arc<StateDirectory>>,
}

/// Tells a running engine to stop. Clones tell the same engine; any thread may.
#[derive(Clone, Debug)]
pub struct Stopper {
    stop: StopSignal,
    bells: Vec<Bell>,
}

impl Stopper {
    /// Stops reading: open windows come out marked as interrupted, then the engine ends.
    pub fn stop(&self) {
        self.raise(StopReason::Requested);
    }

    fn raise(&self, reason: StopReason) {
        self.stop.raise(reason);
        self.bells.iter().for_each(Bell::ring);
    }
}

/// One thread, before it is started.
struct Start {
    thread: usize,
    crew: Crew,
    cpu: Option<Cpu>,
    idle: IdlePolicy,
    stopper: Stopper,
    glommio: bool,
    started: Announcement,
}

/// Says, exactly once, that a thread has started, and why it runs without glommio when it should
/// run with it.
struct Announcement(Option<mpsc::Sender<Option<String>>>);

impl Announcement {
    fn say(&mut self, refusal: Option<String>) {
        if let Some(sender) = self.0.take() {
            // Nobody listens once the start has failed elsewhere.
            let _ = sender.send(refusal);
        }
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.say(None);
    }
}

pub(super) fn start(engine: Engine) -> Result<Running, EngineError> {
    let Engine { mut cores, bells, board, stop, settings, state, last, broken } = engine;
    if broken {
        return Err(EngineError::Broken);
    }
    let mut choice =
        RuntimeChoice::choose(settings.runtime).map_err(EngineError::RuntimeRefused)?;
    let topology = Topology::detect();
    let stopper = Stopper { stop, bells };
    let (started, starts) = mpsc::channel();
    let mut helpers = Vec::new();
    if let Some(state) = &state {
        helpers.push(helpers::start_segments(cores.iter_mut(), &stopper.bells)?);
        if state.durability() != Durability::Process {
            helpers.push(helpers::start_syncer(cores.iter_mut(), &stopper.bells)?);
        }
    }
    let (threads, first_choice) = (Vec::new(), choice.clone());
    let mut running =
        Running { threads, stopper, board, choice: first_choice, helpers, _state: state };
    let threads = running.stopper.bells.len();
    running.board.set_threads(threads);
    for (thread, crew) in crew::divide(cores, threads, last).into_iter().enumerate() {
        let start = Start {
            thread,
            crew,
            cpu: settings.placement.cpu_of(thread, &topology),
            idle: settings.idle,
            stopper: running.stopper.clone(),
            glommio: choice.glommio,
            started: Announcement(Some(started.clone())),
        };
        let started = std::thread::Builder::new()
            .name(format!("tidewheel-{thread}"))
            .spawn(move || start.run())
            .map_err(|error| EngineError::NoThread {
                thread: format!("shard {thread}"),
                reason: error.to_string(),
            })?;
        running.threads.push(started);
    }
    for refusal in starts.iter().take(running.threads.len()).flatten() {
        choice = RuntimeChoice { glommio: false, reason: refusal };
    }
    running.choice = choice;
    Ok(running)
}

impl Start {
    /// The thread's whole life.
    fn run(self) -> Result<(), EngineError> {
        let (shard, stopper) = (self.thread, self.stopper.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run_crew())).unwrap_or_else(|panic| {
            Err(EngineError::Panicked { shard, message: message_of(&*panic) })
        });
        if outcome.is_err() {
            stopper.raise(StopReason::Failed);
        }
        outcome
    }

    fn run_crew(mut self) -> Result<(), EngineError> {
        #[cfg(all(target_os = "linux", feature = "glommio"))]
        if self.glommio {
            match super::executors::make(self.cpu, &format!("tidewheel-{}", self.thread)) {
                Ok(executor) => {
                    self.started.say(None);
                    let bell = &self.stopper.bells[self.thread];
                    return super::executors::run(
                        &executor,
                        self.crew,
                        self.idle,
                        bell,
                        &self.stopper.stop,
                    );
                }
                Err(reason) => self.started.say(Some(reason)),
            }
        }
        debug_assert!(cfg!(feature = "glommio") || !self.glommio);
        self.started.say(None);
        if let Some(cpu) = self.cpu {
            // A platform that does not pin threads runs them unpinned.
            let _ = pin_current_thread(cpu);
        }
        let bell = &self.stopper.bells[self.thread];
        threads::run(self.crew, self.idle, bell, &self.stopper.stop)
    }
}

/// The outcome of two threads. That a source went away is what another thread's end looks like
/// from outside; that thread knows why.
fn first_cause(
    one: Result<(), EngineError>,
    other: Result<(), EngineError>,
) -> Result<(), EngineError> {
    match (&one, &other) {
        (Err(EngineError::Shard(ShardError::SourceGone { .. })), Err(_)) => other,
        _ => one.and(other),
    }
}

pub(super) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

impl Running {
    /// Which runtime runs, and why.
    pub fn runtime(&self) -> &RuntimeChoice {
        &self.choice
    }

    /// What has been counted so far. Does not disturb the engine.
    pub fn metrics(&self) -> Metrics {
        self.board.snapshot()
    }

    /// A way to stop the engine from elsewhere, a signal handler's thread say.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Whether all threads have ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for the end. Where results go to a handle, poll them to their end first: an engine
    /// whose results nobody takes stands still.
    ///
    /// # Errors
    /// The error of the source or the shard that the engine stopped with.
    pub fn join(mut self) -> Result<Metrics, EngineError> {
        let mut outcome = Ok(());
        for (shard, thread) in std::mem::take(&mut self.threads).into_iter().enumerate() {
            let ended = thread.join().unwrap_or_else(|panic| {
                Err(EngineError::Panicked { shard, message: message_of(&*panic) })
            });
            outcome = first_cause(outcome, ended);
        }
        self.end_helpers();
        outcome.map(|()| self.metrics())
    }
}

impl Running {
    fn end_helpers(&mut self) {
        for helper in self.helpers.drain(..) {
            // What it was asked for it has done, or said that it could not.
            let _ = helper.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        self.stopper.raise(StopReason::Failed);
        for thread in self.threads.drain(..) {
            // Its error has nobody to go to.
            let _ = thread.join();
        }
        self.end_helpers();
    }
}
