//! Slots on their way in.

use super::watch::Writing;
use crate::sync::{AtomicU64, Ordering};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Slots that the producing end may fill, a slice that is never in two pieces. What they hold at
/// first is zeros or older data. They go to the consumer by [`Claim::commit`]; a claim that is
/// dropped instead never happened.
///
/// Claims of a [`Producer`](super::Producer) and of a [`LocalRing`](super::LocalRing) are one type,
/// so that claims of many lanes can be kept side by side; only the commit knows which it is.
#[must_use = "a claim that is not committed never happened"]
pub struct Claim<'p, T> {
    // A pointer and not a reference: once the commit is published the slots are the consumer's,
    // and no reference to them may be alive on this side, not even one that goes unused.
    slots: NonNull<[T]>,
    written: &'p mut u64,
    lane: Lane<'p>,
    writing: Writing,
    end: PhantomData<&'p mut [T]>,
}

/// Where a commit is made known.
pub(super) enum Lane<'p> {
    /// To the other core.
    Shared(&'p AtomicU64),
    /// Nowhere else: one owner has both ends.
    Local,
}

// SAFETY: a claim is the one way to its slots, as `&mut [T]` would be, and may go where that may.
unsafe impl<T: Send> Send for Claim<'_, T> {}

impl<'p, T> Claim<'p, T> {
    /// A claim of `slots` at position `written`: nobody else touches them for `'p`, or until `lane`
    /// is told of the commit.
    #[inline]
    pub(super) fn new(
        slots: &'p mut [T],
        written: &'p mut u64,
        lane: Lane<'p>,
        writing: Writing,
    ) -> Self {
        Self { slots: NonNull::from(slots), written, lane, writing, end: PhantomData }
    }

    /// Hands the first `used` slots to the consumer, as one unit; the rest of the claim never
    /// happened. One store with release order.
    ///
    /// # Panics
    ///
    /// When `used` is more than was claimed.
    #[inline]
    pub fn commit(self, used: usize) {
        let claimed = self.slots.len();
        assert!(used <= claimed, "{used} slots of a claim of {claimed}");
        *self.written += used as u64;
        self.writing.end();
        if let Lane::Shared(position) = self.lane {
            position.store(*self.written, Ordering::Release);
        }
    }
}

impl<T> Deref for Claim<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: they were lent to `new` alone; the commit consumes the claim, so it is to come.
        unsafe { self.slots.as_ref() }
    }
}

impl<T> DerefMut for Claim<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: they were lent to `new` alone; the commit consumes the claim, so it is to come.
        unsafe { self.slots.as_mut() }
    }
}

impl<T> fmt::Debug for Claim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("position", &self.written)
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}
