//! What a shard has others do about its log's segments: they are made and removed by a thread that
//! may block.

use crate::cpu::Bell;
use crate::log::{LogFiles, SegmentRequest};

/// Something to be done about the segments of a shard's log.
#[derive(Debug)]
pub struct SegmentWork {
    pub(super) request: SegmentRequest<LogFiles>,
    pub(super) bell: Bell,
}

impl SegmentWork {
    /// Does it, which blocks, and wakes the shard, which may wait for its end. `free`: whether
    /// there is a CPU for that on which no shard runs.
    pub fn fulfil(self, free: bool) {
        self.request.fulfil(free);
        self.bell.ring();
    }
}
