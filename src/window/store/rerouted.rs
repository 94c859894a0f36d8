//! Stores whose keys go to other shards: what several stores hold together is divided anew.
//!
//! A key was in one store and is in one store again, so open slices are moved entry by entry.
//! Combined slices are combined anew, in the order of time: sums of floats may come out otherwise
//! in their last digit.

use super::{Pane, WindowStore};
use crate::aggregate::Aggregate;
use crate::record::KeyKind;
use crate::window::copies::Copies;
use crate::window::pane::UNWATCHED;
use crate::window::spec::SliceIndex;
use std::collections::BTreeSet;

/// Stores have not let out the same windows, or hold more slices together than one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shards' windows do not stand at one place")]
pub struct NotTogether;

/// Panes of one slice, one a store.
type Panes<K, P> = Vec<Pane<K, P>>;

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> WindowStore<K, A, Row> {
    /// Divides what these stores hold among `count`, at least as many: each key goes to the one
    /// that `owner` names. What a store has counted stays with the one in its place.
    ///
    /// # Errors
    /// When they have not let out the same windows, or too many slices are open.
    ///
    /// # Panics
    /// When there is none, or a snapshot of one is on its way.
    pub fn reroute(
        stores: &[&Self],
        count: usize,
        owner: impl Fn(K::Ref<'_>) -> usize,
    ) -> Result<Vec<Self>, NotTogether> {
        let first = stores.first().expect("there is a store to divide");
        assert!(stores.iter().all(|store| !store.is_frozen()), "no snapshot is on its way");
        if stores.iter().any(|store| store.is_firing() || store.fired != first.fired) {
            return Err(NotTogether);
        }
        let horizon = stores.iter().map(|store| store.horizon).max().unwrap_or(i64::MIN);
        let fresh = |at: usize| {
            let mut store =
                Self::new(first.spec, first.tick, first.aggregate.clone(), first.limits);
            (store.fired, store.horizon, store.ending) = (first.fired, horizon, first.ending);
            if let Some(old) = stores.get(at) {
                store.windows_fired = old.windows_fired;
                store.entries_left = old.entries_left;
            }
            store
        };
        let mut made: Vec<Self> = (0..count).map(fresh).collect();
        for store in stores {
            store.hand_over(&mut made, &owner)?;
        }
        let slices: BTreeSet<SliceIndex> =
            stores.iter().flat_map(|store| store.sliding.slices_retained()).collect();
        for slice in slices {
            Self::combine_anew(stores, slice, &mut made, &owner);
        }
        Ok(made)
    }

    /// Hands over all that is not combined.
    fn hand_over(
        &self,
        made: &mut [Self],
        owner: &impl Fn(K::Ref<'_>) -> usize,
    ) -> Result<(), NotTogether> {
        for (slice, at) in self.slices.by_time() {
            let pane = self.slices.pane(at);
            for entry in &pane.entries {
                let key = pane.key(entry);
                let to = &mut made[owner(key)];
                let at = to.slices.open(slice).map_err(|_| NotTogether)?;
                let Self { slices, hasher, .. } = to;
                let hash = K::table_hash(hasher, key);
                take(slices.pane_mut(at), (hash, key), &entry.partial, &self.aggregate);
                to.entries += 1;
            }
        }
        for (place, pane) in &self.held {
            for entry in &pane.entries {
                let key = pane.key(entry);
                let to = &mut made[owner(key)];
                let hash = K::table_hash(&to.hasher, key);
                let into = to.held.entry(*place).or_default();
                take(into, (hash, key), &entry.partial, &self.aggregate);
                to.entries += 1;
            }
        }
        Ok(())
    }

    /// Brings together a slice that was combined already.
    fn combine_anew(
        stores: &[&Self],
        slice: SliceIndex,
        made: &mut [Self],
        owner: &impl Fn(K::Ref<'_>) -> usize,
    ) {
        let mut panes: Panes<K, A::Partial> = made.iter().map(|_| Pane::default()).collect();
        for store in stores {
            store.sliding.each_of(slice, |key, partial| {
                let at = owner(key);
                let hash = K::table_hash(&made[at].hasher, key);
                take(&mut panes[at], (hash, key), partial, &store.aggregate);
            });
        }
        for (store, pane) in made.iter_mut().zip(&panes).filter(|(_, it)| !it.entries.is_empty()) {
            let with = (&store.hasher, &store.aggregate);
            store.sliding.push(slice, pane, with, &mut Copies::default());
        }
    }
}

/// Adds a key's partial to a pane.
fn take<K: KeyKind, A: Aggregate<Row>, Row: ?Sized>(
    pane: &mut Pane<K, A::Partial>,
    key: (u64, K::Ref<'_>),
    partial: &A::Partial,
    aggregate: &A,
) {
    let (into, is_new) = pane.entry::<UNWATCHED>(key, *partial, &mut Copies::default());
    if !is_new {
        aggregate.combine(into, partial);
    }
}
