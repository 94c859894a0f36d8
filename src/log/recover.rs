//! What was read of a log counts from there on: what a loss of power has left behind its end goes,
//! and what was written without being synced is made durable before anything follows from it.

use super::backing::{Backing, Segment};
use super::error::LogError;
use super::reader::LogEnd;
use crate::fault;

/// Removes what a loss of power has left behind the end of a log, the last first: a log has no
/// gaps.
///
/// # Errors
/// When the system says no.
pub fn drop_beyond<B: Backing>(backing: &B, end: &LogEnd) -> Result<(), LogError> {
    for name in end.beyond.iter().rev() {
        let failed = LogError::io(backing.path_of(*name), "remove a segment behind the log's end");
        fault::point("recovery.drop").and_then(|()| backing.remove(*name)).map_err(failed)?;
    }
    Ok(())
}

/// What an earlier run has written and not synced is read, so it counts: it is made durable before
/// anything follows from it.
///
/// # Errors
/// When the system says no.
pub fn make_durable<B: Backing>(backing: &B, end: &LogEnd) -> Result<(), LogError> {
    for (name, _) in &end.segments {
        let failed = |action| LogError::io(backing.path_of(*name), action);
        let segment = backing.open(*name).map_err(failed("open"))?;
        let synced = fault::point("recovery.durable").and_then(|()| segment.syncer().sync());
        synced.map_err(failed("sync"))?;
    }
    Ok(())
}
