//! The end that reads.

use super::Shared;
use super::watch::Reading;
use crate::sync::{Arc, Ordering};
use std::fmt;

/// The end of a ring that reads. One thread at a time has it; dropping it tells the producer that
/// nobody will read any more.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// What is released, kept here so that the shared line is only ever stored to.
    read: u64,
    /// Where the producer stood when this end last looked: it may since have gone on.
    written_seen: u64,
    reading: Reading,
}

impl<T> Consumer<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared, read: 0, written_seen: 0, reading: Reading::nothing() }
    }

    /// Slots that can be read now, in whole units. Looks at the producer's position only when all
    /// that it knew of is released, so there may be more.
    #[inline]
    pub fn readable(&mut self) -> usize {
        match self.readable_seen() {
            0 => self.look(),
            some => some,
        }
    }

    /// The first `slots` slots that are not released, or `None` when there are fewer. One unit, or
    /// the beginning of one: **a read does not run on into the next unit**, or what it finds there
    /// may be older data.
    ///
    /// # Panics
    ///
    /// When `slots` is more than the ring's longest claim: no unit has so many.
    #[inline]
    pub fn front(&mut self, slots: usize) -> Option<&[T]> {
        let part = self.shared.slots.part(self.read, slots);
        if self.readable_seen() < slots && self.look() < slots {
            return None;
        }
        self.reading = self.shared.slots.reading(self.read, slots);
        // SAFETY: the positions `read .. read + slots` are below `written`, so the producer does
        // not own them before their release, and the slice borrows this end, so there is none.
        // The producer wrote the slots before it stored the position that `look` loaded with
        // acquire order; those that it did not write are initialised all the same.
        Some(unsafe { part.as_ref() })
    }

    /// Gives the first `slots` slots back to the producer: whole units, one or several. One store
    /// with release order.
    ///
    /// # Panics
    ///
    /// When `slots` is more than [`Consumer::readable`] or [`Consumer::front`] told of.
    #[inline]
    pub fn release(&mut self, slots: usize) {
        let seen = self.readable_seen();
        assert!(slots <= seen, "{slots} slots released of {seen}");
        self.reading = Reading::nothing();
        self.read += slots as u64;
        self.shared.consumer.position.store(self.read, Ordering::Release);
    }

    /// Whether the producer was dropped and all that it committed is released.
    #[inline]
    pub fn is_finished(&mut self) -> bool {
        // The flag first: whoever sees it set sees the last commit as well. The other way round, a
        // commit between the two loads would be lost.
        self.shared.producer.is_gone() && self.readable() == 0
    }

    /// Whether the producer was dropped: what is there by now is all there will ever be.
    #[inline]
    pub fn is_abandoned(&self) -> bool {
        self.shared.producer.is_gone()
    }

    /// Slots of the ring.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.shared.slots.capacity()
    }

    #[inline]
    fn look(&mut self) -> usize {
        self.written_seen = self.shared.producer.position.load(Ordering::Acquire);
        self.readable_seen()
    }

    #[inline]
    fn readable_seen(&self) -> usize {
        (self.written_seen - self.read) as usize
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.consumer.leave();
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("capacity", &self.capacity())
            .field("read", &self.read)
            .field("written_seen", &self.written_seen)
            .finish_non_exhaustive()
    }
}
