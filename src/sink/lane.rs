//! Results on their way to another thread: frames of partials in a ring, late records among them.
//!
//! ```text
//!  a frame of results:  the header's watermark is the one that closed their windows
//!  a row of results:    | start | end | reason | key words .. | partial words .. |
//!  a row of late ones:  | window end | watermark | the record's own row ..       |
//! ```

use super::{OutputCounts, ResultSink, Session};
use crate::aggregate::Aggregate;
use crate::cpu::Bell;
use crate::exchange::FRAME_WORDS_MAX;
use crate::frame::{Extras, FrameHeader, FrameKind, FrameWriter, Tail};
use crate::metrics::SinkMeter;
use crate::record::{KeyKind, Schema};
use crate::ring::{Claim, Producer};
use crate::sync::{AtomicU64, Ordering};
use crate::time::Watermark;
use crate::window::{Fired, Flow, LateRow};
use std::sync::Arc;

/// Words of a row of results before its key: start, end and reason.
pub const RESULT_HEAD_WORDS: usize = 3;
/// Words of a row of late records before the record's own row: window end and watermark.
pub(super) const LATE_HEAD_WORDS: usize = 2;
/// The stream number of late records.
pub const LATE_STREAM: u16 = 1;

/// Words of a row of results.
pub(super) fn result_stride<K: KeyKind, P>() -> usize {
    RESULT_HEAD_WORDS + K::words() + size_of::<P>().div_ceil(8)
}

/// Counts that only rise; one side writes them, the other reads them.
#[derive(Debug)]
pub(super) struct Mark {
    results: AtomicU64,
    late: AtomicU64,
}

impl Mark {
    fn at(counts: OutputCounts) -> Self {
        let OutputCounts { results, late } = counts;
        Self { results: AtomicU64::new(results), late: AtomicU64::new(late) }
    }

    /// Raises it to so many.
    pub(super) fn raise(&self, counts: OutputCounts) {
        self.results.fetch_max(counts.results, Ordering::Release);
        self.late.fetch_max(counts.late, Ordering::Release);
    }

    fn set(&self, counts: OutputCounts) {
        self.results.store(counts.results, Ordering::Release);
        self.late.store(counts.late, Ordering::Release);
    }

    pub(super) fn get(&self) -> OutputCounts {
        let results = self.results.load(Ordering::Acquire);
        OutputCounts { results, late: self.late.load(Ordering::Acquire) }
    }
}

/// How far the results between a shard and their reader are let out and confirmed.
#[derive(Debug)]
pub(crate) struct OutputMarks {
    /// What the reader has confirmed.
    pub(super) confirmed: Mark,
    /// What the reader may take.
    pub(super) let_out: Mark,
    /// What is in the ring, or was.
    pub(super) sent: Mark,
}

impl OutputMarks {
    /// Nothing is confirmed, and nothing held.
    pub(super) fn new() -> Arc<Self> {
        let all = OutputCounts { results: u64::MAX, late: u64::MAX };
        let none = || Mark::at(OutputCounts::default());
        Arc::new(Self { confirmed: none(), let_out: Mark::at(all), sent: none() })
    }
}

/// Writes one shard's results into the ring to a [`Results`](super::Results) handle. When the
/// handle is gone, results are counted and dropped.
#[derive(Debug)]
pub struct LaneSink<S> {
    schema: S,
    producer: Producer<u64>,
    bell: Bell,
    tail: Tail,
    results: u64,
    keep_late: bool,
    late: LateBuffer,
    marks: Arc<OutputMarks>,
    meter: Arc<SinkMeter>,
}

/// Late records of one frame, until they find room.
#[derive(Debug, Default)]
struct LateBuffer {
    words: Vec<u64>,
    heap: Vec<u8>,
    /// Words already written into the ring.
    sent: usize,
    /// Records written into the ring since the start.
    records: u64,
}

impl<S: Schema> LaneSink<S> {
    /// Joins a shard to a handle. Late records go along if `keep_late`, else they are counted.
    pub fn new(
        schema: S,
        producer: Producer<u64>,
        bell: Bell,
        keep_late: bool,
        meter: Arc<SinkMeter>,
    ) -> Self {
        let (tail, late) = (Tail::default(), LateBuffer::default());
        let marks = OutputMarks::new();
        Self { schema, producer, bell, tail, results: 0, keep_late, late, marks, meter }
    }

    pub(crate) fn marks(&self) -> Arc<OutputMarks> {
        Arc::clone(&self.marks)
    }

    /// Moves late records into one frame, as many as fit. `false` when the ring is full.
    fn flush_late(&mut self) -> bool {
        let stride = self.schema.stride_words() + LATE_HEAD_WORDS;
        let Some(claim) = self.producer.claim(FRAME_WORDS_MAX) else {
            return false;
        };
        let mut header = FrameHeader::new(FrameKind::Records, Watermark::START);
        header.stream = LATE_STREAM;
        header.lane_sequence = self.late.records;
        let mut writer = FrameWriter::begin(claim, &mut self.tail, header, stride, Extras::NONE);
        for row in self.late.words[self.late.sent..].chunks_exact(stride) {
            let (head, own) = row.split_at(LATE_HEAD_WORDS);
            let record = self.schema.view(own);
            if !writer.has_room(self.schema.tail_bytes(record)) {
                break;
            }
            writer.push_with(|words, tail| {
                words[..LATE_HEAD_WORDS].copy_from_slice(head);
                self.schema.lay(record, &self.late.heap, &mut words[LATE_HEAD_WORDS..], tail);
            });
            self.late.sent += stride;
            self.late.records += 1;
        }
        let (claim, _, words) = writer.finish(Watermark::START, 0);
        claim.commit(words);
        self.marks.sent.raise(OutputCounts { results: self.results, late: self.late.records });
        self.bell.ring();
        true
    }
}

impl<S: Schema, A: Aggregate<S::Row>> ResultSink<S, A> for LaneSink<S> {
    type Session<'a> = LaneSession<'a>;

    fn session(&mut self, watermark: Watermark) -> LaneSession<'_> {
        let abandoned = self.producer.is_abandoned();
        let stride = result_stride::<S::Key, A::Partial>();
        let claim = self.producer.claim(FRAME_WORDS_MAX);
        let writer =
            claim.map(|claim| begin(claim, &mut self.tail, (watermark, self.results), stride));
        LaneSession {
            writer,
            watermark,
            bell: &self.bell,
            sent: &self.marks.sent,
            results: &mut self.results,
            abandoned,
            meter: &self.meter,
        }
    }

    fn late(&mut self, schema: &S, late: &LateRow<'_, S::Row>) {
        self.meter.late.add(1);
        if !self.keep_late || self.producer.is_abandoned() {
            return;
        }
        let buffer = &mut self.late;
        let start = buffer.words.len();
        buffer.words.push(late.window_end.cast_unsigned());
        buffer.words.push(late.watermark.to_raw().cast_unsigned());
        buffer.words.resize(start + LATE_HEAD_WORDS + schema.stride_words(), 0);
        let words = &mut buffer.words[start + LATE_HEAD_WORDS..];
        schema.lay(late.row, late.heap, words, &mut buffer.heap);
    }

    fn flush(&mut self) -> bool {
        while self.late.sent < self.late.words.len() {
            if self.producer.is_abandoned() {
                break;
            }
            if !self.flush_late() {
                return false;
            }
        }
        self.late.words.clear();
        self.late.heap.clear();
        self.late.sent = 0;
        true
    }

    fn finish(&mut self) -> bool {
        if self.producer.is_abandoned() {
            return true;
        }
        let Some(claim) = self.producer.claim(FRAME_WORDS_MAX) else {
            return false;
        };
        let header = FrameHeader::new(FrameKind::End, Watermark::END);
        let writer = FrameWriter::begin(claim, &mut self.tail, header, 0, Extras::NONE);
        let (claim, _, words) = writer.finish(Watermark::END, 0);
        claim.commit(words);
        self.bell.ring();
        true
    }

    fn taken(&self) -> OutputCounts {
        let late = if self.keep_late { self.late.records } else { 0 };
        OutputCounts { results: self.results, late }
    }

    fn confirmed(&self) -> OutputCounts {
        // A reader that has gone has confirmed no more than it said.
        self.marks.confirmed.get()
    }

    fn resume(&mut self, behind: OutputCounts, late: u64) {
        (self.results, self.late.records) = (behind.results, behind.late);
        self.marks.confirmed.raise(behind);
        self.meter.results.set(behind.results);
        self.meter.late.set(late);
        self.meter.handed.set(behind.results);
    }

    fn hold(&mut self, _: &S) {
        self.marks.let_out.set(ResultSink::<S, A>::taken(self));
    }

    fn let_out(&mut self, until: OutputCounts) {
        self.marks.let_out.raise(until);
        self.bell.ring();
    }
}

fn begin<'a>(
    claim: Claim<'a, u64>,
    tail: &'a mut Tail,
    (watermark, sequence): (Watermark, u64),
    stride: usize,
) -> FrameWriter<'a, Claim<'a, u64>> {
    let mut header = FrameHeader::new(FrameKind::Partials, watermark);
    header.lane_sequence = sequence;
    FrameWriter::begin(claim, tail, header, stride, Extras::NONE)
}

/// A session of a [`LaneSink`]: one frame under construction in the ring. It says that it is full
/// when the frame is; the next session may find room for another.
#[derive(Debug)]
pub struct LaneSession<'a> {
    /// `None` when the ring is full.
    writer: Option<FrameWriter<'a, Claim<'a, u64>>>,
    watermark: Watermark,
    bell: &'a Bell,
    sent: &'a Mark,
    results: &'a mut u64,
    abandoned: bool,
    meter: &'a SinkMeter,
}

impl<K: KeyKind, P: bytemuck::Pod> Session<K, P> for LaneSession<'_> {
    #[inline]
    fn emit(&mut self, fired: &Fired<'_, K, P>) -> Flow {
        if self.abandoned {
            *self.results += 1;
            return Flow::Taken;
        }
        let key_bytes = K::tail_bytes(fired.key);
        let Some(writer) = self.writer.as_mut().filter(|writer| writer.has_room(key_bytes)) else {
            return Flow::Full;
        };
        writer.push_with(|words, tail| {
            words[0] = fired.window.start.as_nanos().cast_unsigned();
            words[1] = fired.window.end.as_nanos().cast_unsigned();
            words[2] = fired.reason.to_raw();
            let (key, partial) = words[RESULT_HEAD_WORDS..].split_at_mut(K::words());
            K::lay(fired.key, key, tail);
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(partial);
            bytes[..size_of::<P>()].copy_from_slice(bytemuck::bytes_of(fired.partial));
        });
        *self.results += 1;
        Flow::Taken
    }

    fn results(&self) -> u64 {
        *self.results
    }

    fn close(mut self) {
        self.meter.results.set(*self.results);
        let Some(writer) = self.writer.take() else {
            return;
        };
        if writer.count() == 0 {
            return;
        }
        let (claim, _, words) = writer.finish(self.watermark, 0);
        claim.commit(words);
        self.sent.raise(OutputCounts { results: *self.results, late: 0 });
        self.bell.ring();
    }
}
