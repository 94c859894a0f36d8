//! Results that are put into a table, by window and key.
//!
//! A window comes out once for each key, so a table of (window, key) has one value for each result,
//! and what comes again after a cut puts the same value at the same place: once in effect, with no
//! number kept.

use super::{Output, Results, WindowResult};
use crate::aggregate::Aggregate;
use crate::record::{KeyKind, Schema};
use crate::state::StateError;
use std::fmt::{Debug, Display};

/// A table of results by window and key, for [`Results::upsert_into`]: with keys of a kind, such as
/// [`PodKey<u64>`](crate::record::PodKey) for the plain number, and values of an aggregate.
///
/// Of a table it is asked that what was put is there for good once [`UpsertTable::commit`] has
/// returned, as durably as the state is kept; and that a value put at a (window, key) takes the
/// place of the one there. It need not be all or nothing: where only some of what was put before a
/// cut is there, the rest comes again, and so does the whole.
pub trait UpsertTable<K: KeyKind, V> {
    /// Why something could not be put.
    type Error: Debug + Display;

    /// Puts a value at its window and key, in the place of what is there.
    ///
    /// # Errors
    /// When it can not be put.
    fn put(&mut self, result: &WindowResult<K::Ref<'_>, V>) -> Result<(), Self::Error>;

    /// Once this has returned, all that was put is there for good.
    ///
    /// # Errors
    /// When it can not be said to be.
    fn commit(&mut self) -> Result<(), Self::Error>;
}

/// Why results did not come into a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpsertError<E: Debug + Display> {
    /// The table said no.
    #[error("{0}")]
    Table(E),
    /// It can not be noted first what is to be handed over.
    #[error(transparent)]
    State(StateError),
}

impl<S: Schema, A: Aggregate<S::Row>> Results<S, A> {
    /// Puts into a table what is there now, without waiting, commits it and then confirms it; says
    /// how many results that were. Late records have no place in it.
    ///
    /// With a state directory the table ends as one run would leave it, however often runs are cut
    /// off: what was not confirmed comes again with the same values.
    ///
    /// # Errors
    /// What the table says. This handle confirms nothing more then, so that all that was not in the
    /// table for good comes again from a new engine.
    pub fn upsert_into<T: UpsertTable<S::Key, A::Output>>(
        &mut self,
        table: &mut T,
    ) -> Result<usize, UpsertError<T::Error>> {
        let (mut put, mut failed) = (0, None);
        let polled = self.try_poll(|output| {
            let Output::Result(result) = output else { return };
            if failed.is_none() {
                put += 1;
                failed = table.put(&result).err();
            }
        });
        polled.map_err(UpsertError::State)?;
        if failed.is_none() && put > 0 {
            failed = table.commit().err();
        }
        match failed {
            None => self.confirm(),
            Some(error) => {
                self.spoil();
                return Err(UpsertError::Table(error));
            }
        }
        Ok(put)
    }
}
