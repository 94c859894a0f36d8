//! The ring of one owner.

use super::claim::{Claim, Lane};
use super::slots::Slots;
use bytemuck::Pod;
use std::fmt;

/// A ring whose two ends have one owner: the lane for what a core sends to itself. The same slots,
/// units and calls as [`ring`](super::ring()), without atomics.
pub struct LocalRing<T> {
    slots: Slots<T>,
    written: u64,
    read: u64,
}

impl<T: Pod> LocalRing<T> {
    /// Makes a ring of `capacity` slots. No claim and no read is longer than `claim_max` slots.
    ///
    /// # Panics
    ///
    /// When `capacity` is not a power of two, or `claim_max` is zero or more than `capacity`.
    pub fn new(capacity: usize, claim_max: usize) -> Self {
        Self { slots: Slots::new(capacity, claim_max), written: 0, read: 0 }
    }
}

impl<T> LocalRing<T> {
    /// Claims `slots` slots, or `None` when fewer are free.
    ///
    /// # Panics
    ///
    /// When `slots` is more than the ring's longest claim: such a claim would never succeed.
    #[inline]
    pub fn claim(&mut self, slots: usize) -> Option<Claim<'_, T>> {
        let mut part = self.slots.part(self.written, slots);
        if self.free() < slots {
            return None;
        }
        let writing = self.slots.writing(self.written, slots);
        // SAFETY: the slots are initialised, and the claim borrows the ring, which is their owner.
        let part = unsafe { part.as_mut() };
        Some(Claim::new(part, &mut self.written, Lane::Local, writing))
    }

    /// Slots that can be claimed now.
    #[inline]
    pub fn free(&self) -> usize {
        self.capacity() - self.fill()
    }

    /// Slots that can be read now, in whole units.
    #[inline]
    pub fn readable(&self) -> usize {
        self.fill()
    }

    /// The first `slots` slots that are not released, or `None` when there are fewer. One unit, or
    /// the beginning of one, as for [`Consumer::front`](super::Consumer::front).
    ///
    /// # Panics
    ///
    /// When `slots` is more than the ring's longest claim: no unit has so many.
    #[inline]
    pub fn front(&self, slots: usize) -> Option<&[T]> {
        let part = self.slots.part(self.read, slots);
        if self.fill() < slots {
            return None;
        }
        // SAFETY: the slots are initialised, and the slice borrows the ring, which is their owner.
        Some(unsafe { part.as_ref() })
    }

    /// Gives the first `slots` slots back: whole units, one or several.
    ///
    /// # Panics
    ///
    /// When `slots` is more than there are to read.
    #[inline]
    pub fn release(&mut self, slots: usize) {
        let fill = self.fill();
        assert!(slots <= fill, "{slots} slots released of {fill}");
        self.read += slots as u64;
    }

    /// Slots of the ring.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Slots in flight: committed and not released.
    #[inline]
    pub fn fill(&self) -> usize {
        (self.written - self.read) as usize
    }
}

impl<T> fmt::Debug for LocalRing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRing")
            .field("capacity", &self.capacity())
            .field("written", &self.written)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}
