//! Whether a source's records are folded on its own core, and when what was folded leaves.
//!
//! Folding pays when a slice holds several records of a key and the source has always more to
//! read. A source that now and then waits sends records at once instead: what is folded leaves
//! only when a window is about to close, and would make that close longer.

use crate::aggregate::Aggregate;
use crate::exchange::Router;
use crate::frame::FrameKind;
use crate::limits::COMBINED_BYTES_MAX;
use crate::record::{KeyKind, Schema, SourceSequence};
use crate::ring::LocalRing;
use crate::time::{MonotonicNanos, Watermark};
use crate::window::{Combiner, Drained, Firing, Flow, SlicePartial};

/// Whether records are folded on the core of their source before they are sent. Results are the
/// same either way, but for the rounding of floating-point sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combining {
    /// Where it pays: when the source has always more to read, and a slice holds at least
    /// eight records of a key on average.
    #[default]
    Auto,
    /// Wherever it can be done.
    Always,
    /// Nowhere: every record crosses to its shard.
    Never,
}

/// Partials, or window ends, after which it is decided whether folding pays.
const SAMPLE_PARTIALS: u64 = 8192;
const SAMPLE_CUTS: u32 = 64;
/// Records in hand from which on a trial is looked at before its slices are whole.
const SAMPLE_RECORDS_MIN: u64 = 4096;
/// Records a partial stands for, on average, from which on folding pays.
const RECORDS_PER_PARTIAL_MIN: u64 = 8;
/// Folding that did not pay is not tried again for so many times the window ends that the trial
/// took: the first time, and at most.
const REST_FACTOR: u32 = 16;
const REST_FACTOR_MAX: u32 = 1024;

/// What is to leave, and what is said once it has.
#[derive(Clone, Copy, Debug)]
struct Flush {
    /// Slices that start before this moment leave.
    before: i64,
    /// The lanes' watermark while they leave.
    watermark: Watermark,
    /// The watermark that lets windows close, and when it was reached.
    then: Option<(Watermark, MonotonicNanos)>,
}

/// One source's folded slices and the decision to fold.
#[derive(Debug)]
pub(super) struct LocalFold<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> {
    setting: Combining,
    combiner: Combiner<K, A, Row>,
    flush: Option<Flush>,
    /// Whether records are folded now.
    folds: bool,
    /// Whether a row found no room in the combiner.
    full: bool,
    /// Rows judged by the partition's watermark are on time from here on.
    on_time_from: i64,
    /// Whether the source had nothing to read since the last window's end.
    waited: bool,
    /// What had left when the sample began, and window ends since then.
    sampled: Drained,
    cuts: u32,
    /// Window ends to let pass before folding is tried again, and how many times a trial's.
    rest: u32,
    rest_factor: u32,
    /// Whether folding has paid since it was last begun.
    proven: bool,
    /// Rows at the last window's end, and between the last two.
    rows_at_cut: u64,
    rows_per_cut: u64,
}

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> LocalFold<K, A, Row> {
    pub(super) fn new(setting: Combining, combiner: Combiner<K, A, Row>) -> Self {
        Self {
            setting,
            combiner,
            flush: None,
            folds: setting == Combining::Always,
            full: false,
            on_time_from: i64::MIN,
            waited: false,
            sampled: Drained::default(),
            cuts: 0,
            rest: 0,
            rest_factor: REST_FACTOR,
            proven: false,
            rows_at_cut: 0,
            rows_per_cut: 0,
        }
    }

    /// Whether records are folded now.
    pub(super) fn folds(&self) -> bool {
        self.folds
    }

    /// Whether something is on its way out.
    pub(super) fn is_flushing(&self) -> bool {
        self.flush.is_some()
    }

    /// Records in hand.
    pub(super) fn records(&self) -> u64 {
        self.combiner.records()
    }

    /// Records that were folded and have left.
    pub(super) fn sent(&self) -> u64 {
        self.combiner.drained().records
    }

    /// Whether nothing is in hand or still to be said.
    pub(super) fn is_empty(&self) -> bool {
        self.combiner.records() == 0 && self.flush.is_none()
    }

    /// The source had nothing to read.
    pub(super) fn note_wait(&mut self) {
        self.waited = true;
        self.folds &= self.setting != Combining::Auto;
    }

    /// Folds a row if it is on time for all its windows. `None` when it is not: late rows are
    /// sent one by one, to be judged where they go.
    #[inline(always)]
    pub(super) fn take<S: Schema<Row = Row, Key = K>>(
        &mut self,
        schema: &S,
        (row, heap): (&Row, &[u8]),
        sequence: SourceSequence,
    ) -> Option<Flow> {
        if schema.event_time(row).as_nanos() < self.on_time_from {
            return None;
        }
        let flow = self.combiner.fold(schema, (row, heap), sequence);
        self.full |= flow == Flow::Full;
        Some(flow)
    }

    /// The watermark passed a window's end: rows from `on_time_from` on are on time now.
    /// `rows` have been taken since the start. `false` when nothing is in hand, so that the lanes
    /// may hear of it at once.
    pub(super) fn cut(
        &mut self,
        on_time_from: i64,
        watermark: Watermark,
        rows: u64,
        then: (Watermark, MonotonicNanos),
    ) -> bool {
        self.on_time_from = on_time_from;
        self.rows_per_cut = rows - std::mem::replace(&mut self.rows_at_cut, rows);
        self.decide();
        if self.combiner.records() == 0 {
            return false;
        }
        let before = if self.folds { on_time_from } else { i64::MAX };
        self.flush = Some(Flush { before, watermark, then: Some(then) });
        true
    }

    /// All that is in hand is to leave.
    pub(super) fn flush_all(&mut self, watermark: Watermark) {
        if self.combiner.records() > 0 && self.flush.is_none() {
            self.flush = Some(Flush { before: i64::MAX, watermark, then: None });
        }
    }

    /// Keeps what is in hand within bounds, and ends a trial that promises nothing.
    pub(super) fn bound(&mut self, watermark: Watermark) {
        if self.folds && !self.proven && self.setting == Combining::Auto {
            self.look_at_trial();
        }
        if std::mem::take(&mut self.full) || self.combiner.bytes() > COMBINED_BYTES_MAX {
            self.flush_all(watermark);
        }
    }

    /// Decides whether records are folded until the next window's end.
    fn decide(&mut self) {
        let waited = std::mem::take(&mut self.waited);
        if self.setting != Combining::Auto {
            return;
        }
        if !self.folds {
            self.rest = self.rest.saturating_sub(1);
            self.folds = self.rest == 0 && !waited;
            self.begin_sample();
            return;
        }
        self.cuts += 1;
        let left = self.combiner.drained();
        let (records, partials) =
            (left.records - self.sampled.records, left.partials - self.sampled.partials);
        if partials >= SAMPLE_PARTIALS || self.cuts >= SAMPLE_CUTS {
            match records >= partials * RECORDS_PER_PARTIAL_MIN {
                true => (self.proven, self.rest_factor) = (true, REST_FACTOR),
                false => self.give_up(),
            }
            self.begin_sample();
        }
    }

    /// Folding does not pay. It is tried again later.
    fn give_up(&mut self) {
        (self.folds, self.proven) = (false, false);
        self.rest = self.cuts.max(1) * self.rest_factor;
        self.rest_factor = (self.rest_factor * 4).min(REST_FACTOR_MAX);
    }

    /// Where eight records of a key come to a slice, its first quarter holds more than two of
    /// each key that came.
    fn look_at_trial(&mut self) {
        let records = self.combiner.records();
        if records < SAMPLE_RECORDS_MIN {
            return;
        }
        let (slices, partials) = self.combiner.held();
        if records * 4 >= self.rows_per_cut * slices as u64 && records < partials * 2 {
            self.give_up();
        }
    }

    fn begin_sample(&mut self) {
        (self.sampled, self.cuts) = (self.combiner.drained(), 0);
    }

    /// Sends what is to leave, as far as the lanes have room. Says whether all has left.
    pub(super) fn flush(
        &mut self,
        router: &mut Router,
        mut local: Option<&mut LocalRing<u64>>,
    ) -> bool {
        let Some(Flush { before, watermark, then }) = self.flush else {
            return true;
        };
        let stride = SlicePartial::<K, A::Partial>::stride_words();
        loop {
            let Some(mut round) = router.open_partials(local.as_deref_mut(), watermark, stride)
            else {
                return false;
            };
            let firing = self.combiner.drain(before, &mut |partial| {
                let lay = |words: &mut [u64], tail: &mut Vec<u8>| partial.lay(words, tail);
                match round.push_partial::<K>(partial.key, partial.records, lay) {
                    true => Flow::Taken,
                    false => Flow::Full,
                }
            });
            round.close(watermark, false, 0);
            if firing == Firing::Done {
                break;
            }
        }
        let said = then.is_none_or(|(advances, at)| {
            router.control(local, FrameKind::Watermark, advances, at.0)
        });
        if said {
            self.flush = None;
        }
        said
    }
}
