//! A state directory of fewer shards than there are to be now: its shards take again all that is
//! kept of them, and what they hold then is divided.

use super::OpenError;
use super::assembly::{Plan, shard_parts};
use super::durable::Durable;
use super::sinks::OpenSink;
use super::stream::Pipeline;
use crate::aggregate::Aggregate;
use crate::exchange::LaneEnd;
use crate::log::{Guarantee, LogFiles, WriterStart, begin_empty};
use crate::metrics::MeterBoard;
use crate::operator::Stage;
use crate::record::{Schema, ShardIndex};
use crate::shard::{Progress, RescaledShard, Shard, ShardParts, rescale};
use crate::sink::Discard;
use crate::state::{RescaleRefusal, SnapshotPlace, StateDirectory, StateError};
use crate::time::SystemClock;
use crate::window::StoreLimits;

impl<S, P, A, M> Plan<S, P, A, M>
where
    S: Schema,
    P: Stage<S>,
    A: Aggregate<<P::Out as Schema>::Row>,
    M: OpenSink<P::Out, A>,
{
    /// Divides what the shards of earlier runs hold, where there were fewer.
    ///
    /// # Errors
    /// When they can not be divided, or the directory can not be used.
    pub(super) fn rescale(&self) -> Result<(), OpenError> {
        let Some(state) = &self.pipeline.state else { return Ok(()) };
        let Some(was) =
            StateDirectory::shards_of(state.folder())?.filter(|was| *was != self.shards)
        else {
            return Ok(());
        };
        let refused = |refusal| StateError::Rescale {
            path: state.folder().display().to_string(),
            was,
            is: self.shards,
            refusal,
        };
        if was > self.shards {
            return Err(refused(RescaleRefusal::Fewer).into());
        }
        let sources = self.pipeline.stream.sources.len();
        let described = self.described(was).into_iter().chain(self.described_reading());
        let described: Vec<_> = described.collect();
        let Durable { directory, journals, .. } =
            Durable::look_at_last(state, &described, (was, sources))?;
        if state.keeps_history() {
            return Err(refused(RescaleRefusal::History).into());
        }
        let board = MeterBoard::new(vec![String::new(); sources], was);
        let (mut shards, mut before) = (Vec::new(), Vec::new());
        for (index, journal) in (0..).map(ShardIndex).zip(journals) {
            let mut shard = Shard::new(self.parts_of(index, &board), Some(journal))?;
            before.push(shard.taken());
            let clock = SystemClock::new();
            while shard.step(&mut [], &clock, false)? != Progress::Finished {}
            shards.push(shard);
        }
        let count = u16::try_from(self.shards).expect("shards are counted in 16 bits");
        let divided = rescale(&shards, &before, (count, self.pipeline.hasher))?;
        write(&directory, &divided.map_err(refused)?)?;
        Ok(())
    }

    /// A shard of earlier runs, that takes no more than is kept of it.
    fn parts_of(&self, index: ShardIndex, board: &MeterBoard) -> ShardParts<P::Out, A, Discard> {
        let Pipeline { stream, spec, aggregate, live_keys_max, .. } = &self.pipeline;
        let lanes = (0..stream.sources.len())
            .map(|source| (LaneEnd::Local(source), board.lane(source, index.index())));
        let limits = StoreLimits { live_keys_max: *live_keys_max, ..StoreLimits::default() };
        let sink = Discard::new(board.sink(index.index()));
        let sink = sink.taking_late(self.pipeline.sink.takes_late());
        shard_parts(stream, (*spec, aggregate, limits), (index, lanes.collect(), sink), board)
    }
}

/// Has the directory switch over to what its shards hold.
fn write(directory: &StateDirectory, shards: &[RescaledShard]) -> Result<(), StateError> {
    let switch = directory.begin_switch()?;
    // How entries are promised is said anew by the run that comes.
    let files = LogFiles::new(switch.folder(), Guarantee::Process);
    for RescaledShard { start, words, outline } in shards {
        let WriterStart { segment, next, epoch, .. } = *start;
        let place = SnapshotPlace { shard: segment.shard, next, epoch };
        switch.snapshot(place, (words, *outline))?;
        begin_empty(&files, &WriterStart { guarantee: Guarantee::Process, ..*start })?;
    }
    switch.commit(shards.len())
}
