//! The merge of a shard's inbound watermarks: a pure machine. It has no ring, no clock, no
//! window; what it decides follows from what it was told, in that order.
//!
//! What it decides, case by case:
//!
//! - The merged watermark is the lowest of the active lanes'. It never falls.
//! - An idle lane does not hold it back. A lane that is done never does.
//! - A lane that stopped before its end holds it back for good: windows that the lane would have
//!   had more for do not close in time. One that was idle then does not.
//! - All lanes done or stopped: the merged watermark is [`Watermark::END`].
//! - No lane active, some idle: it rises to the highest of the idle lanes', so that it does not
//!   matter which of them fell idle first, and holds there, since what they will bring is unknown.
//!   With `idle_advance` it follows the clock from there: it rises by the processing time that has
//!   passed since the last lane fell idle.
//! - A lane that returns from idle adopts the merged watermark: what it brings is judged by that
//!   or by its own watermark, whichever is higher.

use crate::record::{NotSaved, WordsReader, WordsWriter};
use crate::time::{EventTime, MonotonicNanos, Span, Watermark};

/// As it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum LaneState {
    Active = 0,
    Idle = 1,
    Done = 2,
    Stopped = 3,
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    state: LaneState,
    watermark: Watermark,
    /// The merged watermark as it stood when the lane last returned from idle.
    adopted: Watermark,
}

/// Folds the watermarks of all inbound lanes into the shard's own.
#[derive(Debug)]
pub struct WatermarkMerge {
    lanes: Box<[Lane]>,
    merged: Watermark,
    idle_advance: bool,
    /// When the last lane fell idle, and the merged watermark at that moment.
    all_idle: Option<(MonotonicNanos, Watermark)>,
}

impl WatermarkMerge {
    /// A merge of so many lanes, all active and promising nothing yet.
    pub fn new(lanes: usize, idle_advance: bool) -> Self {
        let lane = Lane {
            state: LaneState::Active,
            watermark: Watermark::START,
            adopted: Watermark::START,
        };
        Self {
            lanes: vec![lane; lanes].into(),
            merged: Watermark::START,
            idle_advance,
            all_idle: None,
        }
    }

    /// The merged watermark.
    pub fn merged(&self) -> Watermark {
        self.merged
    }

    /// Another run goes on: its clock is another one.
    pub fn begin_run(&mut self) {
        self.all_idle = None;
    }

    /// The watermark of a lane.
    pub fn watermark_of(&self, lane: usize) -> Watermark {
        self.lanes[lane].watermark
    }

    /// The highest watermark that any lane came to.
    pub fn highest(&self) -> Watermark {
        self.lanes.iter().map(|lane| lane.watermark).max().unwrap_or(Watermark::START)
    }

    /// Whether no lane will bring anything more.
    pub fn is_done(&self) -> bool {
        (0..self.lanes.len()).all(|lane| self.is_lane_done(lane))
    }

    /// Whether a lane will bring nothing more: it is done, or stopped.
    pub fn is_lane_done(&self, lane: usize) -> bool {
        matches!(self.lanes[lane].state, LaneState::Done | LaneState::Stopped)
    }

    /// The watermark by which rows of `lane` are judged that were sent under `own`. Wakes the
    /// lane when it was idle.
    pub fn judge(&mut self, lane: usize, own: Watermark) -> Watermark {
        let merged = self.merged;
        let lane = &mut self.lanes[lane];
        if lane.state == LaneState::Idle {
            lane.state = LaneState::Active;
            lane.adopted = merged;
            lane.watermark = lane.watermark.max(merged);
            self.all_idle = None;
        }
        own.max(lane.adopted)
    }

    /// A lane's watermark is `next` now. Says the merged watermark when, and only when, it moved.
    pub fn observe(&mut self, lane: usize, next: Watermark) -> Option<Watermark> {
        let next = self.judge(lane, next);
        let lane = &mut self.lanes[lane];
        if next <= lane.watermark {
            return None;
        }
        lane.watermark = next;
        self.reconsider()
    }

    /// A lane is idle, or still is, at `now`. Says the merged watermark when it moved.
    pub fn idle(&mut self, lane: usize, now: MonotonicNanos) -> Option<Watermark> {
        if self.lanes[lane].state == LaneState::Active {
            self.lanes[lane].state = LaneState::Idle;
        }
        self.reconsider().or_else(|| self.follow_clock(now))
    }

    /// A lane will bring nothing more. Says the merged watermark when it moved.
    pub fn done(&mut self, lane: usize) -> Option<Watermark> {
        self.lanes[lane].state = LaneState::Done;
        self.reconsider()
    }

    /// A lane brings nothing more, though it would have. Says the merged watermark when it moved.
    pub fn stopped(&mut self, lane: usize) -> Option<Watermark> {
        let lane = &mut self.lanes[lane];
        lane.state = match lane.state {
            LaneState::Active => LaneState::Stopped,
            _ => LaneState::Done,
        };
        self.reconsider()
    }

    /// The merge of a shard that goes on where these stood together, having taken the same of
    /// each lane: a promise that one of them heard holds for all.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn together(all: &[&Self]) -> Self {
        let first = all.first().expect("there is a merge to go on from");
        let lane = |at: usize| {
            let lanes = || all.iter().map(|merge| merge.lanes[at]);
            let active = lanes().find(|lane| lane.state == LaneState::Active);
            let state = active.unwrap_or(first.lanes[at]).state;
            let highest = |of: fn(Lane) -> Watermark| lanes().map(of).max();
            Lane {
                state,
                watermark: highest(|lane| lane.watermark).unwrap_or(Watermark::START),
                adopted: highest(|lane| lane.adopted).unwrap_or(Watermark::START),
            }
        };
        Self {
            lanes: (0..first.lanes.len()).map(lane).collect(),
            merged: all.iter().map(|merge| merge.merged).max().unwrap_or(Watermark::START),
            idle_advance: first.idle_advance,
            all_idle: None,
        }
    }

    /// Writes down where all lanes stand.
    pub fn save(&self, out: &mut WordsWriter) {
        out.word(self.lanes.len() as u64);
        for lane in &self.lanes {
            out.word(lane.state as u64);
            out.word(lane.watermark.to_raw().cast_unsigned());
            out.word(lane.adopted.to_raw().cast_unsigned());
        }
        out.word(self.merged.to_raw().cast_unsigned());
        let (since, base) = self.all_idle.unwrap_or((MonotonicNanos(0), Watermark::START));
        out.word(u64::from(self.all_idle.is_some()));
        out.word(since.0);
        out.word(base.to_raw().cast_unsigned());
    }

    /// Brings a merge of as many lanes to what was written down.
    ///
    /// # Errors
    /// When something else was.
    pub fn restore(&mut self, from: &mut WordsReader<'_>) -> Result<(), NotSaved> {
        let watermark = |from: &mut WordsReader<'_>| {
            from.word().map(|raw| Watermark::from_raw(raw.cast_signed()))
        };
        if from.count(3)? != self.lanes.len() {
            return Err(NotSaved);
        }
        for lane in &mut self.lanes {
            lane.state = match from.word()? {
                0 => LaneState::Active,
                1 => LaneState::Idle,
                2 => LaneState::Done,
                3 => LaneState::Stopped,
                _ => return Err(NotSaved),
            };
            lane.watermark = watermark(from)?;
            lane.adopted = watermark(from)?;
        }
        self.merged = watermark(from)?;
        let is_idle = from.word()? != 0;
        let since = MonotonicNanos(from.word()?);
        let base = watermark(from)?;
        self.all_idle = is_idle.then_some((since, base));
        Ok(())
    }

    fn reconsider(&mut self) -> Option<Watermark> {
        if self.is_done() {
            return self.merged.advance_to(Watermark::END);
        }
        let holding = |lane: &&Lane| matches!(lane.state, LaneState::Active | LaneState::Stopped);
        let lowest = self.lanes.iter().filter(holding).map(|lane| lane.watermark).min();
        let idle = || self.lanes.iter().filter(|lane| lane.state == LaneState::Idle);
        let next = lowest.or_else(|| idle().map(|lane| lane.watermark).max())?;
        self.merged.advance_to(next)
    }

    fn follow_clock(&mut self, now: MonotonicNanos) -> Option<Watermark> {
        if !self.idle_advance || self.lanes.iter().any(|lane| lane.state == LaneState::Active) {
            return None;
        }
        let (since, base) = *self.all_idle.get_or_insert((now, self.merged));
        let time: EventTime = base.time()?;
        let next = time.saturating_add(Span::from_nanos(now.since(since)));
        self.merged.advance_to(Watermark::at(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> Watermark {
        Watermark::at(EventTime::from_nanos(nanos))
    }

    const NOW: MonotonicNanos = MonotonicNanos(1_000);

    #[test]
    fn the_lowest_active_lane_decides() {
        let mut merge = WatermarkMerge::new(2, false);
        assert_eq!(merge.observe(0, at(10)), None);
        assert_eq!(merge.observe(1, at(5)), Some(at(5)));
        assert_eq!(merge.observe(1, at(20)), Some(at(10)));
        assert_eq!(merge.observe(0, at(10)), None);
    }

    #[test]
    fn a_lane_that_said_nothing_holds_the_rest_back() {
        let mut merge = WatermarkMerge::new(3, false);
        assert_eq!(merge.observe(0, at(10)), None);
        assert_eq!(merge.observe(1, at(10)), None);
        assert_eq!(merge.merged(), Watermark::START);
    }

    #[test]
    fn a_watermark_that_falls_is_ignored() {
        let mut merge = WatermarkMerge::new(1, false);
        assert_eq!(merge.observe(0, at(10)), Some(at(10)));
        assert_eq!(merge.observe(0, at(9)), None);
        assert_eq!(merge.merged(), at(10));
    }

    #[test]
    fn an_idle_lane_does_not_hold_back() {
        let mut merge = WatermarkMerge::new(2, false);
        merge.observe(0, at(10));
        assert_eq!(merge.idle(1, NOW), Some(at(10)));
        assert_eq!(merge.observe(0, at(11)), Some(at(11)));
    }

    #[test]
    fn a_done_lane_does_not_hold_back() {
        let mut merge = WatermarkMerge::new(2, false);
        merge.observe(0, at(10));
        assert_eq!(merge.done(1), Some(at(10)));
        assert_eq!(merge.done(0), Some(Watermark::END));
        assert!(merge.is_done());
    }

    #[test]
    fn when_all_are_idle_the_watermark_holds() {
        let mut merge = WatermarkMerge::new(2, false);
        merge.observe(0, at(10));
        merge.observe(1, at(5));
        assert_eq!(merge.idle(1, NOW), Some(at(10)));
        assert_eq!(merge.idle(0, NOW), None);
        assert_eq!(merge.idle(0, MonotonicNanos(9_999)), None);
        assert_eq!(merge.merged(), at(10));
    }

    #[test]
    fn when_all_fall_idle_it_does_not_matter_which_was_first() {
        for [first, last] in [[0, 1], [1, 0]] {
            let mut merge = WatermarkMerge::new(2, false);
            merge.observe(0, at(10));
            merge.observe(1, at(5));
            merge.idle(first, NOW);
            merge.idle(last, NOW);
            assert_eq!(merge.merged(), at(10));
        }
    }

    #[test]
    fn a_lane_that_stopped_holds_it_back_until_all_have() {
        let mut merge = WatermarkMerge::new(3, false);
        merge.observe(0, at(10));
        merge.observe(1, at(5));
        merge.observe(2, at(7));
        assert_eq!(merge.stopped(1), None);
        assert_eq!(merge.observe(0, at(90)), None);
        assert_eq!(merge.observe(2, at(90)), None);
        assert_eq!(merge.done(0), None);
        assert!(merge.is_lane_done(1) && !merge.is_done());
        assert_eq!(merge.stopped(2), Some(Watermark::END));
        assert!(merge.is_done());
    }

    #[test]
    fn a_lane_that_was_idle_when_it_stopped_holds_nothing_back() {
        let mut merge = WatermarkMerge::new(2, false);
        merge.observe(0, at(10));
        merge.idle(1, NOW);
        merge.stopped(1);
        assert_eq!(merge.observe(0, at(11)), Some(at(11)));
    }

    #[test]
    fn one_done_and_one_idle_is_not_the_end() {
        let mut merge = WatermarkMerge::new(2, false);
        merge.observe(0, at(10));
        merge.observe(1, at(5));
        merge.idle(1, NOW);
        assert_eq!(merge.done(0), None);
        assert_eq!(merge.merged(), at(10));
        assert_eq!(merge.observe(1, at(12)), Some(at(12)));
        assert_eq!(merge.done(1), Some(Watermark::END));
    }

    #[test]
    fn a_lane_that_returns_adopts_the_merged_watermark() {
        let mut merge = WatermarkMerge::new(2, false);
        merge.observe(0, at(10));
        merge.observe(1, at(5));
        merge.idle(1, NOW);
        merge.observe(0, at(30));
        assert_eq!(merge.judge(1, at(5)), at(30));
        assert_eq!(merge.observe(1, at(6)), None, "it did not go back");
        assert_eq!(merge.observe(0, at(40)), None, "the returned lane holds it at 30");
        assert_eq!(merge.judge(1, at(35)), at(35), "its own watermark counts once it is higher");
        assert_eq!(merge.observe(1, at(50)), Some(at(40)));
    }

    #[test]
    fn a_lane_that_was_never_idle_is_judged_by_its_own_watermark() {
        let mut merge = WatermarkMerge::new(2, false);
        merge.observe(0, at(10));
        merge.observe(1, at(5));
        assert_eq!(merge.judge(0, at(7)), at(7));
    }

    #[test]
    fn with_idle_advance_all_idle_follows_the_clock() {
        let mut merge = WatermarkMerge::new(2, true);
        merge.observe(0, at(10));
        merge.observe(1, at(5));
        assert_eq!(merge.idle(1, MonotonicNanos(100)), Some(at(10)));
        assert_eq!(merge.idle(1, MonotonicNanos(150)), None, "one lane is active");
        assert_eq!(merge.idle(0, MonotonicNanos(200)), None);
        assert_eq!(merge.idle(1, MonotonicNanos(230)), Some(at(40)));
        assert_eq!(merge.idle(0, MonotonicNanos(220)), None, "an older reading changes nothing");
        assert_eq!(merge.judge(0, at(12)), at(40));
        assert_eq!(merge.idle(1, MonotonicNanos(500)), None, "lane 0 is active again");
        assert_eq!(merge.idle(0, MonotonicNanos(600)), None);
        assert_eq!(merge.idle(0, MonotonicNanos(610)), Some(at(50)));
    }

    #[test]
    fn a_merge_that_was_saved_goes_on_as_if_it_had_not_been() {
        let mut merge = WatermarkMerge::new(3, true);
        merge.observe(0, at(10));
        merge.observe(1, at(5));
        merge.done(2);
        merge.idle(1, MonotonicNanos(100));
        merge.idle(0, MonotonicNanos(200));
        let mut out = WordsWriter::default();
        merge.save(&mut out);
        let words = out.written();
        let mut restored = WatermarkMerge::new(3, true);
        restored.restore(&mut WordsReader::new(words)).unwrap();
        for merge in [&mut merge, &mut restored] {
            assert_eq!(merge.idle(1, MonotonicNanos(230)), Some(at(40)));
            assert_eq!(merge.judge(0, at(12)), at(40));
            assert_eq!(merge.watermark_of(1), at(5));
            assert!(merge.is_lane_done(2));
        }
        let mut other = WatermarkMerge::new(2, true);
        assert_eq!(other.restore(&mut WordsReader::new(words)), Err(NotSaved));
    }

    #[test]
    fn with_idle_advance_nothing_rises_from_the_start() {
        let mut merge = WatermarkMerge::new(1, true);
        assert_eq!(merge.idle(0, MonotonicNanos(100)), None);
        assert_eq!(merge.idle(0, MonotonicNanos(900)), None);
        assert_eq!(merge.merged(), Watermark::START);
    }

    #[test]
    fn with_idle_advance_done_lanes_are_passed_over() {
        let mut merge = WatermarkMerge::new(2, true);
        merge.observe(0, at(10));
        merge.observe(1, at(10));
        merge.done(0);
        assert_eq!(merge.idle(1, MonotonicNanos(100)), None);
        assert_eq!(merge.idle(1, MonotonicNanos(105)), Some(at(15)));
    }
}
