//! Where results go: a callback on the shard's core, a handle that another thread polls, a count;
//! and from a handle into a result log, or a table.
//!
//! May use `window`, `aggregate`, `frame`, `ring`, `record`, `time`, `cpu`, `metrics`, `state`,
//! `log`, `fault` and `limits`. A sink never blocks: it says when it has no room, and the shard
//! waits.

mod callback;
mod handle;
mod lane;
mod log;
mod upsert;

pub use callback::{Callback, Discard};
pub(crate) use handle::Delivering;
pub use handle::{Output, Results};
pub use lane::{LATE_STREAM, LaneSink, RESULT_HEAD_WORDS};
pub(crate) use log::layout;
pub use log::{ResultLog, ResultLogError, ResultReader, is_result_log};
pub use upsert::{UpsertError, UpsertTable};

use crate::aggregate::Aggregate;
use crate::record::{KeyKind, Schema, ShardIndex};
use crate::time::Watermark;
use crate::window::{Fired, Flow, LateRow, Reason, Window};

/// A result: what an aggregate came to for one key in one window.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct WindowResult<K, V> {
    /// The window.
    pub window: Window,
    /// The key.
    pub key: K,
    /// What the aggregate came to.
    pub value: V,
    /// Why it came out now.
    pub reason: Reason,
    /// The merged watermark of its shard that closed the window; [`Watermark::END`] once all
    /// sources had ended, or the engine was stopped.
    pub watermark: Watermark,
    /// The shard that owns the key.
    pub shard: ShardIndex,
    /// The number of the result among those of its shard, from 0.
    pub sequence: u64,
}

/// A record that came after all its windows had closed.
#[derive(Debug)]
#[non_exhaustive]
pub struct LateRecord<'a, R: ?Sized> {
    /// The record.
    pub row: &'a R,
    /// What the row points to.
    pub heap: &'a [u8],
    /// The end of the last window that it would have counted in.
    pub window_end: i64,
    /// The watermark, of the record's own partition, that had passed that end.
    pub watermark: Watermark,
    /// The shard that owns the record's key.
    pub shard: ShardIndex,
    /// The number of the record among the late ones of its shard, from 0.
    pub sequence: u64,
}

/// So many results and late records of one shard, counted since its first run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputCounts {
    /// Results.
    pub results: u64,
    /// Late records.
    pub late: u64,
}

impl OutputCounts {
    /// Whether all of these are among the others.
    pub const fn are_within(self, others: Self) -> bool {
        self.results <= others.results && self.late <= others.late
    }
}

/// Takes the results of one shard.
pub trait ResultSink<S: Schema, A: Aggregate<S::Row>>: Send {
    /// The results of one closing.
    type Session<'a>: Session<S::Key, A::Partial>
    where
        Self: 'a;

    /// Begins to take results, all of windows that this merged watermark closed.
    fn session(&mut self, watermark: Watermark) -> Self::Session<'_>;
    /// Takes a late record. Never refuses: a shard brings those of one frame, then flushes.
    fn late(&mut self, schema: &S, late: &LateRow<'_, S::Row>);
    /// Lets out what waits. `false` when there is no room for all of it.
    fn flush(&mut self) -> bool;
    /// Says that nothing more will come. `false` when there is no room to say so.
    fn finish(&mut self) -> bool;
    /// What the sink has taken to bring it out. Late records that wait for [`ResultSink::flush`]
    /// may be missing, and those that nobody asked for are none of it.
    fn taken(&self) -> OutputCounts;
    /// What of it has reached those for whom it is, so that it need never come again.
    fn confirmed(&self) -> OutputCounts;
    /// Goes on behind what an earlier run brought out and had confirmed, and behind so many `late`
    /// records, brought out or not.
    fn resume(&mut self, behind: OutputCounts, late: u64);
    /// From now on nothing leaves before it [is let out](ResultSink::let_out). Called before
    /// anything is taken.
    fn hold(&mut self, schema: &S);
    /// All up to so many may leave.
    fn let_out(&mut self, until: OutputCounts);
}

/// The results of one closing on their way out.
pub trait Session<K: KeyKind, P> {
    /// Takes a result, or says that there is no room for it.
    fn emit(&mut self, fired: &Fired<'_, K, P>) -> Flow;
    /// Results taken since the start of the engine.
    fn results(&self) -> u64;
    /// Ends the session: what was taken is on its way.
    fn close(self);
}
