//! What a core does when it finds nothing to do.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How a role waits for work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdlePolicy {
    /// Looks again at once, for ever: the lowest latency, at the price of a whole core.
    Spin,
    /// Spins a little, then sleeps until it is woken or looks again by itself: an idle engine
    /// costs almost nothing.
    #[default]
    Backoff,
}

/// Looks before the first sleep, by one who looks after one shard. About 10 µs of spinning covers
/// the gaps within a busy stream, and is about what one sleep and wake-up costs.
///
/// Nothing yields to other processes in between: the scheduler puts a thread that yields behind
/// all others for a whole slice of theirs, one that sleeps comes back when it is woken.
const SPINS: u32 = 200;
/// Looks of one who looks after many shards: there are at least so many.
const SPINS_MIN: u32 = 4;
/// The first sleep.
const PARK_FIRST: Duration = Duration::from_micros(50);
/// The longest sleep. Whoever brings work rings the bell, so this bounds only how late a thing
/// without a bell is seen: a file that grew, a clock that passed a deadline.
const PARK_MAX: Duration = Duration::from_millis(10);

/// What to do now, before looking for work again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum IdleStep {
    /// Nothing but a spin-loop hint.
    Spin,
    /// Sleep so long, unless woken.
    Park(Duration),
}

/// Where one role stands in its waiting.
#[derive(Clone, Copy, Debug)]
pub struct IdleState {
    policy: IdlePolicy,
    spins: u32,
    looks: u32,
    park: Duration,
}

impl IdleState {
    /// A role that has just worked, and looks after so many shards: a look at many takes longer.
    pub fn new(policy: IdlePolicy, shards: usize) -> Self {
        let shards = u32::try_from(shards.max(1)).unwrap_or(SPINS);
        Self { policy, spins: (SPINS / shards).max(SPINS_MIN), looks: 0, park: PARK_FIRST }
    }

    /// There was work: starts again from spinning.
    #[inline]
    pub fn reset(&mut self) {
        self.looks = 0;
        self.park = PARK_FIRST;
    }

    /// There was no work once more. Says what to do.
    #[inline]
    pub fn next_step(&mut self) -> IdleStep {
        if self.policy == IdlePolicy::Spin {
            return IdleStep::Spin;
        }
        if self.looks < self.spins {
            self.looks += 1;
            return IdleStep::Spin;
        }
        let park = self.park;
        self.park = (park * 2).min(PARK_MAX);
        IdleStep::Park(park)
    }

    /// Whether the next step is a sleep, so that the caller should listen to its bell and look
    /// once more before.
    #[inline]
    pub const fn is_about_to_park(&self) -> bool {
        matches!(self.policy, IdlePolicy::Backoff) && self.looks >= self.spins
    }
}

impl fmt::Display for IdlePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spin => "spin",
            Self::Backoff => "backoff",
        })
    }
}

/// A text that names no idle policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no idle policy; there are spin and backoff")]
pub struct UnknownIdlePolicy(pub String);

impl FromStr for IdlePolicy {
    type Err = UnknownIdlePolicy;

    fn from_str(text: &str) -> Result<Self, UnknownIdlePolicy> {
        match text {
            "spin" => Ok(Self::Spin),
            "backoff" => Ok(Self::Backoff),
            _ => Err(UnknownIdlePolicy(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spinning_never_ends_when_it_is_the_policy() {
        let mut idle = IdleState::new(IdlePolicy::Spin, 1);
        for _ in 0..10_000 {
            assert!(!idle.is_about_to_park());
            assert_eq!(idle.next_step(), IdleStep::Spin);
        }
    }

    #[test]
    fn backoff_spins_then_parks_longer_and_longer() {
        for (shards, spins) in [(0, SPINS), (1, SPINS), (10, SPINS / 10), (9_999, SPINS_MIN)] {
            let mut idle = IdleState::new(IdlePolicy::Backoff, shards);
            for _ in 0..spins {
                assert!(!idle.is_about_to_park());
                assert_eq!(idle.next_step(), IdleStep::Spin);
            }
            let mut last = Duration::ZERO;
            for _ in 0..8 {
                assert!(idle.is_about_to_park());
                let IdleStep::Park(park) = idle.next_step() else {
                    panic!("a parked role stays parked")
                };
                assert!(park > last && park <= PARK_MAX);
                last = park;
            }
            for _ in 0..100 {
                assert_eq!(idle.next_step(), IdleStep::Park(PARK_MAX));
            }
            idle.reset();
        }
    }

    #[test]
    fn a_policy_reads_as_it_prints() {
        for policy in [IdlePolicy::Spin, IdlePolicy::Backoff] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!(
            "busy".parse::<IdlePolicy>().unwrap_err().to_string(),
            "'busy' is no idle policy; there are spin and backoff"
        );
    }
}
