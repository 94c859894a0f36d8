//! Latencies: one core records, anyone reads, nobody waits.

use crate::time::MonotonicNanos;
use crossbeam::queue::ArrayQueue;
use hdrhistogram::Histogram;
use std::sync::Arc;

/// The longest latency told apart, in nanoseconds; longer ones count as this.
const NANOS_MAX: u64 = 60_000_000_000;
const DIGITS: u8 = 3;
/// How often a copy is published at most.
const PUBLISH_NANOS: u64 = 100_000_000;

/// A histogram of latencies in nanoseconds.
pub(super) fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, NANOS_MAX, DIGITS).expect("the bounds are in order")
}

/// A single slot in which copies are exchanged: the newest one waits for the reader, a used one
/// for the writer.
#[derive(Debug)]
struct Exchange {
    newest: ArrayQueue<Box<Histogram<u64>>>,
    used: ArrayQueue<Box<Histogram<u64>>>,
}

/// The recording end.
#[derive(Debug)]
pub struct LatencyWriter {
    histogram: Histogram<u64>,
    exchange: Arc<Exchange>,
    published: MonotonicNanos,
    dirty: bool,
}

/// The reading end.
#[derive(Debug)]
pub struct LatencyReader {
    newest: Box<Histogram<u64>>,
    exchange: Arc<Exchange>,
}

/// The two ends of one record of latencies.
pub fn latency() -> (LatencyWriter, LatencyReader) {
    let exchange = Arc::new(Exchange { newest: ArrayQueue::new(1), used: ArrayQueue::new(2) });
    let writer = LatencyWriter {
        histogram: empty(),
        exchange: Arc::clone(&exchange),
        published: MonotonicNanos(0),
        dirty: false,
    };
    (writer, LatencyReader { newest: Box::new(empty()), exchange })
}

impl LatencyWriter {
    /// Records a latency, at `now`.
    pub fn record(&mut self, nanos: u64, now: MonotonicNanos) {
        self.histogram.saturating_record(nanos);
        self.dirty = true;
        self.publish(now);
    }

    /// Lets readers see what was recorded, unless they saw something a moment ago.
    pub fn publish(&mut self, now: MonotonicNanos) {
        if self.dirty && now.since(self.published) >= PUBLISH_NANOS {
            self.published = now;
            self.publish_last();
        }
    }

    /// Lets readers see all that was recorded.
    pub fn publish_last(&mut self) {
        let mut copy = self.exchange.used.pop().unwrap_or_else(|| Box::new(empty()));
        copy.reset();
        copy.add(&self.histogram).expect("all histograms have one shape");
        if let Some(unread) = self.exchange.newest.force_push(copy) {
            // Kept for the next copy; a full queue has others.
            let _ = self.exchange.used.push(unread);
        }
        self.dirty = false;
    }
}

impl LatencyReader {
    /// The newest copy.
    pub fn newest(&mut self) -> &Histogram<u64> {
        if let Some(newest) = self.exchange.newest.pop() {
            let used = std::mem::replace(&mut self.newest, newest);
            // Given back for the next copy; a full queue has others.
            let _ = self.exchange.used.push(used);
        }
        &self.newest
    }
}
