//! What happens to a row on its source's core, before its key is routed: filter, map, flat_map.
//!
//! May use `record`. Stages are chained statically and run in place; watermarks are computed
//! before them, so a filter never holds time back.

use crate::record::{ColumnRow, Columns, Record, Schema, Typed};

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// All of its outputs were placed; so many.
    Placed(u32),
    /// An output found no room. The same row is to be offered again; what was placed is not
    /// placed twice, and no closure of the user runs twice.
    NoRoom,
}

/// One stage: a row in, any number of rows out.
pub trait Stage<S: Schema>: Send {
    /// The schema of what comes out.
    type Out: Schema;

    /// The schema of what comes out when `schema` goes in.
    fn out(&self, schema: &S) -> Self::Out;

    /// Offers the outputs of `row` to `place`, until that says `false`.
    fn apply(
        &mut self,
        row: &S::Row,
        heap: &[u8],
        place: &mut impl FnMut(&<Self::Out as Schema>::Row, &[u8]) -> bool,
    ) -> Applied;
}

/// Lets every row through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass;

impl<S: Schema> Stage<S> for Pass {
    type Out = S;

    fn out(&self, schema: &S) -> S {
        schema.clone()
    }

    #[inline(always)]
    fn apply(
        &mut self,
        row: &S::Row,
        heap: &[u8],
        place: &mut impl FnMut(&S::Row, &[u8]) -> bool,
    ) -> Applied {
        if place(row, heap) { Applied::Placed(1) } else { Applied::NoRoom }
    }
}

/// Lets through the rows of text input that its filter did not refuse.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unfiltered;

impl Stage<Columns> for Unfiltered {
    type Out = Columns;

    fn out(&self, schema: &Columns) -> Columns {
        *schema
    }

    #[inline]
    fn apply(
        &mut self,
        row: &ColumnRow,
        heap: &[u8],
        place: &mut impl FnMut(&ColumnRow, &[u8]) -> bool,
    ) -> Applied {
        match row.is_filtered() {
            true => Applied::Placed(0),
            false => Stage::<Columns>::apply(&mut Pass, row, heap, place),
        }
    }
}

/// Lets through the rows that a predicate accepts.
#[derive(Clone, Debug)]
pub struct Filter<F> {
    accepts: F,
    /// The verdict on a row that was accepted and found no room.
    accepted: bool,
}

impl<F> Filter<F> {
    /// A filter by `accepts`.
    pub const fn new(accepts: F) -> Self {
        Self { accepts, accepted: false }
    }
}

impl<T: Record, F: FnMut(&T) -> bool + Send> Stage<Typed<T>> for Filter<F> {
    type Out = Typed<T>;

    fn out(&self, schema: &Typed<T>) -> Typed<T> {
        *schema
    }

    #[inline(always)]
    fn apply(
        &mut self,
        row: &T,
        heap: &[u8],
        place: &mut impl FnMut(&T, &[u8]) -> bool,
    ) -> Applied {
        if !self.accepted && !(self.accepts)(row) {
            return Applied::Placed(0);
        }
        self.accepted = !place(row, heap);
        if self.accepted { Applied::NoRoom } else { Applied::Placed(1) }
    }
}

/// Makes one row of another.
#[derive(Clone, Debug)]
pub struct Map<F, U> {
    map: F,
    waiting: Option<U>,
}

impl<F, U> Map<F, U> {
    /// A mapping by `map`.
    pub const fn new(map: F) -> Self {
        Self { map, waiting: None }
    }
}

impl<T: Record, U: Record, F: FnMut(&T) -> U + Send> Stage<Typed<T>> for Map<F, U> {
    type Out = Typed<U>;

    fn out(&self, _: &Typed<T>) -> Typed<U> {
        Typed::new()
    }

    #[inline(always)]
    fn apply(
        &mut self,
        row: &T,
        heap: &[u8],
        place: &mut impl FnMut(&U, &[u8]) -> bool,
    ) -> Applied {
        let out = self.waiting.take().unwrap_or_else(|| (self.map)(row));
        if place(&out, heap) {
            return Applied::Placed(1);
        }
        self.waiting = Some(out);
        Applied::NoRoom
    }
}

/// Makes any number of rows of one.
#[derive(Clone, Debug)]
pub struct FlatMap<F, U> {
    expand: F,
    /// The row's outputs, and how many of them are placed. Reused from row to row.
    outputs: Vec<U>,
    placed: usize,
    resuming: bool,
}

impl<F, U> FlatMap<F, U> {
    /// An expansion by `expand`, which appends a row's outputs to the vector that it is given.
    pub const fn new(expand: F) -> Self {
        Self { expand, outputs: Vec::new(), placed: 0, resuming: false }
    }
}

impl<T, U, F> Stage<Typed<T>> for FlatMap<F, U>
where
    T: Record,
    U: Record,
    F: FnMut(&T, &mut Vec<U>) + Send,
{
    type Out = Typed<U>;

    fn out(&self, _: &Typed<T>) -> Typed<U> {
        Typed::new()
    }

    #[inline]
    fn apply(
        &mut self,
        row: &T,
        heap: &[u8],
        place: &mut impl FnMut(&U, &[u8]) -> bool,
    ) -> Applied {
        if !self.resuming {
            self.outputs.clear();
            self.placed = 0;
            (self.expand)(row, &mut self.outputs);
        }
        while let Some(out) = self.outputs.get(self.placed) {
            if !place(out, heap) {
                self.resuming = true;
                return Applied::NoRoom;
            }
            self.placed += 1;
        }
        self.resuming = false;
        Applied::Placed(u32::try_from(self.outputs.len()).unwrap_or(u32::MAX))
    }
}

/// One stage after another.
#[derive(Clone, Debug)]
pub struct Then<A, B> {
    first: A,
    second: B,
    /// Rows that came out of the second stage for the row in hand.
    placed: u32,
}

impl<A, B> Then<A, B> {
    /// `first`, then `second`.
    pub const fn new(first: A, second: B) -> Self {
        Self { first, second, placed: 0 }
    }
}

impl<S: Schema, A: Stage<S>, B: Stage<A::Out>> Stage<S> for Then<A, B> {
    type Out = B::Out;

    fn out(&self, schema: &S) -> B::Out {
        self.second.out(&self.first.out(schema))
    }

    #[inline(always)]
    fn apply(
        &mut self,
        row: &S::Row,
        heap: &[u8],
        place: &mut impl FnMut(&<B::Out as Schema>::Row, &[u8]) -> bool,
    ) -> Applied {
        let (second, placed) = (&mut self.second, &mut self.placed);
        let applied =
            self.first.apply(row, heap, &mut |row, heap| match second.apply(row, heap, place) {
                Applied::Placed(rows) => {
                    *placed += rows;
                    true
                }
                Applied::NoRoom => false,
            });
        match applied {
            Applied::Placed(_) => Applied::Placed(std::mem::take(placed)),
            Applied::NoRoom => Applied::NoRoom,
        }
    }
}

#[cfg(test)]
mod tests;
