//! The counters, role by role.

use super::latency::{LatencyReader, LatencyWriter, latency};
use super::snapshot::{LaneCounts, Metrics, ShardCounts, SinkCounts, SourceCounts};
use crate::sync::{AtomicI64, AtomicU64, Ordering};
use crossbeam::utils::CachePadded;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A number that one core writes and any may read. A reader may see it a moment late, never torn.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to it. Only its one writer may.
    #[inline]
    pub fn add(&self, more: u64) {
        self.set(self.get() + more);
    }

    /// Sets it. Only its one writer may.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads it.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A moment in event time, as raw nanoseconds, that one core writes and any may read.
#[derive(Debug)]
pub struct Gauge(AtomicI64);

impl Gauge {
    fn new() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    /// Sets it. Only its one writer may.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads it.
    #[inline]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! meter {
    ($(#[$about:meta])* $name:ident => $counts:ident {
        $($(#[$what:meta])* $field:ident: $kind:ident),* $(,)?
    }) => {
        $(#[$about])*
        #[derive(Debug)]
        pub struct $name {
            $($(#[$what])* pub $field: CachePadded<$kind>,)*
        }

        impl $name {
            pub(super) fn new() -> Self {
                Self { $($field: CachePadded::new($kind::new()),)* }
            }

            pub(super) fn read(&self) -> $counts {
                $counts { $($field: self.$field.get(),)* }
            }
        }
    };
}

meter! {
    /// What a source's intake counts. read = routed + filtered + dead letters + held.
    SourceMeter => SourceCounts {
        /// Records read, malformed ones too.
        read: Counter,
        /// Bytes read.
        bytes: Counter,
        /// Records that went to a shard.
        routed: Counter,
        /// Rows that the stages made of them.
        rows: Counter,
        /// Rows that were folded on the source's core before they were sent.
        combined: Counter,
        /// Of these, rows that are not sent yet.
        unsent: Counter,
        /// Records that a filter refused.
        filtered: Counter,
        /// Records that could not be used: malformed, too long, or of a time that none confirmed.
        dead_letter: Counter,
        /// Dead letters that could not be understood.
        malformed: Counter,
        /// Records held out until others confirm their time.
        held: Counter,
        /// Nanoseconds of steps that did something.
        busy_nanos: Counter,
        /// Nanoseconds of steps that found no room: backpressure.
        blocked_nanos: Counter,
        /// Nanoseconds of steps that found nothing to read.
        idle_nanos: Counter,
        /// The highest event time read.
        max_time: Gauge,
        /// The partition's watermark.
        watermark: Gauge,
    }
}

meter! {
    /// What the two ends of a lane count.
    LaneMeter => LaneCounts {
        /// Records that the source sent, one by one or combined.
        routed: Counter,
        /// Records that the shard had from earlier runs: the source may read some of them again.
        known: Counter,
        /// Records that the shard took.
        received: Counter,
        /// Records of the source, whichever lane they went to, up to the last place that the
        /// shard has written down for good.
        kept: Counter,
        /// Bytes of frames that the source sent.
        sent_bytes: Counter,
        /// Bytes of frames that the shard took.
        taken_bytes: Counter,
        /// Bytes that the lane holds at most.
        capacity_bytes: Counter,
        /// The lane's watermark, as the shard knows it.
        watermark: Gauge,
        /// One while the shard takes the lane for idle, so that it holds nothing back.
        idle: Counter,
    }
}

meter! {
    /// What a shard counts. received = counted + late. At the end no key is alive.
    ShardMeter => ShardCounts {
        /// Records taken from lanes, one by one or combined.
        received: Counter,
        /// Records that count in at least one window.
        counted: Counter,
        /// Records that came after all their windows had closed.
        late: Counter,
        /// Records that came after some of their windows had closed.
        partly_late: Counter,
        /// Results.
        results: Counter,
        /// Keys, each counted once a slice, that a stop left without all of their results.
        left_out: Counter,
        /// Windows that fired.
        windows: Counter,
        /// Frames taken from lanes.
        frames: Counter,
        /// Times that all the shard holds was written down, and the log before given up.
        snapshots: Counter,
        /// Keys alive, each counted once a slice.
        live_keys: Counter,
        /// Slices open.
        open_slices: Counter,
        /// One once all sources have ended and all that came of it is out.
        ended: Counter,
        /// Nanoseconds of steps that did something.
        busy_nanos: Counter,
        /// Nanoseconds of steps that found no room for results.
        blocked_nanos: Counter,
        /// Nanoseconds of steps that found nothing to do, and of sleep before them.
        idle_nanos: Counter,
        /// The merged watermark.
        watermark: Gauge,
    }
}

meter! {
    /// What a sink counts: the same results and late records as its shard.
    SinkMeter => SinkCounts {
        /// Results taken.
        results: Counter,
        /// Late records taken.
        late: Counter,
        /// One once a handle was polled to the end.
        ended: Counter,
        /// Results that the handle handed over.
        handed: Counter,
        /// Results that came again and were not handed over again, since they had left before, or
        /// were noted as leaving.
        passed_over: Counter,
    }
}

/// All meters of one engine.
#[derive(Debug)]
pub struct MeterBoard {
    started: Instant,
    names: Vec<String>,
    threads: AtomicU64,
    sources: Vec<Arc<SourceMeter>>,
    lanes: Vec<Arc<LaneMeter>>,
    shards: Vec<Arc<ShardMeter>>,
    sinks: Vec<Arc<SinkMeter>>,
    writers: Mutex<Vec<Option<LatencyWriter>>>,
    /// Read by whoever asks for a snapshot; no core ever waits for it.
    readers: Mutex<Vec<LatencyReader>>,
}

impl MeterBoard {
    /// Meters for sources of these names and so many shards.
    pub fn new(names: Vec<String>, shards: usize) -> Arc<Self> {
        let sources = names.len();
        let (writers, readers) =
            (0..shards).map(|_| latency()).map(|(writer, reader)| (Some(writer), reader)).unzip();
        Arc::new(Self {
            started: Instant::now(),
            names,
            threads: AtomicU64::new(1),
            sources: (0..sources).map(|_| Arc::new(SourceMeter::new())).collect(),
            lanes: (0..sources * shards).map(|_| Arc::new(LaneMeter::new())).collect(),
            shards: (0..shards).map(|_| Arc::new(ShardMeter::new())).collect(),
            sinks: (0..shards).map(|_| Arc::new(SinkMeter::new())).collect(),
            writers: Mutex::new(writers),
            readers: Mutex::new(readers),
        })
    }

    /// Says how many threads step what is counted; one, until it is said.
    pub fn set_threads(&self, threads: usize) {
        self.threads.store(threads as u64, Ordering::Relaxed);
    }

    /// The meter of a source.
    pub fn source(&self, source: usize) -> Arc<SourceMeter> {
        Arc::clone(&self.sources[source])
    }

    /// The meter of the lane from a source to a shard.
    pub fn lane(&self, source: usize, shard: usize) -> Arc<LaneMeter> {
        Arc::clone(&self.lanes[source * self.shards.len() + shard])
    }

    /// The meter of a shard.
    pub fn shard(&self, shard: usize) -> Arc<ShardMeter> {
        Arc::clone(&self.shards[shard])
    }

    /// The meter of a shard's sink.
    pub fn sink(&self, shard: usize) -> Arc<SinkMeter> {
        Arc::clone(&self.sinks[shard])
    }

    /// Where a shard records its latencies.
    ///
    /// # Panics
    /// When it is asked for twice: a writer has one owner.
    pub fn latency_writer(&self, shard: usize) -> LatencyWriter {
        let mut writers = self.writers.lock().expect("nobody panics while holding it");
        writers[shard].take().expect("a shard takes its writer once")
    }

    /// What has been counted so far.
    pub fn snapshot(&self) -> Metrics {
        let mut readers = self.readers.lock().expect("nobody panics while holding it");
        let mut close = super::latency::empty();
        for reader in readers.iter_mut() {
            close.add(reader.newest()).expect("all histograms have one shape");
        }
        let sources = self.names.iter().cloned().zip(self.sources.iter().map(|m| m.read()));
        Metrics {
            elapsed: self.started.elapsed(),
            threads: self.threads.load(Ordering::Relaxed),
            sources: sources.collect(),
            lanes: self.lanes.iter().map(|meter| meter.read()).collect(),
            shards: self.shards.iter().map(|meter| meter.read()).collect(),
            sinks: self.sinks.iter().map(|meter| meter.read()).collect(),
            close: super::snapshot::CloseLatency::of(&close),
            closes: Some(close),
        }
    }
}
