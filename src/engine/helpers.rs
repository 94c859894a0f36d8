//! The threads that do what blocks, so that no shard waits for a disk. `tidewheel-sync` makes what
//! shards have written down durable, where a loss of power is to be survived. `tidewheel-segments`
//! makes segments of their logs before they are needed, and removes those that are needed no more,
//! wherever there is state; no sync waits for that, since these are two threads. It prefaults them
//! where it has a CPU on which no shard runs.

use super::EngineError;
use super::core::CoreDuty;
use crate::cpu::{Bell, Topology};
use crate::shard::{CommitRequest, REQUESTS_MAX, SegmentWork};
use crossbeam::channel::{Receiver, bounded, unbounded};
use std::thread::JoinHandle;

/// Starts the thread that syncs; it ends when all the cores are gone. `bells` are those of the
/// cores' threads, in their order.
pub(super) fn start_syncer<'c>(
    cores: impl ExactSizeIterator<Item = &'c mut Box<dyn CoreDuty>>,
    bells: &[Bell],
) -> Result<JoinHandle<()>, EngineError> {
    // There is room for all that can be asked for: no shard ever waits for it.
    let (sender, requests) = bounded(cores.len() * REQUESTS_MAX);
    for (core, bell) in cores.zip(bells.iter().cycle()) {
        core.sync_with(sender.clone(), bell.clone());
    }
    start(("sync", "the syncs"), requests, CommitRequest::fulfil)
}

/// Starts the thread that makes and removes segments; it ends when all the cores are gone.
pub(super) fn start_segments<'c>(
    cores: impl Iterator<Item = &'c mut Box<dyn CoreDuty>>,
    bells: &[Bell],
) -> Result<JoinHandle<()>, EngineError> {
    // There are never more requests than segments.
    let (sender, requests) = unbounded();
    for (core, bell) in cores.zip(bells.iter().cycle()) {
        core.make_segments_with(sender.clone(), bell.clone());
    }
    let free = Topology::detect().cpu_count() > bells.len();
    start(("segments", "the logs' segments"), requests, move |work: SegmentWork| work.fulfil(free))
}

fn start<T: Send + 'static>(
    (name, what): (&str, &str),
    requests: Receiver<T>,
    fulfil: impl Fn(T) + Send + 'static,
) -> Result<JoinHandle<()>, EngineError> {
    std::thread::Builder::new()
        .name(format!("tidewheel-{name}"))
        .spawn(move || requests.into_iter().for_each(fulfil))
        .map_err(|error| EngineError::NoThread {
            thread: what.to_owned(),
            reason: error.to_string(),
        })
}
