//! The same input gives the same bag of results: at any number of shards, on either runtime, by
//! hand, in batches of any size. And the bag is what windows mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tidewheel::record::Typed;
use tidewheel::source::{GeneratedRecord, Polled, Pusher, SourceError, Workload};
use tidewheel::window::Reason;
use tidewheel::{
    Combining, Count, Last, Max, MemorySource, Output, Progress, Record, Running, Runtime, Source,
    Span, Stream, Sum, Watermark, WindowResult, WindowSpec,
};

const PARTITIONS: usize = 3;
/// Less than the records' disorder, so that some of them are late.
const BOUND_MILLIS: i64 = 300;

#[derive(Clone, Copy, Debug)]
enum Drive {
    Run(Runtime),
    Step,
}

/// Hands over at most so many rows a poll, and now and then none.
struct Sips {
    inner: MemorySource<GeneratedRecord, Vec<GeneratedRecord>>,
    rows: usize,
    polls: usize,
}

impl Source<Typed<GeneratedRecord>> for Sips {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        self.polls += 1;
        match self.polls.is_multiple_of(5) {
            true => Ok(Polled::Pending),
            false => self.inner.poll(rows_max.min(self.rows)),
        }
    }

    fn batch(&self) -> &[GeneratedRecord] {
        self.inner.batch()
    }

    fn name(&self) -> &str {
        "sips"
    }
}

/// (Start, end, key) → (count, sum, highest value, last value).
type Bag = BTreeMap<(i64, i64, u32), (u64, i128, i64, i64)>;

fn partitions() -> Vec<Vec<GeneratedRecord>> {
    (0..PARTITIONS as u64)
        .map(|n| {
            // The partitions start apart and go at different speeds.
            let workload = Workload {
                seed: n,
                per_second: 2_000 + 900 * n,
                start_millis: 1_000 * n as i64 - 5_000,
                ..Workload::uniform(7, 12_000)
            };
            workload.generate()
        })
        .collect()
}

/// What windows mean: a record counts in each window that holds it and whose end its partition's
/// watermark had not passed before it. Says how many records count in none, and how many in some
/// of their windows only, too.
fn by_definition(size: i64, slide: i64) -> (Bag, u64, u64) {
    let (mut bag, mut late, mut partly) = (Bag::new(), 0, 0);
    let mut last = BTreeMap::new();
    for (partition, records) in partitions().iter().enumerate() {
        let mut max = None::<i64>;
        for (position, record) in records.iter().enumerate() {
            let time = record.millis;
            let open_from = max.map_or(i64::MIN, |max| max - BOUND_MILLIS + 1);
            let mut start = time.div_euclid(slide) * slide;
            let (mut counted, mut missed) = (false, false);
            while start + size > time {
                let end = start + size;
                missed |= end <= open_from;
                if end > open_from {
                    counted = true;
                    let key = (start, end, record.key);
                    let cell = bag.entry(key).or_insert((0, 0, i64::MIN, 0));
                    cell.0 += 1;
                    cell.1 += i128::from(record.value);
                    cell.2 = cell.2.max(record.value);
                    let moment = (time, partition, position);
                    let latest = last.entry(key).or_insert(moment);
                    if moment >= *latest {
                        (*latest, cell.3) = (moment, record.value);
                    }
                }
                start -= slide;
            }
            late += u64::from(!counted);
            partly += u64::from(counted && missed);
            max = max.max(Some(time));
        }
    }
    (bag, late, partly)
}

/// The watermark that closed the window of a result, which it has passed.
fn closed_by<V>(result: &WindowResult<u32, V>) -> Watermark {
    let horizon = result.watermark.horizon(Span::from_millis(1));
    assert!(result.window.end.as_nanos() <= horizon, "its window was closed");
    let is_end = result.watermark == Watermark::END;
    assert!(is_end || result.reason == Reason::OnTime, "by {}", result.watermark);
    result.watermark
}

fn run(
    (size, slide): (i64, i64),
    shards: usize,
    drive: Drive,
    rows: usize,
    combining: Combining,
) -> (Bag, u64, u64) {
    let span = |millis: i64| Span::from_millis(millis.unsigned_abs());
    let sources = partitions().into_iter().map(|records| {
        let inner = MemorySource::new(records);
        Box::new(Sips { inner, rows, polls: 0 }) as Box<dyn Source<Typed<GeneratedRecord>>>
    });
    let value = |record: &GeneratedRecord| record.value;
    let (mut engine, mut results) = Stream::of_all(sources)
        .out_of_order(span(BOUND_MILLIS))
        .tick(Span::from_millis(1))
        .window(WindowSpec::sliding(span(size), span(slide)).unwrap())
        .aggregate((Count, Sum::of(value), Max::of(value), Last::of(value)))
        .into_results()
        .with_late()
        .shards(shards)
        .combining(combining)
        .runtime(if let Drive::Run(runtime) = drive { runtime } else { Runtime::Auto })
        .open()
        .unwrap();
    let (mut bag, mut late) = (Bag::new(), 0);
    let (mut sequences, mut fired_at) = (vec![0; shards], BTreeSet::new());
    let mut take = |output: Output<'_, u32, (u64, i128, i64, i64), GeneratedRecord>| match output {
        Output::Result(result) => {
            let sequence = &mut sequences[result.shard.index()];
            assert_eq!(result.sequence, *sequence, "a shard's results are numbered without gaps");
            *sequence += 1;
            fired_at.insert(closed_by(&result));
            let millis = |time: tidewheel::EventTime| time.as_nanos() / 1_000_000;
            let key = (millis(result.window.start), millis(result.window.end), result.key);
            assert_eq!(bag.insert(key, result.value), None, "a result came twice");
        }
        Output::Late(record) => {
            assert!(record.row.event_time().as_nanos() < record.window_end);
            late += 1;
        }
    };
    let metrics = match drive {
        Drive::Step => {
            while engine.step().unwrap() != Progress::Finished {
                results.poll(&mut take);
            }
            results.poll(&mut take);
            engine.metrics()
        }
        Drive::Run(_) => {
            let running = engine.start().unwrap();
            results.for_each(&mut take);
            running.join().unwrap()
        }
    };
    assert!(fired_at.len() > 2 && fired_at.last() == Some(&Watermark::END), "{fired_at:?}");
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    assert_eq!(metrics.late(), late);
    let ended = metrics.shards.iter().map(|shard| shard.ended);
    assert!(ended.chain(metrics.sinks.iter().map(|sink| sink.ended)).all(|ended| ended == 1));
    match combining {
        Combining::Always => assert!(metrics.combined() > metrics.records_in() / 2),
        Combining::Never => assert_eq!(metrics.combined(), 0),
        Combining::Auto => {}
    }
    (bag, late, metrics.partly_late())
}

#[test]
fn the_bag_is_the_same_however_it_is_made() {
    // Tumbling, sliding, and a slide that does not divide the size.
    for (size, slide) in [(1_000, 1_000), (1_000, 250), (700, 300)] {
        let expected = by_definition(size, slide);
        assert!(expected.1 + expected.2 > 0, "some records are late");
        for (shards, drive, rows) in [
            (1, Drive::Step, 1_024),
            (2, Drive::Step, 7),
            (3, Drive::Run(Runtime::Threads), 1),
            (2, Drive::Run(Runtime::Threads), 1_024),
            (2, Drive::Run(Runtime::Auto), 1_024),
            (8, Drive::Run(Runtime::Auto), 100),
            (1, Drive::Run(Runtime::Auto), 33),
        ] {
            for combining in [Combining::Auto, Combining::Always, Combining::Never] {
                let actual = run((size, slide), shards, drive, rows, combining);
                let what = format!(
                    "{size} by {slide}, {shards} shards, {drive:?}, {rows} rows, {combining:?}"
                );
                assert_eq!((actual.1, actual.2), (expected.1, expected.2), "late: {what}");
                assert!(actual.0 == expected.0, "results: {what}");
            }
        }
    }
}

#[test]
fn records_are_combined_where_it_pays_and_only_there() {
    let combined = |keys: u32, idle: Option<Span>| {
        let records = Workload::uniform(keys, 1_000_000).generate();
        let mut stream =
            Stream::of(MemorySource::new(records)).out_of_order(Span::from_millis(500));
        if let Some(span) = idle {
            stream = stream.idle_after(span);
        }
        let engine = stream
            .window(WindowSpec::tumbling(Span::from_millis(500)).unwrap())
            .aggregate(Count)
            .discard()
            .shards(2)
            .open()
            .unwrap();
        let metrics = engine.start().unwrap().join().unwrap();
        assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
        metrics.combined()
    };
    assert!(combined(100, None) > 900_000, "nearly all of them");
    assert!(combined(1_000_000, None) < 200_000, "a trial, and no more");
    // Another source might close the windows of what an idle one has in hand.
    assert_eq!(combined(100, Some(Span::from_seconds(60))), 0);
}

#[test]
fn a_time_that_is_no_time_ends_nothing_and_is_not_lost() {
    #[derive(Clone, Copy, Debug, tidewheel::Pod, tidewheel::Zeroable)]
    #[repr(C)]
    struct Event {
        at: tidewheel::EventTime,
        key: u64,
    }
    impl Record for Event {
        type Key = u64;
        fn event_time(&self) -> tidewheel::EventTime {
            self.at
        }
        fn key(&self) -> u64 {
            self.key
        }
    }
    for combining in [Combining::Always, Combining::Never] {
        // Bytes may hold what no time says.
        let raw = |nanos: i64| Event { at: bytemuck::cast(nanos), key: 1 };
        let records = vec![raw(0), raw(i64::MAX), raw(i64::MAX), raw(i64::MAX - 1)];
        let counted = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&counted);
        let engine = Stream::of(MemorySource::new(records))
            .out_of_order(Span::from_nanos(5))
            .window(WindowSpec::tumbling(Span::from_nanos(7)).unwrap())
            .aggregate(Count)
            .for_each(move |result| *seen.lock().unwrap() += result.value)
            .shards(2)
            .combining(combining)
            .open()
            .unwrap();
        let metrics = engine.start().unwrap().join().unwrap();
        assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
        assert_eq!(*counted.lock().unwrap() + metrics.late(), 4, "{combining:?}");
        assert_eq!(metrics.late(), 0);
    }
}

#[test]
fn filter_map_and_flat_map_come_before_the_windows() {
    let records = Workload::uniform(5, 20_000).generate();
    let mut expected: BTreeMap<u32, (u64, i128)> = BTreeMap::new();
    for record in records.iter().filter(|record| record.value % 3 == 0) {
        for copy in 0..record.value % 4 {
            let cell = expected.entry(record.key + 10 * copy as u32).or_default();
            *cell = (cell.0 + 1, cell.1 + i128::from(record.value + 1));
        }
    }
    let seen = Arc::new(Mutex::new(BTreeMap::<u32, (u64, i128)>::new()));
    let sink = Arc::clone(&seen);
    let engine = Stream::of(MemorySource::new(records))
        .out_of_order(Span::from_millis(500))
        .filter(|record: &GeneratedRecord| record.value % 3 == 0)
        .map(|record: &GeneratedRecord| {
            GeneratedRecord::new(record.key, record.value + 1, record.millis)
        })
        .flat_map(|record: &GeneratedRecord, out: &mut Vec<GeneratedRecord>| {
            for copy in 0..(record.value - 1) % 4 {
                let key = record.key + 10 * copy as u32;
                out.push(GeneratedRecord::new(key, record.value, record.millis));
            }
        })
        .window(WindowSpec::tumbling(Span::from_hours(24 * 365)).unwrap())
        .aggregate((Count, Sum::of(|record: &GeneratedRecord| record.value)))
        .for_each(move |result| {
            let mut seen = sink.lock().unwrap();
            let cell = seen.entry(result.key).or_default();
            *cell = (cell.0 + result.value.0, cell.1 + result.value.1);
        })
        .shards(3)
        .open()
        .unwrap();
    let metrics = engine.start().unwrap().join().unwrap();
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    assert!(metrics.filtered() > 0);
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_panic_in_one_shard_stops_the_engine_with_what_it_said() {
    let engine = Stream::of(MemorySource::new(Workload::uniform(5, 300_000).generate()))
        .window(WindowSpec::tumbling(Span::from_millis(10)).unwrap())
        .aggregate(Count)
        .for_each(|_| panic!("the closure is broken"))
        .shards(2)
        .open()
        .unwrap();
    let error = engine.start().unwrap().join().unwrap_err();
    assert!(error.to_string().contains("the closure is broken"), "{error}");
}

#[test]
fn one_who_panics_over_a_result_is_not_given_it_again() {
    // Without a bound of out-of-orderness a good part of the records is late.
    let records = Workload::uniform(50, 20_000).generate();
    let (mut engine, mut results) = Stream::of(MemorySource::new(records))
        .window(WindowSpec::tumbling(Span::from_millis(20)).unwrap())
        .aggregate(Count)
        .into_results()
        .with_late()
        .shards(2)
        .open()
        .unwrap();
    let (mut given, mut panics) = ([[0_u64; 2]; 2], 0);
    let mut progress = Progress::Worked;
    while progress != Progress::Finished || !results.is_ended() {
        progress = engine.step().unwrap();
        let poll = std::panic::AssertUnwindSafe(|| {
            results.poll(|output| {
                let (stream, shard, sequence) = match &output {
                    Output::Result(result) => (0, result.shard, result.sequence),
                    Output::Late(late) => (1, late.shard, late.sequence),
                };
                let next = &mut given[stream][shard.index()];
                assert_eq!(sequence, *next, "one was left out, or came twice");
                *next += 1;
                if sequence % 97 == 3 {
                    std::panic::resume_unwind(Box::new("over this one"));
                }
            })
        });
        if let Err(panic) = std::panic::catch_unwind(poll) {
            assert_eq!(panic.downcast_ref(), Some(&"over this one"));
            panics += 1;
        }
    }
    let metrics = engine.metrics();
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    let [given_results, given_late] = given.map(|shards| shards.iter().sum::<u64>());
    assert_eq!((given_results, given_late), (metrics.results(), metrics.late()));
    assert!(panics > 4 && given_late > 1_000, "{panics} panics, {given_late} late");
}

/// Rows of one record that the next test makes many of.
fn copies(record: &GeneratedRecord, out: &mut Vec<GeneratedRecord>) {
    let copies = if record.value % 50 == 0 { 20_000 } else { record.value % 3 };
    out.extend((0..copies).map(|copy| {
        let key = record.key + 10 * (copy % 1_000) as u32;
        // Rows of one record stand at different times, some of them late.
        GeneratedRecord::new(key, copy, record.millis - copy % 7 * 100)
    }));
}

#[test]
fn rows_of_a_record_that_becomes_very_many_are_judged_by_what_came_before_the_record() {
    let workload = Workload { per_second: 100, ..Workload::uniform(3, 1_500) };
    let (mut expected, mut expected_late) = (BTreeMap::<(i64, u32), u64>::new(), 0);
    let (mut max, mut rows) = (None::<i64>, Vec::new());
    for record in workload.generate() {
        copies(&record, &mut rows);
        for row in rows.drain(..) {
            let start = row.millis.div_euclid(1_000) * 1_000;
            match max.is_some_and(|max| start + 1_000 <= max - BOUND_MILLIS + 1) {
                true => expected_late += 1,
                false => *expected.entry((start, row.key)).or_default() += 1,
            }
        }
        max = max.max(Some(record.millis));
    }
    assert!(expected_late > 100_000, "{expected_late} rows are late");
    for (shards, combining) in
        [1, 3].map(|n| [(n, Combining::Always), (n, Combining::Never)]).concat()
    {
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let sink = Arc::clone(&seen);
        let engine = Stream::of(MemorySource::new(workload.generate()))
            .out_of_order(Span::from_millis(BOUND_MILLIS.unsigned_abs()))
            .tick(Span::from_millis(1))
            .flat_map(copies)
            .window(WindowSpec::tumbling(Span::from_seconds(1)).unwrap())
            .aggregate(Count)
            .for_each(move |result| {
                let start = result.window.start.as_nanos() / 1_000_000;
                sink.lock().unwrap().insert((start, result.key), result.value);
            })
            .shards(shards)
            .combining(combining)
            .open()
            .unwrap();
        let metrics = engine.start().unwrap().join().unwrap();
        assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
        assert_eq!(metrics.late(), expected_late, "{shards} shards, {combining:?}");
        assert!(*seen.lock().unwrap() == expected, "{shards} shards, {combining:?}");
    }
}

#[test]
fn what_a_batch_becomes_is_never_all_in_hand() {
    // Each record becomes rows of keys of their own, so that all of them are folded apart.
    const EACH: u32 = 3_000;
    let records: Vec<_> = (0..1_024).map(|n| GeneratedRecord::new(n, 0, 0)).collect();
    let mut engine = Stream::of(MemorySource::new(records))
        .flat_map(|record: &GeneratedRecord, out: &mut Vec<GeneratedRecord>| {
            let keys = record.key * EACH..(record.key + 1) * EACH;
            out.extend(keys.map(|key| GeneratedRecord::new(key, 0, 0)));
        })
        .window(WindowSpec::tumbling(Span::from_seconds(1)).unwrap())
        .aggregate(Count)
        .discard()
        .shards(1)
        .combining(Combining::Always)
        .open()
        .unwrap();
    let mut most = 0;
    while engine.step().unwrap() != Progress::Finished {
        most = most.max(engine.metrics().sources[0].1.unsent);
    }
    let rows = 1_024 * u64::from(EACH);
    let metrics = engine.metrics();
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    assert_eq!((metrics.results(), metrics.combined()), (rows, rows));
    assert!(most < rows / 4, "{most} of {rows} rows were in hand");
}

/// Two sources that nobody closes, and an engine of two shards that counts what they say.
fn waiting_engine(
    runtime: Runtime,
    on_result: impl FnMut() + Clone + Send + 'static,
) -> ([Pusher<GeneratedRecord>; 2], Running) {
    let (first, one) = tidewheel::source::handle(1_000);
    let (second, two) = tidewheel::source::handle(1_000);
    let sources: [Box<dyn Source<_>>; 2] = [Box::new(one), Box::new(two)];
    let mut on_result = on_result;
    let engine = Stream::of_all(sources)
        .window(WindowSpec::tumbling(Span::from_millis(10)).unwrap())
        .aggregate(Count)
        .for_each(move |_| on_result())
        .shards(2)
        .runtime(runtime)
        .open()
        .unwrap();
    ([first, second], engine.start().unwrap())
}

#[test]
fn a_panic_in_one_shard_ends_the_others_while_they_wait_and_is_the_error_that_is_told() {
    for runtime in [Runtime::Auto, Runtime::Threads] {
        let (mut pushers, running) = waiting_engine(runtime, || panic!("the closure is broken"));
        // One key, so that only one shard has a result; nothing closes the sources.
        for time in [0, 1_000] {
            for pusher in &mut pushers {
                pusher.push(&[GeneratedRecord::new(7, 1, time)]).unwrap();
            }
        }
        let error = running.join().unwrap_err();
        assert!(error.to_string().contains("the closure is broken"), "{error}");
    }
}

#[test]
fn an_engine_whose_results_nobody_takes_ends_when_it_is_dropped() {
    for runtime in [Runtime::Auto, Runtime::Threads] {
        let records = Workload::uniform(100, 1_000_000).generate();
        let (engine, _results) = Stream::of(MemorySource::new(records))
            .window(WindowSpec::tumbling(Span::from_millis(1)).unwrap())
            .aggregate(Count)
            .into_results()
            .shards(2)
            .runtime(runtime)
            .open()
            .unwrap();
        let running = engine.start().unwrap();
        while running.metrics().shards.iter().all(|shard| shard.blocked_nanos == 0) {
            std::thread::yield_now();
        }
        // Long enough that all its tasks are asleep by then, on a machine that is not busy.
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(running);
    }
}

#[test]
fn a_stopped_engine_lets_open_windows_out_as_interrupted() {
    let endless = Workload { per_second: 1_000, ..Workload::uniform(3, u64::MAX) };
    let source = tidewheel::source::GeneratorSource::new(endless);
    let (engine, mut results) = Stream::of(source)
        .out_of_order(Span::from_millis(500))
        .window(WindowSpec::tumbling(Span::from_seconds(10)).unwrap())
        .aggregate(Count)
        .into_results()
        .shards(2)
        .open()
        .unwrap();
    let running = engine.start().unwrap();
    let (mut on_time, mut interrupted) = (0, 0);
    let mut stopped = false;
    results.for_each(|output| {
        let Output::Result(result) = output else { return };
        match result.reason.as_str() {
            "on_time" => on_time += 1,
            "interrupted" => interrupted += 1,
            other => panic!("unexpected reason {other}"),
        }
        if !stopped {
            stopped = true;
            running.stopper().stop();
        }
    });
    let metrics = running.join().unwrap();
    assert!(on_time > 0 && interrupted > 0, "{on_time} and {interrupted}");
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
}

/// Results of an engine of two sources, one of them far behind, that is stopped after so many
/// steps.
fn stopped_after(records: &Arc<[GeneratedRecord]>, steps: usize) -> Vec<(String, u64, u64)> {
    let sources = [(0, records.len() / 2), (records.len() / 2, records.len())].map(|(from, to)| {
        let source = MemorySource::<GeneratedRecord>::new(records[from..to].into());
        Box::new(source) as Box<dyn Source<_>>
    });
    let (mut engine, mut results) = Stream::of_all(sources)
        .out_of_order(Span::from_millis(500))
        .window(WindowSpec::tumbling(Span::from_seconds(1)).unwrap())
        .aggregate(Count)
        .into_results()
        .shards(2)
        .open()
        .unwrap();
    let mut on_time = Vec::new();
    for step in 0.. {
        if step == steps {
            engine.stop();
        }
        let progress = engine.step().unwrap();
        results.poll(|output| {
            if let Output::Result(result) = output
                && result.reason == Reason::OnTime
            {
                on_time.push((result.window.to_string(), u64::from(result.key), result.value));
            }
        });
        if progress == Progress::Finished {
            break;
        }
    }
    on_time.sort();
    on_time
}

#[test]
fn what_a_stopped_source_had_more_for_is_not_on_time() {
    let workload = Workload { per_second: 1_000, ..Workload::uniform(3, 40_000) };
    let records: Arc<[GeneratedRecord]> = workload.generate().into();
    let whole: std::collections::BTreeMap<_, _> = stopped_after(&records, usize::MAX)
        .into_iter()
        .map(|(window, key, count)| ((window, key), count))
        .collect();
    let mut seen = 0;
    for steps in 0..30 {
        for (window, key, count) in stopped_after(&records, steps) {
            assert_eq!(whole.get(&(window, key)), Some(&count), "stopped after {steps} steps");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}
