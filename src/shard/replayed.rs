//! What a shard takes again of its log, as it is shown to whoever wants to know of what records the
//! results are made.

use crate::frame::Frame;
use crate::log::EntrySequence;
use crate::record::ShardIndex;
use crate::time::Watermark;

/// Rows of an entry that a shard takes again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ReplayedRows<'f> {
    /// Which shard.
    pub shard: ShardIndex,
    /// The entry's number in the shard's log.
    pub entry: EntrySequence,
    /// The rows. The header says their source, and the number of the first in the source's lane.
    pub frame: Frame<'f>,
    /// The watermark by which they are judged: they are late for the windows that it had passed.
    pub judged_by: Watermark,
}

/// Is shown rows that are taken again.
pub type ReplayObserver = Box<dyn FnMut(&ReplayedRows<'_>) + Send>;
