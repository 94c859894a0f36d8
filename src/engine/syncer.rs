//! The thread that syncs: what shards have written down is made durable here, so that no shard
//! waits for a disk. There is one where a loss of power is to be survived, and none elsewhere.

use super::EngineError;
use super::core::CoreDuty;
use crate::cpu::Bell;
use crate::shard::REQUESTS_MAX;
use crossbeam::channel::bounded;
use std::thread::JoinHandle;

/// Starts the thread; it ends when all the cores are gone. `bells` are those of the cores' threads,
/// in their order.
pub(super) fn start<'c>(
    cores: impl ExactSizeIterator<Item = &'c mut Box<dyn CoreDuty>>,
    bells: &[Bell],
) -> Result<JoinHandle<()>, EngineError> {
    // There is room for all that can be asked for: no shard ever waits for it.
    let (sender, requests) = bounded(cores.len() * REQUESTS_MAX);
    for (core, bell) in cores.zip(bells.iter().cycle()) {
        core.sync_with(sender.clone(), bell.clone());
    }
    std::thread::Builder::new()
        .name("tidewheel-sync".to_owned())
        .spawn(move || {
            for request in requests {
                request.fulfil();
            }
        })
        .map_err(|error| EngineError::NoThread {
            thread: "the syncs".to_owned(),
            reason: error.to_string(),
        })
}
