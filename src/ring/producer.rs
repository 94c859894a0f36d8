//! The end that writes.

use super::Shared;
use super::claim::{Claim, Lane};
use crate::sync::{Arc, Ordering};
use std::fmt;

/// The end of a ring that writes. One thread at a time has it; dropping it tells the consumer that
/// nothing more will come.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// What is published, kept here so that the shared line is only ever stored to.
    written: u64,
    /// Where the consumer stood when this end last looked: it may since have gone on.
    read_seen: u64,
}

impl<T> Producer<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared, written: 0, read_seen: 0 }
    }

    /// Claims `slots` slots, or `None` when fewer are free. Slots that are claimed and not
    /// committed cost nothing: claim what may be needed, commit what was.
    ///
    /// Looks at the consumer's position only when what it knows of it is not enough.
    ///
    /// # Panics
    ///
    /// When `slots` is more than the ring's longest claim: such a claim would never succeed.
    #[inline]
    pub fn claim(&mut self, slots: usize) -> Option<Claim<'_, T>> {
        let mut part = self.shared.slots.part(self.written, slots);
        if self.free_seen() < slots && self.free() < slots {
            return None;
        }
        let writing = self.shared.slots.writing(self.written, slots);
        let lane = Lane::Shared(&self.shared.producer.position);
        // SAFETY: the positions `written .. written + slots` are below `read + capacity`, so the
        // consumer does not own them, and before the commit it will not. It did what it did to
        // their slots before it stored the position that `free` loaded with acquire order. This
        // end has no other claim, for the claim borrows it.
        let part = unsafe { part.as_mut() };
        Some(Claim::new(part, &mut self.written, lane, writing))
    }

    /// Slots that can be claimed now. Looks at the consumer's position, so it costs what a shared
    /// cache line costs.
    #[inline]
    pub fn free(&mut self) -> usize {
        self.read_seen = self.shared.consumer.position.load(Ordering::Acquire);
        self.free_seen()
    }

    /// Slots that were free when this end last looked; there cannot be fewer now.
    #[inline]
    fn free_seen(&self) -> usize {
        self.capacity() - (self.written - self.read_seen) as usize
    }

    /// Whether the consumer was dropped: what is committed from now on, nobody will read.
    #[inline]
    pub fn is_abandoned(&self) -> bool {
        self.shared.consumer.is_gone()
    }

    /// Slots of the ring.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.shared.slots.capacity()
    }

    /// Slots in flight: committed and not released. Exact at some moment of the call.
    pub fn fill(&self) -> usize {
        (self.written - self.shared.consumer.position.load(Ordering::Relaxed)) as usize
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.producer.leave();
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("capacity", &self.capacity())
            .field("written", &self.written)
            .field("read_seen", &self.read_seen)
            .finish_non_exhaustive()
    }
}
