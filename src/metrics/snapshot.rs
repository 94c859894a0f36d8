//! What the meters said at one moment, and what follows from it.

use hdrhistogram::Histogram;
use std::fmt;
use std::time::Duration;

/// What a source had counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the meter of the same name
pub struct SourceCounts {
    pub read: u64,
    pub bytes: u64,
    pub routed: u64,
    pub rows: u64,
    pub combined: u64,
    pub unsent: u64,
    pub filtered: u64,
    pub dead_letter: u64,
    pub malformed: u64,
    pub held: u64,
    pub busy_nanos: u64,
    pub blocked_nanos: u64,
    pub idle_nanos: u64,
    pub max_time: i64,
    pub watermark: i64,
}

/// What a lane's ends had counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the meter of the same name
pub struct LaneCounts {
    pub routed: u64,
    pub known: u64,
    /// Records of the source, whichever lane they went to, up to the last place that the shard has
    /// written down for good; zero without a state directory.
    pub kept: u64,
    pub received: u64,
    pub sent_bytes: u64,
    pub taken_bytes: u64,
    pub capacity_bytes: u64,
    pub watermark: i64,
    pub idle: u64,
}

impl LaneCounts {
    /// How full the lane is, from 0 to 1. A lane that stays full is where backpressure begins.
    pub fn fill(&self) -> f64 {
        let held = self.sent_bytes.saturating_sub(self.taken_bytes);
        held as f64 / self.capacity_bytes.max(1) as f64
    }
}

/// What a shard had counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the meter of the same name
pub struct ShardCounts {
    pub received: u64,
    pub counted: u64,
    pub late: u64,
    pub partly_late: u64,
    pub results: u64,
    pub left_out: u64,
    pub windows: u64,
    pub frames: u64,
    /// Times that all the shard holds was written down, and the log before given up.
    pub snapshots: u64,
    pub live_keys: u64,
    pub open_slices: u64,
    pub ended: u64,
    pub busy_nanos: u64,
    pub blocked_nanos: u64,
    pub idle_nanos: u64,
    pub watermark: i64,
}

/// What a sink had counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the meter of the same name
pub struct SinkCounts {
    pub results: u64,
    pub late: u64,
    pub ended: u64,
    pub handed: u64,
    pub passed_over: u64,
}

/// How long closes took: from the frame that let a window close to its last result. Nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloseLatency {
    /// Closes measured.
    pub count: u64,
    /// Half took no longer.
    pub p50: u64,
    /// Nine in ten took no longer.
    pub p90: u64,
    /// 99 in 100 took no longer.
    pub p99: u64,
    /// 999 in 1000 took no longer.
    pub p99_9: u64,
    /// 9999 in 10000 took no longer.
    pub p99_99: u64,
    /// The longest.
    pub max: u64,
}

impl CloseLatency {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: histogram.max(),
        }
    }
}

/// What an engine had counted at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Since the engine was opened.
    pub elapsed: Duration,
    /// Threads that the shards share: one where the engine is stepped by hand.
    pub threads: u64,
    /// Each source by name.
    pub sources: Vec<(String, SourceCounts)>,
    /// Each lane: those of the first source, shard by shard, then those of the next.
    pub lanes: Vec<LaneCounts>,
    /// Each shard.
    pub shards: Vec<ShardCounts>,
    /// Each shard's sink.
    pub sinks: Vec<SinkCounts>,
    /// How long closes took, over all shards.
    pub close: CloseLatency,
    /// All of these latencies; none before the first snapshot.
    pub(super) closes: Option<Histogram<u64>>,
}

impl Metrics {
    fn source_sum(&self, field: impl Fn(&SourceCounts) -> u64) -> u64 {
        self.sources.iter().map(|(_, source)| field(source)).sum()
    }

    /// Records read, malformed ones too.
    pub fn records_in(&self) -> u64 {
        self.source_sum(|source| source.read)
    }

    /// Records that a filter refused.
    pub fn filtered(&self) -> u64 {
        self.source_sum(|source| source.filtered)
    }

    /// Records that could not be understood.
    pub fn malformed(&self) -> u64 {
        self.source_sum(|source| source.malformed)
    }

    /// Records that could not be used, malformed ones among them.
    pub fn dead_letters(&self) -> u64 {
        self.source_sum(|source| source.dead_letter)
    }

    /// Bytes read.
    pub fn bytes(&self) -> u64 {
        self.source_sum(|source| source.bytes)
    }

    /// Records that were folded on their sources' cores before they were sent.
    pub fn combined(&self) -> u64 {
        self.source_sum(|source| source.combined)
    }

    /// Results.
    pub fn results(&self) -> u64 {
        self.shards.iter().map(|shard| shard.results).sum()
    }

    /// Records that came after all their windows had closed.
    pub fn late(&self) -> u64 {
        self.shards.iter().map(|shard| shard.late).sum()
    }

    /// Keys, each counted once a slice, that a stop left without all of their results: there were
    /// too many windows to let out.
    pub fn left_out(&self) -> u64 {
        self.shards.iter().map(|shard| shard.left_out).sum()
    }

    /// Records that came after some of their windows had closed.
    pub fn partly_late(&self) -> u64 {
        self.shards.iter().map(|shard| shard.partly_late).sum()
    }

    /// The source whose watermark is the lowest, and how far it is behind the highest time read:
    /// what holds windows open.
    pub fn slowest_source(&self) -> Option<(&str, Duration)> {
        let started = self.sources.iter().filter(|(_, source)| source.watermark != i64::MIN);
        let (name, slowest) = started.min_by_key(|(_, source)| source.watermark)?;
        let highest = self.sources.iter().map(|(_, source)| source.max_time).max()?;
        let lag = highest.saturating_sub(slowest.watermark).max(0);
        Some((name, Duration::from_nanos(lag.unsigned_abs())))
    }

    /// How long closes took since an earlier moment.
    pub fn close_since(&self, earlier: &Self) -> CloseLatency {
        let Some(mut closes) = self.closes.clone() else {
            return self.close;
        };
        if let Some(before) = &earlier.closes {
            closes.subtract(before).expect("the later one holds all of the earlier one");
        }
        CloseLatency::of(&closes)
    }

    /// How full the fullest lane is, from 0 to 1.
    pub fn fullest_lane(&self) -> f64 {
        self.lanes.iter().map(LaneCounts::fill).fold(0.0, f64::max)
    }

    /// How fast it went since an earlier moment.
    pub fn since(&self, earlier: &Self) -> Rates {
        let seconds = (self.elapsed.saturating_sub(earlier.elapsed)).as_secs_f64().max(1e-9);
        let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let nanos =
            |metrics: &Self, field: fn(&ShardCounts) -> u64, of: fn(&SourceCounts) -> u64| {
                let shards: u64 = metrics.shards.iter().map(field).sum();
                shards + metrics.source_sum(of)
            };
        let share = |field: fn(&ShardCounts) -> u64, of: fn(&SourceCounts) -> u64| {
            let spent = nanos(self, field, of).saturating_sub(nanos(earlier, field, of));
            spent as f64 / 1e9 / seconds / self.threads.max(1) as f64
        };
        Rates {
            records_per_second: per_second(self.records_in(), earlier.records_in()),
            bytes_per_second: per_second(self.bytes(), earlier.bytes()),
            busy: share(|shard| shard.busy_nanos, |source| source.busy_nanos),
            blocked: share(|shard| shard.blocked_nanos, |source| source.blocked_nanos),
            idle: share(|shard| shard.idle_nanos, |source| source.idle_nanos),
        }
    }

    /// Whether every record is accounted for.
    pub fn ledger(&self) -> Ledger {
        let mut off = Vec::new();
        for (name, source) in &self.sources {
            let known = source.routed + source.filtered + source.dead_letter + source.held;
            if source.read != known {
                off.push(format!(
                    "{name}: read {} ≠ routed {} + filtered {} + dead letters {} + held {}",
                    source.read, source.routed, source.filtered, source.dead_letter, source.held
                ));
            }
        }
        let shards = self.shards.len().max(1);
        for ((name, source), lanes) in self.sources.iter().zip(self.lanes.chunks(shards)) {
            let sent: u64 = lanes.iter().map(|lane| lane.routed).sum();
            if source.rows != sent + source.unsent {
                off.push(format!(
                    "{name}: rows {} ≠ sent {sent} + unsent {}",
                    source.rows, source.unsent
                ));
            }
        }
        for (at, lane) in self.lanes.iter().enumerate() {
            // What an earlier run left in the shard's log need not have been read again.
            if lane.routed.max(lane.known) != lane.received {
                off.push(format!(
                    "lane {at}: routed {} ≠ received {}; the rest is in flight",
                    lane.routed, lane.received
                ));
            }
        }
        for (at, shard) in self.shards.iter().enumerate() {
            if shard.received != shard.counted + shard.late {
                off.push(format!(
                    "shard {at}: received {} ≠ counted {} + late {}",
                    shard.received, shard.counted, shard.late
                ));
            }
        }
        self.look_at_what_came_out(&mut off);
        Ledger { off }
    }

    /// What leaves a shard is what its sink takes, and at the end nothing is left in it.
    fn look_at_what_came_out(&self, off: &mut Vec<String>) {
        for (at, (shard, sink)) in self.shards.iter().zip(&self.sinks).enumerate() {
            if (shard.results, shard.late) != (sink.results, sink.late) {
                off.push(format!(
                    "shard {at}: results {} and late {} ≠ results {} and late {} of its sink",
                    shard.results, shard.late, sink.results, sink.late
                ));
            }
            if sink.ended != 0 && sink.results != sink.handed + sink.passed_over {
                off.push(format!(
                    "shard {at}: results {} ≠ handed over {} + passed over {}",
                    sink.results, sink.handed, sink.passed_over
                ));
            }
            if shard.ended != 0 && shard.live_keys != 0 {
                off.push(format!(
                    "shard {at}: at its end {} keys are left in {} slices",
                    shard.live_keys, shard.open_slices
                ));
            }
        }
    }

    /// One line for a person: what happened since an earlier moment, and where things stand.
    pub fn line_since(&self, earlier: &Self) -> String {
        let rates = self.since(earlier);
        let lag = self.slowest_source().map(|(_, lag)| lag);
        let close = self.close_since(earlier);
        let took = |nanos| shown((close.count != 0).then_some(Duration::from_nanos(nanos)));
        let in_flight: u64 =
            self.lanes.iter().map(|lane| lane.routed.saturating_sub(lane.received)).sum();
        format!(
            "{:.0} records/s, {:.1} MB/s, watermark lag {}, in flight {in_flight}, fullest lane \
             {:.0} %, late {}, malformed {}, busy {:.0} %, blocked {:.0} %, {} closes, p50 {}, \
             p99 {}, p99.99 {}",
            rates.records_per_second,
            rates.bytes_per_second / 1e6,
            shown(lag),
            self.fullest_lane() * 100.0,
            self.late(),
            self.malformed(),
            rates.busy * 100.0,
            rates.blocked * 100.0,
            close.count,
            took(close.p50),
            took(close.p99),
            took(close.p99_99),
        )
    }
}

/// A duration for a person: three digits that count, in the unit that fits; `-` when there is none.
pub(super) fn shown(duration: Option<Duration>) -> String {
    /// Each with its nanoseconds, and how many of it are one of the next.
    const UNITS: [(&str, f64, f64); 7] = [
        ("ns", 1.0, 1e3),
        ("µs", 1e3, 1e3),
        ("ms", 1e6, 1e3),
        ("s", 1e9, 60.0),
        ("min", 60e9, 60.0),
        ("h", 3_600e9, 24.0),
        ("d", 86_400e9, f64::INFINITY),
    ];
    let Some(duration) = duration else { return "-".to_owned() };
    if duration.is_zero() {
        return "0 s".to_owned();
    }
    let nanos = duration.as_nanos() as f64;
    // As it will be shown: 999.9 µs are 1.00 ms.
    let rounded = |count: f64| {
        let step = 10_f64.powf(count.log10().floor() - 2.0);
        (count / step).round() * step
    };
    let fits = |(_, each, next): &(&str, f64, f64)| rounded(nanos / each) < *next;
    let (unit, each, _) = UNITS.into_iter().find(fits).expect("days have no end");
    let decimals = match rounded(nanos / each) {
        _ if unit == "ns" => 0,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{:.decimals$} {unit}", nanos / each)
}

/// How fast an engine went between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Records read each second.
    pub records_per_second: f64,
    /// Bytes read each second.
    pub bytes_per_second: f64,
    /// The share of the threads' time in which something was done.
    pub busy: f64,
    /// The share in which there was no room to go on: backpressure.
    pub blocked: f64,
    /// The share in which there was nothing to do.
    pub idle: f64,
}

/// Whether every record is accounted for: per source, lane and shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    off: Vec<String>,
}

impl Ledger {
    /// Whether all of it balances.
    pub fn is_balanced(&self) -> bool {
        self.off.is_empty()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.off.as_slice() {
            [] => f.write_str("every record is accounted for"),
            off => f.write_str(&off.join("; ")),
        }
    }
}
