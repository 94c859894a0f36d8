//! What is said on standard error while a command runs, and at its end.

use super::args::Agg;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use tidewheel::metrics::Metrics;

/// How long a watermark stands still before it is named.
const STALL: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

/// Watches a running engine for a person.
pub(crate) struct Watch {
    bar: Option<ProgressBar>,
    stats: Option<Duration>,
    looked: Instant,
    said: Instant,
    said_of: Metrics,
    /// The lowest merged watermark, since when it stands there, and whether that was said.
    stands: (i64, Instant, bool),
}

impl Watch {
    pub(crate) fn new(arguments: &Agg) -> Self {
        let sizes = arguments.files.iter().map(|path| std::fs::metadata(path).ok());
        let total: Option<u64> =
            sizes.map(|size| size.filter(std::fs::Metadata::is_file).map(|size| size.len())).sum();
        let wanted = std::io::stderr().is_terminal() && !arguments.follow;
        let style = ProgressStyle::with_template(
            "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        );
        let bar = total.filter(|total| wanted && *total > 0).map(ProgressBar::new);
        if let (Some(bar), Ok(style)) = (&bar, style) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self {
            bar,
            stats: arguments.stats.map(Duration::from),
            looked: now,
            said: now,
            said_of: Metrics::default(),
            stands: (i64::MIN, now, false),
        }
    }

    /// Says a line, above the bar if there is one.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("tidewheel: {line}")),
            None => eprintln!("tidewheel: {line}"),
        }
    }

    /// Looks at the engine now and then. `metrics` is only called when it is time to look.
    pub(crate) fn look(&mut self, metrics: impl FnOnce() -> Metrics) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let metrics = metrics();
        if let Some(bar) = &self.bar {
            bar.set_position(metrics.bytes());
        }
        if self.stats.is_some_and(|every| self.said.elapsed() >= every) {
            self.say(&metrics.line_since(&self.said_of));
            self.said = Instant::now();
            self.said_of = metrics.clone();
        }
        self.look_for_stall(&metrics);
    }

    fn look_for_stall(&mut self, metrics: &Metrics) {
        let lowest = metrics.shards.iter().map(|shard| shard.watermark).min().unwrap_or(i64::MIN);
        let waiting = metrics.shards.iter().any(|shard| shard.live_keys > 0)
            || metrics.shards.iter().map(|shard| shard.counted).sum::<u64>() > metrics.results();
        if lowest != self.stands.0 || !waiting {
            self.stands = (lowest, Instant::now(), false);
        } else if self.stands.1.elapsed() >= STALL && !self.stands.2 {
            self.stands.2 = true;
            let held_by = metrics
                .sources
                .iter()
                .min_by_key(|(_, source)| source.watermark)
                .map_or("no input", |(name, _)| name.as_str());
            self.say(&format!(
                "the watermark has not moved for {} s while records wait in open windows; it is \
                 held by {held_by} (an input that may fall silent wants --idle)",
                STALL.as_secs()
            ));
        }
    }

    /// Says what it all came to.
    pub(crate) fn finish(self, metrics: &Metrics, interrupted: bool) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let seconds = metrics.elapsed.as_secs_f64().max(1e-9);
        let dropped = metrics.filtered() + metrics.dead_letters() - metrics.malformed();
        let unconfirmed = metrics.dead_letters() - metrics.malformed();
        eprintln!(
            "tidewheel: {}{} records in, {} results, {} late, {dropped} dropped ({} filtered, \
             {unconfirmed} unusable), {} malformed, {:.0} records/s in {seconds:.2} s",
            if interrupted { "interrupted: " } else { "" },
            metrics.records_in(),
            metrics.results(),
            metrics.late(),
            metrics.filtered(),
            metrics.malformed(),
            metrics.records_in() as f64 / seconds,
        );
        if metrics.partly_late() > 0 {
            eprintln!(
                "tidewheel: {} records were late for some of their windows and count in the rest",
                metrics.partly_late()
            );
        }
        if metrics.malformed() > 0 {
            eprintln!(
                "tidewheel: warning: {} malformed records were left out (--strict stops at the \
                 first)",
                metrics.malformed()
            );
        }
        eprintln!("tidewheel: ledger: {}", metrics.ledger());
    }
}
