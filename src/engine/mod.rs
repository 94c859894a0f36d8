//! The engine: what a program describes with a [`Stream`] is checked, assembled from rings,
//! intakes and shards, and run: by pinned executors, by plain threads, or step by step on the
//! caller's own.
//!
//! May use every room below. Everything that can be wrong with a description is said by
//! [`Pipeline::open`], before anything runs.

mod assembly;
mod core;
mod crew;
mod durable;
mod error;
#[cfg(all(target_os = "linux", feature = "glommio"))]
mod executors;
mod helpers;
mod rescale;
mod running;
mod runtime;
mod sinks;
mod stream;
mod threads;

pub use error::{EngineError, OpenError};
pub use running::{Running, Stopper};
pub use runtime::{Runtime, RuntimeChoice};
pub use sinks::{Discarding, ForEach, IntoResults, OpenSink};
pub use stream::{Aggregated, Pipeline, Stream, Windowed};

use self::core::CoreDuty;
use crate::cpu::{Bell, IdlePolicy, Placement, StopReason, StopSignal};
use crate::metrics::{MeterBoard, Metrics};
use crate::shard::{Progress, ReplayedRows};
#[cfg(doc)]
use crate::state::Durability;
use crate::state::StateDirectory;
use crate::time::{EventTime, MonotonicNanos};
use std::sync::Arc;

/// An engine that is assembled and has not run yet.
///
/// [`Engine::start`] gives every shard a thread; [`Engine::step`] drives the same parts by hand.
pub struct Engine {
    cores: Vec<Box<dyn CoreDuty>>,
    /// One for each thread that is to step them.
    bells: Vec<Bell>,
    board: Arc<MeterBoard>,
    stop: StopSignal,
    settings: EngineSettings,
    state: Option<Arc<StateDirectory>>,
    /// When the step before ended; before the first, when the engine was assembled.
    last: MonotonicNanos,
    /// Whether a step began and did not come to its end.
    broken: bool,
}

/// What an engine is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineSettings {
    pub(crate) runtime: Runtime,
    pub(crate) placement: Placement,
    pub(crate) idle: IdlePolicy,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("shards", &self.cores.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Runs the engine: one thread a shard, named `tidewheel-0`, `tidewheel-1` and so on, and no
    /// other threads, but for one named `tidewheel-segments` where there is state, and one named
    /// `tidewheel-sync` with [`Durability::Disk`]. Where there are more shards than CPUs that the
    /// process may use, there are as many threads as CPUs, and each has several shards.
    ///
    /// # Errors
    /// When the runtime that was asked for is refused by this machine, or a thread can not be
    /// started.
    pub fn start(self) -> Result<Running, EngineError> {
        running::start(self)
    }

    /// Runs every part once on the calling thread. To be called until it says
    /// [`Progress::Finished`].
    ///
    /// # Errors
    /// When a source or a shard can not go on, and ever after; ever after a panic, too.
    pub fn step(&mut self) -> Result<Progress, EngineError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(EngineError::Broken);
        }
        let mut all = Progress::Finished;
        for core in &mut self.cores {
            for task in 0..core.tasks() {
                all = all.and(core.step(task, &mut self.last)?);
            }
        }
        self.broken = false;
        Ok(all)
    }

    /// Stops reading. Open windows come out marked as interrupted; go on stepping until
    /// [`Progress::Finished`].
    pub fn stop(&self) {
        self.stop.raise(StopReason::Requested);
    }

    /// Shows the rows that shards take again of their logs, entry by entry, before they are folded.
    /// To be called before the first step. See [`Pipeline::replay`].
    pub fn observe_replay(
        &mut self,
        observer: impl FnMut(&ReplayedRows<'_>) + Clone + Send + 'static,
    ) {
        for core in &mut self.cores {
            core.observe_replay(Box::new(observer.clone()));
        }
    }

    /// Windows that start before this may hold rows already, in some shard; `None` where no window
    /// does. Before the first step of a [replay](Pipeline::replay) these are of snapshots, and all
    /// rows of later windows are in what is taken again.
    pub fn holds_until(&self) -> Option<EventTime> {
        self.cores.iter().filter_map(|core| core.holds_until()).max()
    }

    /// The state directory, where there is one. It stays locked as long as anyone has it.
    pub fn state(&self) -> Option<&Arc<StateDirectory>> {
        self.state.as_ref()
    }

    /// What has been counted so far.
    pub fn metrics(&self) -> Metrics {
        self.board.snapshot()
    }
}
