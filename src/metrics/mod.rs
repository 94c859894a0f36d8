//! What is counted while the engine runs: one group of counters for each source, lane, shard and
//! sink, each written by one core and read by anyone without stopping it.
//!
//! May use `sync` and `time`. Knows nothing of what it counts.

mod latency;
mod meters;
mod snapshot;

pub use latency::{LatencyReader, LatencyWriter, latency};
pub use meters::{Counter, Gauge, LaneMeter, MeterBoard, ShardMeter, SinkMeter, SourceMeter};
pub use snapshot::{
    CloseLatency, LaneCounts, Ledger, Metrics, Rates, ShardCounts, SinkCounts, SourceCounts,
};

#[cfg(test)]
mod tests;
