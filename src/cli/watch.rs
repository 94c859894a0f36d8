//! What is said on standard error while a command runs, and at its end.

use super::args::{Agg, Destination, LOOK};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidewheel::metrics::Metrics;
use tidewheel::text::{Awaited, Notice};

/// Says what may be known of an input before and beside its records.
pub(crate) fn tell(notice: Notice) {
    match notice {
        Notice::Waiting { name, awaited: Awaited::Types { columns, records, needed } } => {
            let came = match records {
                0 => "no record".to_owned(),
                records => super::counted(records as u64, "record"),
            };
            let types: Vec<String> = columns.iter().map(|c| format!("--type {c}=f64")).collect();
            super::say(&format!(
                "{name} has brought {came} so far, and the first {needed} tell the types of \
                 columns; with {} (or i64) there is no need to wait, and a signal (Ctrl-C) makes \
                 do with what came",
                types.join(" ")
            ));
        }
        Notice::Waiting { name, .. } => super::say(&format!(
            "{name} has not brought its first line yet, which names the columns; it is waited for"
        )),
        Notice::Absent { name } => {
            super::say(&format!("{name} is not there yet; it is waited for (--follow)"))
        }
        Notice::Empty { name } => {
            super::say(&format!("warning: {name} holds no record; it is passed over"));
        }
        Notice::Unfinished { name, bytes } => super::say(&format!(
            "warning: {name} ends with {}, of a line that was not whole when the run was stopped, \
             and was not read",
            super::counted(bytes as u64, "byte")
        )),
        _ => {}
    }
}

/// How long a watermark stands still before it is named.
const STALL: Duration = Duration::from_secs(10);

/// How long the writing has to be held up for that to be why the watermark stands still.
const HELD_UP: Duration = Duration::from_secs(1);

/// Watches a running engine for a person.
pub(crate) struct Watch {
    bar: Option<ProgressBar>,
    stats: Option<Duration>,
    looked: Instant,
    said: Instant,
    /// Records that earlier runs read.
    before: u64,
    said_of: Metrics,
    stall: Stall,
    /// What is to be said beside late records.
    late_advice: String,
    /// The state directory of files that are followed: such a run ends by itself only if an
    /// earlier one did.
    finished: Option<String>,
    has_state: bool,
}

/// How the writing of results gets on, for a thread that looks on.
#[derive(Debug)]
pub(crate) struct Writing {
    /// Counts whatever was written, and each time that there was nothing to write.
    notes: AtomicU64,
    over: AtomicBool,
    /// The count when it was last looked at, and since when it is so high.
    seen: Mutex<(u64, Instant)>,
}

impl Default for Writing {
    fn default() -> Self {
        let seen = Mutex::new((0, Instant::now()));
        Self { notes: AtomicU64::new(0), over: AtomicBool::new(false), seen }
    }
}

impl Writing {
    /// Notes that what was to be written is written.
    pub(crate) fn note(&self) {
        // Only one thread notes.
        self.notes.store(self.notes.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Notes that nothing more is to be written.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether nothing more is to be written.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// For how long, as far as was looked, nothing was noted.
    pub(crate) fn held_up(&self, now: Instant) -> Duration {
        let notes = self.notes.load(Ordering::Relaxed);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 != notes {
            *seen = (notes, now);
        }
        now.saturating_duration_since(seen.1)
    }
}

impl Watch {
    pub(crate) fn new(arguments: &Agg, before: Metrics) -> Self {
        let sizes = arguments.files.iter().map(|path| std::fs::metadata(path).ok());
        let total: Option<u64> =
            sizes.map(|size| size.filter(std::fs::Metadata::is_file).map(|size| size.len())).sum();
        // On one terminal, results would be written into the bar.
        let mixes = arguments.output.is_terminal()
            || arguments.late.as_ref().is_some_and(Destination::is_terminal);
        let wanted = std::io::stderr().is_terminal() && !arguments.follow && !mixes;
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
            before: before.records_in(),
            said_of: before,
            stall: Stall::new(now),
            late_advice: late_advice(arguments),
            has_state: arguments.state.is_some(),
            finished: arguments
                .state
                .as_ref()
                .filter(|_| arguments.follow)
                .map(|folder| folder.display().to_string()),
        }
    }

    /// Says a line, above the bar if there is one.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| super::say(line)),
            None => super::say(line),
        }
    }

    /// Looks at the engine now and then. `metrics` is only called when it is time to look.
    /// `held_up` is for how long the writing has been.
    pub(crate) fn look(&mut self, metrics: impl FnOnce() -> Metrics, held_up: Duration) {
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
        if held_up >= HELD_UP {
            // What nobody takes holds the watermark, and no input does.
            self.stall = Stall::new(self.looked);
        } else if let Some(told) = self.stall.look(self.looked, &metrics) {
            self.say(&told);
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
        super::say(&format!(
            "{}{} in, {}, {} late, {dropped} dropped ({} filtered, {unconfirmed} unusable), {} \
             malformed, {:.0} records/s in {seconds:.2} s",
            if interrupted { "interrupted: " } else { "" },
            super::counted(metrics.records_in(), "record"),
            super::counted(metrics.results(), "result"),
            metrics.late(),
            metrics.filtered(),
            metrics.malformed(),
            (metrics.records_in() - self.before) as f64 / seconds,
        ));
        if metrics.left_out() > 0 {
            super::say(&format!(
                "warning: too many windows were left when it was stopped: not all came out; \
                 {} keys (each counted once a slice) are in further ones",
                metrics.left_out()
            ));
        }
        let held: u64 = metrics.sources.iter().map(|(_, source)| source.held).sum();
        if held > 0 {
            super::say(&format!(
                "{} held out by --max-jump when it was stopped; the next run reads what is held \
                 out again",
                super::counted(held, "record")
            ));
        }
        if metrics.late() > 0 {
            let is = if metrics.late() == 1 { "is" } else { "are" };
            super::say(&format!(
                "warning: {} {is} in no result ({})",
                super::counted(metrics.late(), "late record"),
                self.late_advice
            ));
        }
        if metrics.partly_late() > 0 {
            super::say(&format!(
                "{} late for some windows and counted in the rest",
                super::counted(metrics.partly_late(), "record")
            ));
        }
        if metrics.malformed() > 0 && metrics.malformed() == metrics.records_in() {
            super::say(&format!(
                "warning: there is no result, for all that was read is malformed: {} (the first \
                 are told above; --strict stops at the first)",
                super::counted(metrics.malformed(), "record")
            ));
        } else if metrics.malformed() > 0 {
            super::say(&format!(
                "warning: {} left out (--strict stops at the first)",
                super::counted(metrics.malformed(), "malformed record")
            ));
        }
        if let Some(folder) = self.finished.filter(|_| !interrupted) {
            super::say(&format!(
                "{folder}: an earlier run without --follow has come to the end of all inputs, and \
                 nothing more is read of them; to go on reading, begin anew with another --state \
                 and --output, and with --follow from the start"
            ));
        }
        super::say(&format!("ledger: {}", metrics.ledger()));
        if interrupted && self.has_state {
            super::say("the same command goes on from here");
        }
    }
}

/// What can be done about late records that is not done already.
fn late_advice(arguments: &Agg) -> String {
    let jump = match arguments.max_jump {
        None => ", --max-jump does not believe one time far ahead of the others",
        Some(_) => "",
    };
    let late = match &arguments.late {
        None => "--late keeps them".to_owned(),
        Some(Destination::StandardOutput) => "they are on standard output".to_owned(),
        Some(to) => format!("they are in {to}"),
    };
    format!("--out-of-order waits longer{jump}, {late}")
}

/// Notices when the merged watermark stands still while records wait for it.
struct Stall {
    /// The lowest merged watermark, and since when it stands there.
    watermark: i64,
    since: Instant,
    told: bool,
}

impl Stall {
    const fn new(now: Instant) -> Self {
        Self { watermark: i64::MIN, since: now, told: false }
    }

    /// What there is to say, once for each time that it stands still.
    fn look(&mut self, now: Instant, metrics: &Metrics) -> Option<String> {
        let lowest = metrics.shards.iter().map(|shard| shard.watermark).min().unwrap_or(i64::MIN);
        let waiting = metrics.shards.iter().any(|shard| shard.live_keys > 0)
            || metrics.shards.iter().map(|shard| shard.counted).sum::<u64>() > metrics.results();
        if lowest != self.watermark || !waiting {
            *self = Self { watermark: lowest, ..Self::new(now) };
            return None;
        }
        if self.told || now.duration_since(self.since) < STALL {
            return None;
        }
        self.told = true;
        // A source that is below has ended or is idle: it holds nothing.
        let holding = metrics.sources.iter().filter(|(_, source)| source.watermark >= lowest);
        let held_by = holding.min_by_key(|(_, source)| source.watermark);
        let held_by = held_by.map_or("no input", |(name, _)| name.as_str());
        Some(format!(
            "the watermark has not moved for {} s while records wait in open windows; it is held \
             by {held_by} (an input that may fall silent wants --idle)",
            STALL.as_secs()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewheel::metrics::{ShardCounts, SourceCounts};

    /// Sources with these watermarks, and one shard with this one that has records in windows.
    fn metrics(sources: &[(&str, i64)], merged: i64, live_keys: u64) -> Metrics {
        let source = |(name, watermark): &(&str, i64)| {
            let counts = SourceCounts { watermark: *watermark, ..SourceCounts::default() };
            ((*name).to_owned(), counts)
        };
        let shard = ShardCounts { watermark: merged, live_keys, ..ShardCounts::default() };
        let mut metrics = Metrics::default();
        metrics.sources = sources.iter().map(source).collect();
        metrics.shards = vec![shard];
        metrics
    }

    #[test]
    fn a_watermark_that_stands_still_is_told_once_with_who_holds_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let still = metrics(&[("ended.csv", 3), ("slow.csv", 7), ("quick.csv", 90)], 7, 2);
        let mut stall = Stall::new(start);
        assert_eq!(stall.look(at(1), &still), None, "it has just moved there");
        assert_eq!(stall.look(at(10), &still), None, "not yet for so long");
        let told = stall.look(at(11), &still).expect("it stands still");
        assert!(told.contains("not moved for 10 s") && told.contains("held by slow.csv"), "{told}");
        assert!(told.contains("--idle"), "{told}");
        assert_eq!(stall.look(at(60), &still), None, "once is enough");

        let moved = metrics(&[("slow.csv", 8), ("quick.csv", 8)], 8, 2);
        assert_eq!(stall.look(at(61), &moved), None);
        assert_eq!(stall.look(at(70), &moved), None);
        assert!(stall.look(at(71), &moved).is_some(), "again, where it stands now");
    }

    #[test]
    fn an_input_that_never_brought_a_record_holds_the_watermark() {
        let start = Instant::now();
        let still = metrics(&[("full.csv", 50), ("silent", i64::MIN)], i64::MIN, 1);
        let told = Stall::new(start).look(start + STALL, &still).expect("it stands still");
        assert!(told.contains("held by silent"), "{told}");
    }

    #[test]
    fn the_writing_is_held_up_for_as_long_as_nothing_is_noted() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let writing = Writing { seen: Mutex::new((0, start)), ..Writing::default() };
        assert_eq!(writing.held_up(at(3)), Duration::from_secs(3));
        writing.note();
        assert_eq!(writing.held_up(at(4)), Duration::ZERO);
        assert_eq!(writing.held_up(at(6)), Duration::from_secs(2));
        assert!(!writing.is_over());
        writing.end();
        assert!(writing.is_over());
    }

    #[test]
    fn where_nothing_waits_a_watermark_may_stand_still() {
        let start = Instant::now();
        let mut stall = Stall::new(start);
        let still = |live| metrics(&[("a.csv", 7)], 7, live);
        assert_eq!(stall.look(start + STALL, &still(0)), None);
        assert_eq!(stall.look(start + STALL * 2, &still(0)), None);
        // Only since there is something that waits does it count.
        assert_eq!(stall.look(start + STALL * 2, &still(1)), None);
        assert!(stall.look(start + STALL * 3, &still(1)).is_some());
    }
}
