//! The memory of a ring and the map from positions to places in it.

use super::watch::{Reading, Watch, Writing};
use crate::sync::UnsafeCell;
use bytemuck::Pod;
use std::hint::black_box;
use std::ptr::NonNull;

/// `capacity` slots and, behind them, the overflow into which a claim runs that starts near the
/// end.
pub(super) struct Slots<T> {
    cells: Box<[UnsafeCell<T>]>,
    capacity: usize,
    claim_max: usize,
    watch: Watch,
}

impl<T: Pod> Slots<T> {
    pub(super) fn new(capacity: usize, claim_max: usize) -> Self {
        assert!(capacity.is_power_of_two(), "a ring's capacity is a power of two, not {capacity}");
        assert!(
            (1..=capacity).contains(&claim_max),
            "a ring's longest claim is between 1 and its capacity of {capacity}, not {claim_max}"
        );
        let len = capacity + claim_max - 1;
        let mut cells: Box<[_]> = (0..len).map(|_| UnsafeCell::new(T::zeroed())).collect();
        // Fresh memory may be a promise of zeros whose pages come at the first touch. Touch them
        // here, behind the optimiser's back, and not in the first round of a running lane.
        for cell in black_box(&mut cells[..]) {
            *cell.get_mut() = T::zeroed();
        }
        Self { watch: Watch::new(len), cells, capacity, claim_max }
    }
}

impl<T> Slots<T> {
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    #[inline]
    fn index(&self, position: u64) -> usize {
        // The capacity is a power of two.
        position as usize & (self.capacity - 1)
    }

    /// The place of `slots` slots that start at `position`: a valid pointer to initialised memory
    /// as long as `self` lives. Who may follow it when is for the ends to know.
    ///
    /// # Panics
    ///
    /// When `slots` is more than the longest claim.
    #[inline]
    pub(super) fn part(&self, position: u64, slots: usize) -> NonNull<[T]> {
        assert!(slots <= self.claim_max, "{slots} slots are more than the ring's longest claim");
        let first = &self.cells[self.index(position)..][..slots];
        // A cell has the layout of what it holds and lends it to whoever has a shared reference.
        NonNull::slice_from_raw_parts(NonNull::from(first).cast(), slots)
    }

    /// Says that the slots are being written until the guard is dropped.
    #[inline]
    pub(super) fn writing(&self, position: u64, slots: usize) -> Writing {
        self.watch.writing(self.index(position), slots)
    }

    /// Says that the slots are being read until the guard is dropped.
    #[inline]
    pub(super) fn reading(&self, position: u64, slots: usize) -> Reading {
        self.watch.reading(self.index(position), slots)
    }
}
