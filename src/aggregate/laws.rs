//! The laws of [`Aggregate`] as properties, run for every built-in.

use super::*;
use crate::record::SourceSequence;
use crate::time::EventTime;
use proptest::prelude::*;
use std::fmt::Debug;

#[derive(Clone, Copy, Debug)]
struct Row {
    moment: Moment,
    int: i64,
    float: f64,
    null: Option<i32>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let int = prop_oneof![any::<i64>(), -3_i64..3];
    let float = prop_oneof![-1e6..1e6_f64, Just(-0.0), Just(0.0)];
    let row = (-3_i64..3, int, float, any::<Option<i32>>());
    prop::collection::vec(row, 0..12).prop_map(|rows| {
        let number = |(n, (time, int, float, null)): (usize, (i64, i64, f64, Option<i32>))| Row {
            moment: Moment {
                time: EventTime::from_nanos(time),
                sequence: SourceSequence::new((n % 3) as u16, n as u64),
            },
            int,
            float,
            null,
        };
        rows.into_iter().enumerate().map(number).collect()
    })
}

/// Equal, or within rounding where the aggregate is not exact.
trait Near: Debug {
    fn is_near(&self, other: &Self) -> bool;
}

impl Near for f64 {
    fn is_near(&self, other: &Self) -> bool {
        let scale = self.abs().max(other.abs()).max(1e7);
        self == other || (self - other).abs() <= scale * 1e-9 || self.is_nan() && other.is_nan()
    }
}

impl<T: Near> Near for Option<T> {
    fn is_near(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(a), Some(b)) => a.is_near(b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }
}

macro_rules! exact {
    ($($t:ty)*) => {$(impl Near for $t {
        fn is_near(&self, other: &Self) -> bool {
            self == other
        }
    })*};
}
exact!(u64 i128 i64 i32);

macro_rules! side_by_side {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Near),+> Near for ($($name,)+) {
            fn is_near(&self, other: &Self) -> bool {
                $(self.$index.is_near(&other.$index))&&+
            }
        }
    };
}
side_by_side!(A 0, B 1, C 2);
side_by_side!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
side_by_side!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
side_by_side!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

fn sum<A: Aggregate<Row>>(aggregate: &A, rows: &[Row]) -> A::Partial {
    let mut partial = aggregate.identity();
    for row in rows {
        aggregate.fold(&mut partial, row.moment, row);
    }
    partial
}

fn combined<A: Aggregate<Row>>(aggregate: &A, a: A::Partial, b: A::Partial) -> A::Partial {
    let mut both = a;
    aggregate.combine(&mut both, &b);
    both
}

fn check<A: Aggregate<Row, Output: Near>>(
    aggregate: &A,
    [a, b, c]: &[Vec<Row>; 3],
) -> Result<(), TestCaseError> {
    let near = |left: &A::Partial, right: &A::Partial, law: &str| {
        let (left, right) = (aggregate.lower(left), aggregate.lower(right));
        prop_assert!(left.is_near(&right), "{law}: {left:?} and {right:?}");
        Ok(())
    };
    let [a, b, c] = [a, b, c].map(|rows| (sum(aggregate, rows), rows));
    let join = |x, y| combined(aggregate, x, y);
    near(&join(aggregate.identity(), a.0), &a.0, "identity")?;
    near(&join(a.0, aggregate.identity()), &a.0, "identity")?;
    near(&join(join(a.0, b.0), c.0), &join(a.0, join(b.0, c.0)), "associative")?;
    near(&join(a.0, b.0), &join(b.0, a.0), "commutative")?;
    for row in b.1 {
        let lifted = aggregate.lift(row.moment, row);
        let mut folded = a.0;
        aggregate.fold(&mut folded, row.moment, row);
        near(&folded, &join(a.0, lifted), "folding")?;
    }
    if aggregate.is_invertible() {
        let mut left = join(a.0, b.0);
        aggregate.subtract(&mut left, &b.0);
        prop_assert_eq!(bytemuck::bytes_of(&left), bytemuck::bytes_of(&a.0), "inverse");
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_laws_hold(a in rows(), b in rows(), c in rows()) {
        let parts = [a, b, c];
        check(&Count, &parts)?;
        check(&CountIf::of(|row: &Row| row.int > 0), &parts)?;
        check(&Sum::of(|row: &Row| row.int), &parts)?;
        check(&Sum::of(|row: &Row| row.int as u64), &parts)?;
        check(&Sum::of(|row: &Row| row.float), &parts)?;
        check(&Sum::of(|row: &Row| row.null), &parts)?;
        check(&Min::of(|row: &Row| row.int), &parts)?;
        check(&Max::of(|row: &Row| row.int), &parts)?;
        check(&Min::of(|row: &Row| row.float), &parts)?;
        check(&Max::of(|row: &Row| row.float), &parts)?;
        check(&Min::of(|row: &Row| row.null), &parts)?;
        check(&Max::of(|row: &Row| row.null), &parts)?;
        check(&Mean::of(|row: &Row| row.int), &parts)?;
        check(&Mean::of(|row: &Row| row.float), &parts)?;
        check(&Mean::of(|row: &Row| row.null), &parts)?;
        check(&Variance::of(|row: &Row| row.float), &parts)?;
        check(&Variance::of_population(|row: &Row| row.null.map(|x| x % 1000)), &parts)?;
        check(&StdDev::of(|row: &Row| row.float), &parts)?;
        check(&First::of(|row: &Row| row.int), &parts)?;
        check(&Last::of(|row: &Row| row.int), &parts)?;
        let exact = (Count, Sum::of(|row: &Row| row.int), Mean::of(|row: &Row| row.null));
        prop_assert!(Aggregate::<Row>::is_invertible(&exact));
        check(&exact, &parts)?;
        let mixed = (Min::of(|row: &Row| row.int), Last::of(|row: &Row| row.int), Count);
        prop_assert!(!Aggregate::<Row>::is_invertible(&mixed));
        prop_assert!(Aggregate::<Row>::needs_sequence(&mixed));
        check(&mixed, &parts)?;
    }

    #[test]
    fn the_laws_hold_of_the_widest_tuples(a in rows(), b in rows(), c in rows()) {
        let parts = [a, b, c];
        let int = |row: &Row| row.int;
        let null = |row: &Row| row.null;
        let float = |row: &Row| row.float;
        let ten = (
            Count, Sum::of(int), Mean::of(null), Sum::of(null), Mean::of(int), Sum::of(int),
            CountIf::of(|row: &Row| row.int > 0), Count, Mean::of(null), Sum::of(null),
        );
        prop_assert!(Aggregate::<Row>::is_invertible(&ten));
        prop_assert!(!Aggregate::<Row>::needs_sequence(&ten));
        check(&ten, &parts)?;
        // What is like no other stands last: no element may be forgotten.
        let eleven = (
            Count, Sum::of(int), Mean::of(null), Sum::of(null), Mean::of(int), Count,
            Sum::of(int), Count, Mean::of(null), Sum::of(null), Min::of(float),
        );
        prop_assert!(!Aggregate::<Row>::is_invertible(&eleven));
        check(&eleven, &parts)?;
        let twelve = (
            Max::of(null), Variance::of(float), Count, Sum::of(float), Mean::of(float),
            Min::of(int), StdDev::of(float), Count, Max::of(float), First::of(int),
            Min::of(null), Last::of(int),
        );
        prop_assert!(Aggregate::<Row>::needs_sequence(&twelve));
        check(&twelve, &parts)?;
    }

    #[test]
    fn every_element_of_the_widest_tuples_is_what_it_is_alone(rows in rows()) {
        fn alone<A: Aggregate<Row>>(aggregate: A, rows: &[Row]) -> A::Output {
            aggregate.lower(&sum(&aggregate, rows))
        }
        /// Fails unless each element of a tuple comes to what it comes to by itself.
        macro_rules! check_elements {
            ($($element:expr),+) => {
                let together = alone(($($element,)+), &rows);
                let one_by_one = ($(alone($element, &rows),)+);
                prop_assert_eq!(together, one_by_one);
            };
        }
        let int = |row: &Row| row.int;
        let above = |bound: i64| CountIf::of(move |row: &Row| row.int > bound);
        check_elements!(
            above(0), Sum::of(int), Min::of(int), Max::of(int), First::of(int), Last::of(int),
            Count, above(1), above(-1), above(2)
        );
        check_elements!(
            Count, Sum::of(int), Min::of(int), Max::of(int), First::of(int), Last::of(int),
            above(0), above(1), above(-1), above(2), above(-2)
        );
        check_elements!(
            above(-2), Sum::of(int), Min::of(int), Max::of(int), First::of(int), Last::of(int),
            above(0), above(1), above(-1), above(2), Count, Sum::of(|row: &Row| row.null)
        );
    }

    #[test]
    fn results_are_what_the_definitions_say(rows in rows()) {
        prop_assume!(!rows.is_empty());
        let ints = || rows.iter().map(|row| row.int);
        let n = rows.len() as f64;
        let mean = rows.iter().map(|row| row.float).sum::<f64>() / n;
        let squares: f64 = rows.iter().map(|row| (row.float - mean).powi(2)).sum();
        let result = |rows: &[Row]| {
            let aggregate = (
                Sum::of(|row: &Row| row.int),
                Min::of(|row: &Row| row.int),
                Max::of(|row: &Row| row.int),
                Mean::of(|row: &Row| row.float),
                Variance::of(|row: &Row| row.float),
                StdDev::of_population(|row: &Row| row.float),
                First::of(|row: &Row| row.int),
                Last::of(|row: &Row| row.int),
                Sum::of(|row: &Row| row.null),
            );
            Aggregate::<Row>::lower(&aggregate, &sum(&aggregate, rows))
        };
        let found = result(&rows);
        prop_assert_eq!(found.0, ints().map(i128::from).sum::<i128>());
        prop_assert_eq!(Some(found.1), ints().min());
        prop_assert_eq!(Some(found.2), ints().max());
        prop_assert!(found.3.is_near(&mean));
        let variance = (rows.len() > 1).then(|| squares / (n - 1.0));
        match (found.4, variance) {
            (Some(a), Some(b)) => prop_assert!((a - b).abs() <= b.abs() * 1e-9 + 1e-6),
            (a, b) => prop_assert_eq!(a, b),
        }
        let deviation = (squares / n).sqrt();
        prop_assert!((found.5.unwrap() - deviation).abs() <= deviation * 1e-9 + 1e-3);
        let first = rows.iter().min_by_key(|row| row.moment).unwrap();
        let last = rows.iter().max_by_key(|row| row.moment).unwrap();
        prop_assert_eq!((found.6, found.7), (first.int, last.int));
        let present: Vec<_> = rows.iter().filter_map(|row| row.null).map(i128::from).collect();
        prop_assert_eq!(found.8, (!present.is_empty()).then(|| present.iter().sum()));
    }
}

fn of_floats<A: Aggregate<f64>>(aggregate: &A, values: &[f64]) -> A::Output {
    let mut partial = aggregate.identity();
    let moment = Moment { time: EventTime::EPOCH, sequence: SourceSequence::new(0, 0) };
    for value in values {
        aggregate.fold(&mut partial, moment, value);
    }
    aggregate.lower(&partial)
}

#[test]
fn extremes_skip_nan_and_tell_the_zeros_apart() {
    let (least, greatest) = (Min::of(|x: &f64| *x), Max::of(|x: &f64| *x));
    for values in [[f64::NAN, 1.0, 2.0], [1.0, -f64::NAN, 2.0], [2.0, 1.0, f64::NAN]] {
        assert_eq!(of_floats(&least, &values).to_bits(), 1_f64.to_bits());
        assert_eq!(of_floats(&greatest, &values).to_bits(), 2_f64.to_bits());
    }
    assert!(of_floats(&least, &[f64::NAN]).is_nan());
    assert!(of_floats(&greatest, &[-f64::NAN]).is_nan());
    assert!(of_floats(&least, &[0.0, -0.0]).is_sign_negative());
    assert!(of_floats(&greatest, &[-0.0, 0.0]).is_sign_positive());
    assert!(of_floats(&Sum::of(|x: &f64| *x), &[1.0, f64::NAN]).is_nan());
}

#[test]
fn sums_and_means_of_large_integers_do_not_overflow() {
    let aggregate = (Sum::of(|x: &i64| *x), Mean::of(|x: &i64| *x), Count);
    let mut partial = Aggregate::<i64>::identity(&aggregate);
    let moment = Moment { time: EventTime::EPOCH, sequence: SourceSequence::new(0, 0) };
    for _ in 0..5 {
        aggregate.fold(&mut partial, moment, &i64::MAX);
    }
    let (total, mean, count) = Aggregate::<i64>::lower(&aggregate, &partial);
    assert_eq!((total, mean, count), (i128::from(i64::MAX) * 5, i64::MAX as f64, 5));
}

#[test]
fn what_is_not_finite_has_no_variance_in_whatever_order_it_comes() {
    for values in [[1.0, 2.0, f64::INFINITY], [f64::INFINITY, 1.0, 2.0], [1.0, f64::NAN, 2.0]] {
        let variance = of_floats(&Variance::of_population(|x: &f64| *x), &values);
        assert!(variance.is_some_and(f64::is_nan), "{values:?}: {variance:?}");
    }
}

#[test]
fn variance_keeps_its_digits_far_from_zero() {
    let values = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0];
    assert_eq!(of_floats(&Variance::of(|x: &f64| *x), &values), Some(30.0));
    assert_eq!(of_floats(&Variance::of(|x: &f64| *x), &[1.0]), None);
    assert_eq!(of_floats(&Variance::of_population(|x: &f64| *x), &[1.0]), Some(0.0));
}

#[test]
fn a_tuples_partial_has_no_padding() {
    fn partial_size<A: Aggregate<i64>>(_: &A) -> usize {
        size_of::<A::Partial>()
    }
    let value = |x: &i64| *x;
    let four = (Count, Sum::of(value), Min::of(value), Max::of(value));
    assert_eq!(partial_size(&four), 8 + 16 + 8 + 8);
}
