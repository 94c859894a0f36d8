//! The laws of the aggregates, their meaning by definition, and the grammar.

use super::*;
use crate::aggregate::Aggregate;
use crate::record::{ColumnRow, ColumnRows, Columns, Moment, Schema, SourceSequence};
use crate::text::{ColumnKind, NumberKind, Value};
use crate::time::EventTime;
use proptest::prelude::*;

/// Columns `i`, `f` and `text` of the rows in these tests.
fn place(name: &str) -> Option<ColumnPlace> {
    let (index, kind) = match name {
        "i" => (0, ColumnKind::Number(NumberKind::I64)),
        "f" => (1, ColumnKind::Number(NumberKind::F64)),
        "text" => (2, ColumnKind::Presence),
        _ => return None,
    };
    Some(ColumnPlace { index, kind })
}

const SCHEMA: Columns = Columns::new(3);

#[derive(Clone, Debug)]
struct Given {
    moment: Moment,
    i: Option<i64>,
    f: Option<f64>,
    text: bool,
}

impl Given {
    fn in_rows<R>(&self, read: impl FnOnce(&ColumnRow) -> R) -> R {
        let mut rows = ColumnRows::new(SCHEMA);
        rows.begin(self.moment.time);
        if let Some(i) = self.i {
            rows.set(0, i.cast_unsigned());
        }
        if let Some(f) = self.f {
            rows.set(1, f.to_bits());
        }
        if self.text {
            rows.set(2, 0);
        }
        read(SCHEMA.row(rows.batch(), 0))
    }

    fn number(&self, column: &str) -> Option<f64> {
        match column {
            "i" => self.i.map(|i| i as f64),
            _ => self.f,
        }
    }

    fn value(&self, column: &str) -> Option<Value> {
        match column {
            "i" => self.i.map(Value::I64),
            _ => self.f.map(Value::F64),
        }
    }
}

/// What a call *means*: look at every value again.
fn by_definition(measure: &Measure<String>, rows: &[Given]) -> Value {
    let Measure::Of(function, column) = measure else {
        return Value::U64(rows.len() as u64);
    };
    if column == "text" {
        return Value::U64(rows.iter().filter(|row| row.text).count() as u64);
    }
    let numbers: Vec<f64> = rows.iter().filter_map(|row| row.number(column)).collect();
    let integers: Vec<i64> = rows.iter().filter_map(|row| row.i).collect();
    let mut in_order = rows.to_vec();
    in_order.sort_by_key(|row| row.moment);
    let mut in_order = in_order.iter().filter_map(|row| row.value(column));
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
    let divided_by = |count: usize| match numbers.is_empty() || count == 0 {
        true => Value::Null,
        false => Value::F64(squares / count as f64),
    };
    let root = |variance| match variance {
        Value::F64(variance) => Value::F64(f64::sqrt(variance)),
        other => other,
    };
    let by_order = |a: &&f64, b: &&f64| a.total_cmp(b);
    match function {
        Function::Count => Value::U64(numbers.len() as u64),
        _ if numbers.is_empty() => Value::Null,
        Function::Sum if column == "i" => {
            Value::I128(integers.iter().map(|i| i128::from(*i)).sum())
        }
        Function::Sum => Value::F64(numbers.iter().sum()),
        Function::Min if column == "i" => Value::I64(*integers.iter().min().unwrap()),
        Function::Min => Value::F64(*numbers.iter().min_by(by_order).unwrap()),
        Function::Max if column == "i" => Value::I64(*integers.iter().max().unwrap()),
        Function::Max => Value::F64(*numbers.iter().max_by(by_order).unwrap()),
        Function::Mean => Value::F64(mean),
        Function::Variance => divided_by(numbers.len() - 1),
        Function::VariancePop => divided_by(numbers.len()),
        Function::Stddev => root(divided_by(numbers.len() - 1)),
        Function::StddevPop => root(divided_by(numbers.len())),
        Function::First => in_order.next().unwrap(),
        Function::Last => in_order.next_back().unwrap(),
    }
}

fn agree(left: Value, right: Value, scale: f64) -> bool {
    match (left, right) {
        (Value::F64(left), Value::F64(right)) => {
            left.to_bits() == right.to_bits()
                || (left.is_nan() && right.is_nan())
                || (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(scale)
        }
        _ => left == right,
    }
}

const ALL: &str = "count, count(text), count(i), sum(i), min(i), max(i), mean(i), variance(i), \
     var_pop(i), stddev(i), stddev_pop(i), first(i), last(i), count(f), sum(f), min(f), max(f), \
     mean(f), variance(f), var_pop(f), stddev(f), stddev_pop(f), first(f), last(f)";
const EXACT: &str = "count, count(f), count(text), sum(i), mean(i), count(i)";

/// The laws, for whatever width the calls get.
struct Laws<'a> {
    calls: &'a [AggregateCall],
    parts: &'a [Vec<Given>],
}

impl Laws<'_> {
    fn folded<const WORDS: usize>(
        aggregates: &ColumnAggregates<WORDS>,
        rows: &[Given],
    ) -> [u64; WORDS] {
        let mut partial = aggregates.identity();
        for given in rows {
            let mut expected = partial;
            given.in_rows(|row| {
                aggregates.combine(&mut expected, &aggregates.lift(given.moment, row));
                aggregates.fold(&mut partial, given.moment, row);
            });
            assert_eq!(partial, expected, "fold(a, row) = combine(a, lift(row))");
        }
        partial
    }

    fn check_inverse<const WORDS: usize>(
        aggregates: &ColumnAggregates<WORDS>,
        a: [u64; WORDS],
        b: [u64; WORDS],
    ) {
        let mut both = a;
        aggregates.combine(&mut both, &b);
        aggregates.subtract(&mut both, &b);
        assert_eq!(both, a, "subtract(combine(a, b), b) = a");
    }
}

impl AggregatesVisitor for Laws<'_> {
    type Output = ();

    fn visit<const WORDS: usize>(self, aggregates: ColumnAggregates<WORDS>) {
        let scale = self.parts.iter().flatten();
        let scale = scale.filter_map(|row| Some(row.f?.abs())).fold(1.0, f64::max);
        let assert_same = |left: &[u64; WORDS], right: &[u64; WORDS], law: &str| {
            let (left, right) = (aggregates.lower(left), aggregates.lower(right));
            for ((left, right), call) in left.iter().zip(&right).zip(self.calls) {
                assert!(agree(*left, *right, scale), "{law}: {call:?} {left:?} {right:?}");
            }
        };
        let plus = |left: &[u64; WORDS], right: &[u64; WORDS]| {
            let mut sum = *left;
            aggregates.combine(&mut sum, right);
            sum
        };
        let parts: Vec<_> = self.parts.iter().map(|rows| Self::folded(&aggregates, rows)).collect();
        let [a, b, c] = &parts[..] else {
            panic!("three parts");
        };
        assert_eq!(plus(&aggregates.identity(), a), *a, "identity");
        assert_eq!(plus(a, &aggregates.identity()), *a, "identity");
        assert_same(&plus(a, b), &plus(b, a), "commutative");
        assert_same(&plus(&plus(a, b), c), &plus(a, &plus(b, c)), "associative");
        if aggregates.is_invertible() {
            Self::check_inverse(&aggregates, *a, *b);
            Self::check_inverse(&aggregates, *b, *c);
        }

        let whole = aggregates.lower(&plus(&plus(a, b), c));
        let rows: Vec<Given> = self.parts.iter().flatten().cloned().collect();
        for (value, call) in whole.iter().zip(self.calls) {
            let meant = by_definition(&call.measure, &rows);
            assert!(agree(*value, meant, scale), "{call:?} is {meant:?}, not {value:?}");
        }
        assert_eq!(whole.len(), self.calls.len());
    }
}

fn check_laws(calls: &str, parts: &[Vec<Given>]) {
    let calls = parse_aggregates(calls).unwrap();
    let laws = Laws { calls: &calls, parts };
    with_aggregates(&calls, SCHEMA, place, laws).unwrap();
}

prop_compose! {
    fn given()(
        time in -3..3_i64,
        // Wide enough to need more than an i64, short of where squares lose a float's digits.
        i in prop_oneof![Just(None), (-100..100_i64).prop_map(Some)],
        f in prop_oneof![
            Just(None),
            (-1e6..1e6).prop_map(Some),
            (-4..4_i8).prop_map(|f| Some(f64::from(f) / 4.0)),
            Just(Some(-0.0)),
        ],
        text: bool,
    ) -> Given {
        let sequence = SourceSequence::default();
        let moment = Moment { time: EventTime::from_nanos(time), sequence };
        Given { moment, i, f, text }
    }
}

/// Three parts of one stream; every row has a place of its own in its source.
fn three_parts() -> impl Strategy<Value = Vec<Vec<Given>>> {
    proptest::collection::vec(proptest::collection::vec(given(), 0..12), 3).prop_map(|mut parts| {
        for (position, row) in parts.iter_mut().flatten().enumerate() {
            row.moment.sequence = SourceSequence::new((position % 3) as u16, position as u64);
        }
        parts
    })
}

proptest! {
    #[test]
    fn the_laws_hold_and_the_values_are_what_they_mean(parts in three_parts()) {
        check_laws(ALL, &parts);
        check_laws(EXACT, &parts);
    }

    #[test]
    fn sums_of_integers_never_overflow(values in proptest::collection::vec(any::<i64>(), 1..20)) {
        let rows: Vec<_> = values.iter().map(|i| row(Some(*i), None)).collect();
        let sum: i128 = values.iter().map(|i| i128::from(*i)).sum();
        prop_assert_eq!(values_of("sum(i)", &rows), vec![Value::I128(sum)]);
        check_laws("sum(i), min(i), max(i), count", &[rows.clone(), vec![], rows]);
    }
}

fn row(i: Option<i64>, f: Option<f64>) -> Given {
    let moment = Moment { time: EventTime::EPOCH, sequence: SourceSequence::default() };
    let text = false;
    Given { moment, i, f, text }
}

/// Folds rows and lowers the result.
struct ValuesOf<'a>(&'a [Given]);

impl AggregatesVisitor for ValuesOf<'_> {
    type Output = Vec<Value>;

    fn visit<const WORDS: usize>(self, aggregates: ColumnAggregates<WORDS>) -> Vec<Value> {
        let partial = Laws::folded(&aggregates, self.0);
        aggregates.lower(&partial).to_vec()
    }
}

fn values_of(calls: &str, rows: &[Given]) -> Vec<Value> {
    let calls = parse_aggregates(calls).unwrap();
    with_aggregates(&calls, SCHEMA, place, ValuesOf(rows)).unwrap()
}

#[test]
fn of_no_values_all_but_counts_are_null() {
    let values = values_of(ALL, &[row(None, None), row(None, None)]);
    for (value, call) in values.iter().zip(parse_aggregates(ALL).unwrap()) {
        let expected = match call.measure {
            Measure::CountRows => Value::U64(2),
            Measure::Of(Function::Count, _) => Value::U64(0),
            Measure::Of(..) => Value::Null,
        };
        assert_eq!(*value, expected, "{call:?}");
    }
}

#[test]
fn the_variance_of_a_sample_of_one_is_null() {
    let values = values_of("variance(i), stddev(i), var_pop(i)", &[row(Some(7), None)]);
    assert_eq!(values, [Value::Null, Value::Null, Value::F64(0.0)]);
}

#[test]
fn variance_does_not_drown_in_a_large_mean() {
    let rows: Vec<_> = [4.0, 7.0, 13.0, 16.0].map(|f| row(None, Some(1e9 + f))).to_vec();
    assert_eq!(values_of("variance(f)", &rows), [Value::F64(30.0)]);
}

#[test]
fn nan_is_no_extreme_but_of_nothing_else_and_zero_is_greater_than_negative_zero() {
    let rows =
        |floats: &[f64]| -> Vec<Given> { floats.iter().map(|f| row(None, Some(*f))).collect() };
    let extremes = |floats: &[f64]| values_of("min(f), max(f)", &rows(floats));
    let with_nan = extremes(&[1.0, -f64::NAN, f64::NEG_INFINITY]);
    assert_eq!(with_nan[0], Value::F64(f64::NEG_INFINITY));
    assert_eq!(with_nan[1], Value::F64(1.0));
    for lone in extremes(&[f64::NAN, -f64::NAN]) {
        assert!(matches!(lone, Value::F64(number) if number.is_nan()));
    }
    for zeros in [[0.0, -0.0], [-0.0, 0.0]] {
        let extremes = extremes(&zeros).into_iter().map(|value| match value {
            Value::F64(number) => number.to_bits(),
            other => panic!("{other:?}"),
        });
        assert!(extremes.eq([(-0.0_f64).to_bits(), 0.0_f64.to_bits()]));
    }
}

#[test]
fn the_mean_of_large_integers_keeps_its_fraction() {
    let near_max = i64::MAX - 1;
    let rows = [row(Some(1 << 52), None), row(Some((1 << 52) + 1), None)];
    assert_eq!(values_of("mean(i)", &rows), [Value::F64(4_503_599_627_370_496.5)]);
    let rows = [row(Some(near_max), None), row(Some(near_max), None)];
    assert_eq!(values_of("mean(i)", &rows), [Value::F64(near_max as f64)]);
}

/// Says the width and the traits of the aggregates.
struct Shape;

impl AggregatesVisitor for Shape {
    type Output = (usize, bool, bool);

    fn visit<const WORDS: usize>(self, a: ColumnAggregates<WORDS>) -> Self::Output {
        (WORDS, a.is_invertible(), a.needs_sequence())
    }
}

fn shape(calls: &str) -> Result<(usize, bool, bool), AggregatePlanError> {
    with_aggregates(&parse_aggregates(calls).unwrap(), SCHEMA, place, Shape)
}

#[test]
fn calls_share_their_words() {
    assert_eq!(shape("count"), Ok((2, true, false)));
    assert_eq!(shape("count, sum(i)"), Ok((4, true, false)));
    assert_eq!(shape("count, sum(i), mean(i), count(i)"), Ok((4, true, false)));
    assert_eq!(shape("count, sum(i), min(i), max(i)"), Ok((6, false, false)));
    assert_eq!(shape("mean(f), sum(f)"), Ok((2, false, false)));
    assert_eq!(shape("variance(f), stddev(f), var_pop(f)"), Ok((4, false, false)));
    assert_eq!(shape("first(i)"), Ok((4, false, true)));
    assert_eq!(shape("last(f), count"), Ok((6, false, true)));
    assert_eq!(shape("count(text)"), Ok((2, true, false)));
    assert_eq!(shape(ALL), Ok((32, false, true)));
}

#[test]
fn too_many_aggregates_are_refused() {
    let all = |columns: usize| {
        let calls: Vec<_> = (0..columns).map(|c| format!("first(c{c})")).collect();
        let calls = parse_aggregates(&calls.join(",")).unwrap();
        let place = |name: &str| {
            let index = name[1..].parse().ok()?;
            let kind = ColumnKind::Number(NumberKind::F64);
            Some(ColumnPlace { index, kind })
        };
        with_aggregates(&calls, Columns::new(400), place, Shape)
    };
    assert_eq!(all(32), Ok((128, false, true)));
    let refused = |calls, words, fit| Err(AggregatePlanError::TooWide { calls, words, fit });
    assert_eq!(all(33), refused(33, 132, 32));
    assert_eq!(all(400), refused(400, 1600, 32));
    // Values of a result need room, too.
    let calls: Vec<_> = (0..300).map(|c| format!("count(i) as c{c}")).collect();
    assert_eq!(shape(&calls[..128].join(",")).map(|(words, ..)| words), Ok(128));
    assert_eq!(shape(&calls.join(",")), refused(300, 300, 128));
}

#[test]
fn columns_that_do_not_fit_are_named() {
    let error = shape("count, sum(nosuch) as x").unwrap_err();
    assert_eq!(error.to_string(), "x: there is no column 'nosuch'");
    let error = shape("max(text)").unwrap_err();
    assert_eq!(
        error.to_string(),
        "max(text): max needs numbers, and column 'text' does not hold them"
    );
}

fn of(function: Function, column: &str) -> Measure<String> {
    Measure::Of(function, column.to_owned())
}

#[test]
fn a_list_reads_as_it_is_written() {
    let text = r#" COUNT , count(*) as rows,count( "dep delay" ),Avg(x.y) AS "the ""mean""",
        var_samp(`a``b`) as v,sum(Größe)"#;
    let calls = parse_aggregates(text).unwrap();
    let found: Vec<_> = calls.iter().map(|c| (c.name.as_str(), c.measure.clone())).collect();
    let expected = [
        ("COUNT", Measure::CountRows),
        ("rows", Measure::CountRows),
        (r#"count( "dep delay" )"#, of(Function::Count, "dep delay")),
        (r#"the "mean""#, of(Function::Mean, "x.y")),
        ("v", of(Function::Variance, "a`b")),
        ("sum(Größe)", of(Function::Sum, "Größe")),
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_function_is_found_by_its_own_name() {
    for (name, function) in call::NAMES {
        assert_eq!(Function::named(&name.to_uppercase()), Some(function));
        assert_eq!(Function::named(function.name()), Some(function));
    }
}

#[test]
fn errors_say_where_and_what() {
    let first_line = |text: &str| {
        let error = parse_aggregates(text).unwrap_err().to_string();
        error.lines().next().unwrap().to_owned()
    };
    for (text, expected) in [
        ("", "at character 1: no aggregate is given; write for example count,sum(column)"),
        ("  ", "at character 3: no aggregate is given; write for example count,sum(column)"),
        ("count,summ(x)", "at character 7: unknown function 'summ'; did you mean 'sum'?"),
        ("STDEV(x)", "at character 1: unknown function 'STDEV'; did you mean 'stddev'?"),
        ("sum", "at character 1: sum needs a column: sum(column)"),
        ("sum()", "at character 5: sum needs a column: sum(column)"),
        ("avg(*)", "at character 5: mean needs a column: mean(column)"),
        ("count()", "at character 7: count needs a column: count(column)"),
        ("sum(x, count", "at character 4: '(' is never closed"),
        (
            "ß(x)",
            "at character 1: unknown function 'ß'; the functions are count, sum, min, max, \
          mean, avg, variance, var, var_samp, var_pop, stddev, stddev_samp, stddev_pop, first, \
          first_value, last, last_value",
        ),
        ("sum(größe", "at character 4: '(' is never closed"),
        (
            "sum(dep delay)",
            "at character 9: expected ')'; a name with spaces goes in \"quotes\", \
          found 'd'",
        ),
        ("sum(\"x)", "at character 5: \" is never closed"),
        ("sum(\"\")", "at character 7: expected a column, found ')'"),
        ("count,", "at character 7: expected a function, like count or sum(column), found the end"),
        (",count", "at character 1: expected a function, like count or sum(column), found ','"),
        ("count x", "at character 7: expected ',' or 'as', found 'x'"),
        ("count as", "at character 9: expected a name for the column, found the end"),
        ("count as x y", "at character 12: expected ',' or 'as', found 'y'"),
        (
            "sum(x),sum(x)",
            "at character 8: two columns would be named 'sum(x)'; name one of them \
          with 'as'",
        ),
    ] {
        assert_eq!(first_line(text), expected, "{text}");
    }
}

#[test]
fn distinct_values_are_told_to_be_not_built() {
    for (text, column) in [
        ("count(distinct x)", 7),
        ("count, count( DISTINCT(x))", 15),
        ("sum(distinct \"x y\")", 5),
        ("count_distinct(x)", 1),
        ("approx_count_distinct(x)", 1),
    ] {
        let error = parse_aggregates(text).unwrap_err();
        assert_eq!((error.column(), error.problem()), (column, &AggregateListProblem::Distinct));
    }
    let error = parse_aggregates("count(distinct x)").unwrap_err().to_string();
    let parts = ["not built yet", "count(column)", "--key column", "functions are count, sum"];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    // A column may have that name.
    for text in ["count(distinct)", "sum( Distinct )", "count(\"distinct\")"] {
        assert!(parse_aggregates(text).is_ok(), "{text}");
    }
}

#[test]
fn an_error_points_into_the_text() {
    let error = parse_aggregates("sum(größe), maxx(x)").unwrap_err();
    assert_eq!(error.column(), 13);
    assert_eq!(
        error.to_string(),
        "at character 13: unknown function 'maxx'; did you mean 'max'?\n  \
         sum(größe), maxx(x)\n              ^"
    );
    assert!(matches!(
        error.problem(),
        AggregateListProblem::UnknownFunction { near: Some("max"), .. }
    ));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(count|sum|as|[a-z]| |,|\\(|\\)|\\*|\"|`|ß|\n){0,12}") {
        match parse_aggregates(&text) {
            Ok(calls) => prop_assert!(!calls.is_empty()),
            Err(error) => {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.column()));
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
