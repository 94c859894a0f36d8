//! The in-process handle that results are polled from, on any thread.

use super::lane::{Confirmation, LATE_HEAD_WORDS, LATE_STREAM, RESULT_HEAD_WORDS, result_stride};
use super::{LateRecord, OutputCounts, WindowResult};
use crate::aggregate::Aggregate;
use crate::cpu::{Bell, Listener};
use crate::frame::{Frame, FrameKind, HEADER_WORDS};
use crate::record::{KeyKind, Schema, ShardIndex};
use crate::ring::Consumer;
use crate::time::{EventTime, Watermark};
use crate::window::{Reason, Window};
use std::sync::Arc;
use std::time::Duration;

/// What comes out of an engine.
#[derive(Debug)]
pub enum Output<'a, K, V, R: ?Sized> {
    /// A window's result.
    Result(WindowResult<K, V>),
    /// A late record, when a late output was asked for.
    Late(LateRecord<'a, R>),
}

/// The results of an engine, shard by shard. Bounded: an engine whose results are not polled
/// stands still once the rings are full. Dropped: further results are counted and thrown away.
#[derive(Debug)]
pub struct Results<S, A> {
    schema: S,
    aggregate: A,
    lanes: Vec<ResultLane>,
    listener: Listener,
}

#[derive(Debug)]
struct ResultLane {
    consumer: Consumer<u64>,
    /// Wakes the shard's core when there is room again.
    bell: Bell,
    ended: bool,
    /// What was handed over.
    polled: OutputCounts,
    confirmation: Arc<Confirmation>,
}

impl ResultLane {
    /// Notes that a frame of so many results, or late records, was handed over.
    fn note(&mut self, kind: Option<FrameKind>, until: u64) {
        match kind {
            Some(FrameKind::Partials) => self.polled.results = until,
            Some(FrameKind::Records) => self.polled.late = until,
            _ => {}
        }
    }

    fn is_ended(&mut self) -> bool {
        self.ended || self.consumer.is_finished()
    }
}

impl<S: Schema, A: Aggregate<S::Row>> Results<S, A> {
    pub(crate) fn new(
        schema: S,
        aggregate: A,
        lanes: Vec<(Consumer<u64>, Bell, Arc<Confirmation>)>,
        listener: Listener,
    ) -> Self {
        let lanes = lanes.into_iter().map(|(consumer, bell, confirmation)| {
            let polled = OutputCounts::default();
            ResultLane { consumer, bell, ended: false, polled, confirmation }
        });
        let lanes = lanes.collect();
        Self { schema, aggregate, lanes, listener }
    }

    /// Hands over what is there now, without waiting, and not what comes meanwhile; says how many
    /// outputs that were.
    pub fn poll(
        &mut self,
        mut on_output: impl FnMut(Output<'_, <S::Key as KeyKind>::Ref<'_>, A::Output, S::Row>),
    ) -> usize {
        let mut outputs = 0;
        for shard in 0..self.lanes.len() {
            let mut there = self.lanes[shard].consumer.readable();
            while there > 0 {
                let Some(frame) = front(&mut self.lanes[shard].consumer) else { break };
                let words = frame.words().len();
                there = there.saturating_sub(words);
                let header = frame.header();
                let ended = header.kind() == Some(FrameKind::End);
                match header.kind() {
                    Some(FrameKind::Partials) => {
                        results(
                            &self.aggregate,
                            shard,
                            frame,
                            &mut |result| {
                                on_output(Output::Result(result));
                            },
                            &self.schema,
                        );
                    }
                    Some(FrameKind::Records) if header.stream == LATE_STREAM => {
                        late(&self.schema, (shard, frame), &mut |late| {
                            on_output(Output::Late(late));
                        });
                    }
                    _ => {}
                }
                outputs += header.count as usize;
                let (kind, until) = (header.kind(), header.lane_sequence + u64::from(header.count));
                let lane = &mut self.lanes[shard];
                lane.note(kind, until);
                lane.consumer.release(words);
                lane.ended |= ended;
                lane.bell.ring();
            }
        }
        outputs
    }

    /// Says that all that was handed over so far has reached those for whom it is, and need never
    /// come again. An engine with state keeps what it would need to bring it again until then, so
    /// its logs grow while nothing is confirmed; without state this does nothing.
    pub fn confirm(&mut self) {
        for lane in &mut self.lanes {
            lane.confirmation.raise(lane.polled);
        }
    }

    /// Whether everything has been handed over that ever will be.
    pub fn is_ended(&mut self) -> bool {
        self.lanes.iter_mut().all(ResultLane::is_ended)
    }

    /// Waits until there is something to poll or everything has ended, for `timeout` at most.
    pub fn wait(&mut self, timeout: Duration) {
        let nap = self.listener.prepare();
        let lanes = &mut self.lanes;
        let readable = lanes.iter_mut().any(|lane| lane.consumer.readable() != 0);
        if !readable && !lanes.iter_mut().all(ResultLane::is_ended) {
            nap.sleep(timeout);
        }
    }

    /// Hands over everything until the end, waiting as needed.
    pub fn for_each(
        &mut self,
        mut on_output: impl FnMut(Output<'_, <S::Key as KeyKind>::Ref<'_>, A::Output, S::Row>),
    ) {
        loop {
            if self.poll(&mut on_output) == 0 {
                if self.is_ended() {
                    return;
                }
                self.wait(Duration::from_millis(100));
            }
        }
    }
}

fn front(consumer: &mut Consumer<u64>) -> Option<Frame<'_>> {
    let words = Frame::words_of(consumer.front(HEADER_WORDS)?);
    consumer.front(words).map(Frame::trusted)
}

fn results<S: Schema, A: Aggregate<S::Row>>(
    aggregate: &A,
    shard: usize,
    frame: Frame<'_>,
    on_result: &mut impl FnMut(WindowResult<<S::Key as KeyKind>::Ref<'_>, A::Output>),
    _: &S,
) {
    let shard = ShardIndex(u16::try_from(shard).expect("shards are counted in 16 bits"));
    let stride = result_stride::<S::Key, A::Partial>();
    let first = frame.header().lane_sequence;
    for (row, sequence) in frame.rows().chunks_exact(stride).zip(first..) {
        let (key, partial) = row[RESULT_HEAD_WORDS..].split_at(S::Key::words());
        let bytes: &[u8] = bytemuck::cast_slice(partial);
        let partial: A::Partial = bytemuck::pod_read_unaligned(&bytes[..size_of::<A::Partial>()]);
        on_result(WindowResult {
            window: Window {
                start: EventTime::from_nanos(row[0].cast_signed()),
                end: EventTime::from_nanos(row[1].cast_signed()),
            },
            key: S::Key::read(key, frame.heap()),
            value: aggregate.lower(&partial),
            reason: Reason::from_raw(row[2]),
            shard,
            sequence,
        });
    }
}

fn late<S: Schema>(
    schema: &S,
    (shard, frame): (usize, Frame<'_>),
    on_late: &mut impl FnMut(LateRecord<'_, S::Row>),
) {
    let shard = ShardIndex(u16::try_from(shard).expect("shards are counted in 16 bits"));
    let stride = schema.stride_words() + LATE_HEAD_WORDS;
    let first = frame.header().lane_sequence;
    for (row, sequence) in frame.rows().chunks_exact(stride).zip(first..) {
        on_late(LateRecord {
            row: schema.view(&row[LATE_HEAD_WORDS..]),
            heap: frame.heap(),
            window_end: row[0].cast_signed(),
            watermark: Watermark::from_raw(row[1].cast_signed()),
            shard,
            sequence,
        });
    }
}
