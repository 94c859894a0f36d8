//! The open slices of windows, each with its pane; shared by the store and the combiner.

use super::cache::SliceCache;
use super::spec::{SliceIndex, WindowSpec};
use std::collections::BTreeMap;
use std::ops::RangeFrom;

/// Cleared panes that are kept for reuse.
const SPARE_PANES_MAX: usize = 64;
/// The number of no pane.
pub(super) const NO_PANE: u32 = u32::MAX;

/// What a slice holds.
pub(super) trait Content: Default {
    /// Forgets everything, keeps memory for as much again.
    fn clear(&mut self);
    /// Memory in bytes.
    fn bytes(&self) -> usize;
}

/// Slices in the order of time, found by time, and their panes.
pub(super) struct Slices<T> {
    spec: WindowSpec,
    panes: Vec<T>,
    spare: Vec<u32>,
    open: BTreeMap<SliceIndex, u32>,
    cache: SliceCache,
    open_max: usize,
}

/// No more slices than so many may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManySlices {
    pub(super) max: usize,
}

impl<T: Content> Slices<T> {
    pub(super) fn new(spec: WindowSpec, open_max: usize) -> Self {
        Self {
            spec,
            panes: Vec::new(),
            spare: Vec::new(),
            open: BTreeMap::new(),
            cache: SliceCache::new(&spec),
            open_max,
        }
    }

    /// The number of the pane of the slice that holds a time; the slice is opened if need be.
    #[inline(always)]
    pub(super) fn pane_at(&mut self, nanos: i64) -> Result<u32, TooManySlices> {
        match self.cache.find(nanos) {
            Some(pane) => Ok(pane),
            None => self.locate(nanos),
        }
    }

    #[cold]
    fn locate(&mut self, nanos: i64) -> Result<u32, TooManySlices> {
        let slice = self.spec.slice_of(nanos);
        let pane = self.open(slice)?;
        let bounds = self.spec.slice_start(slice)..self.spec.slice_end(slice);
        self.cache.remember(nanos, bounds, pane);
        Ok(pane)
    }

    pub(super) fn open(&mut self, slice: SliceIndex) -> Result<u32, TooManySlices> {
        if let Some(pane) = self.open.get(&slice) {
            return Ok(*pane);
        }
        if self.open.len() >= self.open_max {
            return Err(TooManySlices { max: self.open_max });
        }
        let pane = self.spare.pop().unwrap_or_else(|| {
            self.panes.push(T::default());
            self.panes.len() as u32 - 1
        });
        self.open.insert(slice, pane);
        Ok(pane)
    }

    #[inline(always)]
    pub(super) fn pane(&self, pane: u32) -> &T {
        &self.panes[pane as usize]
    }

    #[inline(always)]
    pub(super) fn pane_mut(&mut self, pane: u32) -> &mut T {
        &mut self.panes[pane as usize]
    }

    /// The pane of a slice, if it is open.
    pub(super) fn find(&self, slice: SliceIndex) -> Option<&T> {
        self.open.get(&slice).map(|pane| self.pane(*pane))
    }

    /// The earliest open slice.
    pub(super) fn first(&self) -> Option<SliceIndex> {
        self.open.keys().next().copied()
    }

    /// The earliest open slice of a range.
    pub(super) fn first_from(&self, range: RangeFrom<SliceIndex>) -> Option<SliceIndex> {
        self.open.range(range).next().map(|(slice, _)| *slice)
    }

    /// Takes a slice out of the open ones. Its pane stays as it is until [`Self::recycle`].
    pub(super) fn close(&mut self, slice: SliceIndex) -> Option<u32> {
        let pane = self.open.remove(&slice)?;
        self.cache.forget(self.spec.slice_start(slice)..self.spec.slice_end(slice));
        Some(pane)
    }

    pub(super) fn recycle(&mut self, pane: u32) {
        let cleared = self.pane_mut(pane);
        cleared.clear();
        if self.spare.len() >= SPARE_PANES_MAX {
            *self.pane_mut(pane) = T::default();
        }
        self.spare.push(pane);
    }

    /// The open slices in the order of time, each with the number of its pane.
    pub(super) fn by_time(&self) -> impl Iterator<Item = (SliceIndex, u32)> {
        self.open.iter().map(|(slice, pane)| (*slice, *pane))
    }

    /// What the open slices hold.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.open.values().map(|pane| self.pane(*pane))
    }

    /// Slices open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Memory of the open slices in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.iter().map(T::bytes).sum()
    }
}
