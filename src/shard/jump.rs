//! The jump rule: a time far ahead of all before it is not believed until others confirm it, so
//! that one broken clock can not close every window.
//!
//! A record is *held out* when its time is more than `bound` past the highest time so far. It is
//! confirmed once `confirmations` further records of its partition have times no more than
//! `bound` before its own; then it is admitted, with all that is no jump any more. One that
//! confirmed it is not believed for that: it may be further ahead still. A real gap in the data
//! confirms itself that way. What is still unconfirmed at the end of the input or at a stop, or
//! pushed out by too many others, is a dead letter.

use crate::time::Span;
use std::collections::VecDeque;
use std::fmt;

/// Records held out at a time. More push the oldest out.
const HELD_MAX: usize = 256;

/// When a jump in event time is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JumpRule {
    /// How far past the highest time so far a time is believed at once.
    pub bound: Span,
    /// How many further records confirm a time beyond that.
    pub confirmations: u32,
}

impl JumpRule {
    /// Confirmations when the user sets none.
    pub const CONFIRMATIONS: u32 = 3;

    /// The rule with a bound and the usual number of confirmations.
    pub const fn with_bound(bound: Span) -> Self {
        Self { bound, confirmations: Self::CONFIRMATIONS }
    }
}

/// As a person says it: `1d, confirmed by 3`.
impl fmt::Display for JumpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, confirmed by {}", self.bound, self.confirmations)
    }
}

/// A record that is held out: its row and heap, copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Its number among its source's records, from 1.
    pub record: u64,
    /// Its event time, in nanoseconds.
    pub nanos: i64,
    /// Its row.
    pub words: Box<[u64]>,
    /// What the row points to.
    pub heap: Box<[u8]>,
    confirmed: u32,
}

impl Held {
    /// A copy of a record.
    pub(super) fn new(record: u64, nanos: i64, words: &[u64], heap: &[u8]) -> Self {
        Self { record, nanos, words: words.into(), heap: heap.into(), confirmed: 0 }
    }
}

/// What holding a record out led to.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Records to be admitted, in the order they came.
    pub admitted: VecDeque<Held>,
    /// A record that had to make room: a dead letter.
    pub pushed_out: Option<Held>,
}

/// The records of one partition that are held out.
#[derive(Debug)]
pub(super) struct JumpGate {
    rule: JumpRule,
    held: VecDeque<Held>,
}

impl JumpGate {
    /// An empty gate.
    pub(super) fn new(rule: JumpRule) -> Self {
        Self { rule, held: VecDeque::new() }
    }

    /// The highest time that is believed at once when `max` is the highest so far. Nothing is
    /// believed before the first time is confirmed.
    pub(super) fn limit(&self, max: Option<i64>) -> i64 {
        max.map_or(i64::MIN, |max| max.saturating_add(self.rule.bound.as_nanos()))
    }

    /// Holds a record out, and lets it confirm the others.
    pub(super) fn hold(&mut self, record: Held) -> Verdict {
        let nanos = record.nanos;
        let bound = self.rule.bound.as_nanos();
        let confirms = |held: &Held| nanos >= held.nanos.saturating_sub(bound);
        self.held.iter_mut().filter(|held| confirms(held)).for_each(|held| held.confirmed += 1);
        self.held.push_back(record);
        let confirmed = self.held.iter().position(|held| held.confirmed >= self.rule.confirmations);
        if let Some(first) = confirmed {
            return Verdict { admitted: self.admit(first), pushed_out: None };
        }
        let overfull = self.held.len() > HELD_MAX;
        Verdict {
            admitted: VecDeque::new(),
            pushed_out: overfull.then(|| self.held.pop_front()).flatten(),
        }
    }

    /// Takes out the confirmed record and those that are no jump once it is admitted.
    fn admit(&mut self, first: usize) -> VecDeque<Held> {
        let Self { rule, held } = self;
        let mut max = held[first].nanos;
        let limit = loop {
            let limit = max.saturating_add(rule.bound.as_nanos());
            let is_believed =
                |held: &&Held| held.nanos <= limit || held.confirmed >= rule.confirmations;
            match held.iter().filter(is_believed).map(|held| held.nanos).max() {
                Some(higher) if higher > max => max = higher,
                _ => break limit,
            }
        };
        let (admitted, left) = held.drain(..).partition(|held| held.nanos <= limit);
        self.held = left;
        admitted
    }

    /// Takes out everything that is held, in the order it came.
    pub(super) fn drain(&mut self) -> Vec<Held> {
        self.held.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times admitted and the times that became dead letters, by the rule, for a whole input.
    fn run(bound: u64, times: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let mut gate = JumpGate::new(JumpRule::with_bound(Span::from_nanos(bound)));
        let (mut admitted, mut dead, mut max) = (Vec::new(), Vec::new(), None);
        for time in times {
            let believed = max.is_some() && *time <= gate.limit(max);
            let now = if believed {
                vec![*time]
            } else {
                let verdict = gate.hold(Held::new(1, *time, &[], &[]));
                dead.extend(verdict.pushed_out.map(|held| held.nanos));
                verdict.admitted.into_iter().map(|held| held.nanos).collect()
            };
            for time in now {
                max = max.max(Some(time));
                admitted.push(time);
            }
        }
        dead.extend(gate.drain().into_iter().map(|held| held.nanos));
        (admitted, dead)
    }

    #[test]
    fn one_broken_clock_is_a_dead_letter() {
        let times = [1, 2, 3, 4, 9_999, 5, 6, 7];
        assert_eq!(run(10, &times), (vec![1, 2, 3, 4, 5, 6, 7], vec![9_999]));
    }

    #[test]
    fn a_real_gap_confirms_itself() {
        let times = [1, 2, 3, 4, 1_000, 1_001, 5, 1_002, 1_003, 1_004];
        let admitted = vec![1, 2, 3, 4, 5, 1_000, 1_001, 1_002, 1_003, 1_004];
        assert_eq!(run(10, &times), (admitted, vec![]));
    }

    #[test]
    fn sparse_data_beyond_the_bound_confirm_each_other() {
        let times: Vec<i64> = (1..50).map(|n| n * 1_000).collect();
        let (admitted, dead) = run(10, &times);
        // Nothing comes that could confirm the last ones.
        assert_eq!((&admitted[..], &dead[..]), times.split_at(46));
    }

    #[test]
    fn a_broken_clock_confirms_others_and_is_not_believed_for_that() {
        let far = 99_999;
        let before = [1_000, far, 1_001, 1_002, 1_003];
        assert_eq!(run(10, &before), (vec![1_000, 1_001, 1_002, 1_003], vec![far]));
        let last = [1_000, 1_001, 1_002, far, 1_003];
        assert_eq!(run(10, &last), (vec![1_000, 1_001, 1_002, 1_003], vec![far]));
        let in_a_gap = [1, 2, 3, 4, 1_000, far, 1_001, 1_002, 1_003];
        let admitted = vec![1, 2, 3, 4, 1_000, 1_001, 1_002, 1_003];
        assert_eq!(run(10, &in_a_gap), (admitted, vec![far]));
    }

    #[test]
    fn a_broken_clock_within_a_real_gap_does_not_take_it_along() {
        let times = [1, 2, 3, 4, 99_999, 1_000, 1_001, 1_002, 1_003, 1_004];
        let admitted = vec![1, 2, 3, 4, 1_000, 1_001, 1_002, 1_003, 1_004];
        assert_eq!(run(10, &times), (admitted, vec![99_999]));
    }

    #[test]
    fn a_broken_first_clock_is_not_believed() {
        let times = [9_999, 1, 2, 3, 4, 5];
        assert_eq!(run(10, &times), (vec![1, 2, 3, 4, 5], vec![9_999]));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let times: Vec<i64> = (0..10_000).map(|n| 1_000_000 - n * 100).collect();
        let (admitted, dead) = run(10, &times);
        assert!(admitted.is_empty());
        assert_eq!(dead, times);
    }
}
