//! Several aggregates in one pass: a tuple of aggregates is an aggregate.

use super::Aggregate;
use crate::record::Moment;
use bytemuck::{Pod, Zeroable};

/// Two partials side by side. Packed, so that any two partials make plain bytes; fields are
/// copied out and in, which costs nothing once compiled.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Joined<A: Pod, B: Pod> {
    first: A,
    rest: B,
}

/// Walks the nested pairs that a tuple's partial is, one rule a deed.
macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<Row: ?Sized, $($name: Aggregate<Row>),+> Aggregate<Row> for ($($name,)+) {
            type Partial = tuple!(@type $($name)+);
            type Output = ($($name::Output,)+);

            #[inline(always)]
            fn identity(&self) -> Self::Partial {
                tuple!(@make self identity () $($index)+)
            }

            #[inline(always)]
            fn lift(&self, moment: Moment, row: &Row) -> Self::Partial {
                tuple!(@make self lift (moment, row) $($index)+)
            }

            #[inline(always)]
            fn combine(&self, into: &mut Self::Partial, from: &Self::Partial) {
                tuple!(@both self combine into from $($index)+);
            }

            #[inline(always)]
            fn fold(&self, into: &mut Self::Partial, moment: Moment, row: &Row) {
                tuple!(@fold self into (moment, row) $($index)+);
            }

            fn lower(&self, partial: &Self::Partial) -> Self::Output {
                tuple!(@lower self partial [] $($index)+)
            }

            #[inline(always)]
            fn is_invertible(&self) -> bool {
                $(self.$index.is_invertible())&&+
            }

            #[inline(always)]
            fn subtract(&self, from: &mut Self::Partial, what: &Self::Partial) {
                tuple!(@both self subtract from what $($index)+);
            }

            #[inline(always)]
            fn needs_sequence(&self) -> bool {
                $(self.$index.needs_sequence())||+
            }
        }
    };

    (@type $a:ident) => { $a::Partial };
    (@type $a:ident $($b:ident)+) => { Joined<$a::Partial, tuple!(@type $($b)+)> };

    (@make $self:ident $deed:ident ($($x:expr),*) $i:tt) => { $self.$i.$deed($($x),*) };
    (@make $self:ident $deed:ident ($($x:expr),*) $i:tt $($j:tt)+) => {
        Joined {
            first: $self.$i.$deed($($x),*),
            rest: tuple!(@make $self $deed ($($x),*) $($j)+),
        }
    };

    (@both $self:ident $deed:ident $into:ident $from:ident $i:tt) => {
        $self.$i.$deed($into, $from)
    };
    (@both $self:ident $deed:ident $into:ident $from:ident $i:tt $($j:tt)+) => {
        let Joined { mut first, rest: mut rest_into } = *$into;
        let Joined { first: first_from, rest: rest_from } = *$from;
        $self.$i.$deed(&mut first, &first_from);
        {
            let (into, from) = (&mut rest_into, &rest_from);
            tuple!(@both $self $deed into from $($j)+);
        }
        *$into = Joined { first, rest: rest_into };
    };

    (@fold $self:ident $into:ident ($($x:expr),*) $i:tt) => { $self.$i.fold($into, $($x),*) };
    (@fold $self:ident $into:ident ($($x:expr),*) $i:tt $($j:tt)+) => {
        let Joined { mut first, mut rest } = *$into;
        $self.$i.fold(&mut first, $($x),*);
        {
            let into = &mut rest;
            tuple!(@fold $self into ($($x),*) $($j)+);
        }
        *$into = Joined { first, rest };
    };

    (@lower $self:ident $partial:ident [$($done:expr,)*] $i:tt) => {
        ($($done,)* $self.$i.lower($partial),)
    };
    (@lower $self:ident $partial:ident [$($done:expr,)*] $i:tt $($j:tt)+) => {{
        let Joined { first, rest } = *$partial;
        let partial = &rest;
        tuple!(@lower $self partial [$($done,)* $self.$i.lower(&first),] $($j)+)
    }};
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
