//! The store against windows by definition: look at every record again.

mod frozen;

use super::*;
use crate::aggregate::Aggregate;
use crate::frame::{Extras, Frame, FrameHeader, FrameKind, FrameWriter, Stamp, Tail};
use crate::record::{
    BytesKey, Moment, PodKey, Record, Schema, SourceSequence, Typed, WordsReader, WordsWriter,
};
use crate::time::{EventTime, Span, Watermark};
use bytemuck::{Pod, Zeroable};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Row {
    time: i64,
    value: i64,
    key: u64,
}

impl Record for Row {
    type Key = u64;

    fn event_time(&self) -> EventTime {
        EventTime::from_nanos(self.time)
    }

    fn key(&self) -> u64 {
        self.key
    }
}

/// Sum, maximum and the earliest value: the sum alone when it is to have an inverse.
#[derive(Clone, Copy, Debug)]
struct Probe {
    invertible: bool,
}

type Partial = [i64; 4];

impl Aggregate<Row> for Probe {
    type Partial = Partial;
    type Output = Partial;

    fn identity(&self) -> Partial {
        let low = if self.invertible { 0 } else { i64::MIN };
        let high = if self.invertible { 0 } else { i64::MAX };
        [0, 0, low, high]
    }

    fn lift(&self, moment: Moment, row: &Row) -> Partial {
        match self.invertible {
            true => [1, row.value, 0, 0],
            false => [1, row.value, row.value, moment.sequence.to_raw().cast_signed()],
        }
    }

    fn combine(&self, into: &mut Partial, from: &Partial) {
        into[0] += from[0];
        into[1] += from[1];
        into[2] = into[2].max(from[2]);
        into[3] = into[3].min(from[3]);
    }

    fn lower(&self, partial: &Partial) -> Partial {
        *partial
    }

    fn is_invertible(&self) -> bool {
        self.invertible
    }

    fn subtract(&self, from: &mut Partial, what: &Partial) {
        from[0] -= what[0];
        from[1] -= what[1];
    }

    fn needs_sequence(&self) -> bool {
        true
    }
}

/// A run: what each partition brings, in turns of so many records.
#[derive(Clone, Debug)]
struct Case {
    spec: WindowSpec,
    tick: i64,
    bound: i64,
    turns: Vec<(usize, Vec<Row>)>,
    invertible: bool,
    refusals: Vec<bool>,
    interrupted: bool,
    /// Which of the rows that are on time are combined before they reach the store; which turns
    /// end with all that is combined leaving.
    combined: Vec<bool>,
    /// After which firings the store is written down and brought back.
    saved: Vec<bool>,
}

fn spec() -> impl Strategy<Value = WindowSpec> {
    (1_u64..40, any::<prop::sample::Index>(), -50_i64..50).prop_map(|(size, slide, offset)| {
        let slide = slide.index(size as usize) as u64 + 1;
        WindowSpec::sliding(Span::from_nanos(size), Span::from_nanos(slide))
            .unwrap()
            .with_offset(offset)
    })
}

/// Windows and times at the ends of what a time can say: small windows, and ones of centuries.
fn far_spec() -> impl Strategy<Value = WindowSpec> {
    let century = 3_155_760_000_000_000_000_u64;
    let huge = [i64::MAX as u64, i64::MAX as u64 / 2, i64::MAX as u64 / 3, century];
    let size =
        prop_oneof![Just(1_u64), Just(2), Just(3), 1_u64..40, prop::sample::select(huge.to_vec())];
    let offset = prop_oneof![-50_i64..50, any::<i64>()];
    (size, 1_u64..40, offset).prop_map(|(size, windows, offset)| {
        let slide = Span::from_nanos((size / windows).max(1));
        WindowSpec::sliding(Span::from_nanos(size), slide).unwrap().with_offset(offset)
    })
}

fn far_case() -> impl Strategy<Value = Case> {
    let start = prop_oneof![i64::MIN..i64::MIN + 60, i64::MAX - 200..i64::MAX];
    let long = prop_oneof![4 => 0_i64..30, 1 => Just(i64::MAX), 1 => 0_i64..i64::MAX];
    (case(), far_spec(), start, long.clone(), long).prop_map(|(case, spec, start, tick, bound)| {
        let Case { turns, .. } = &case;
        let first = turns.iter().flat_map(|(_, rows)| rows).map(|row| row.time).min();
        let moved = |row: &Row| {
            let time = start.saturating_add(row.time - first.unwrap_or(0));
            Row { time: EventTime::from_nanos(time).as_nanos(), ..*row }
        };
        let turns = turns.iter().map(|(at, rows)| (*at, rows.iter().map(moved).collect()));
        Case { turns: turns.collect(), spec, tick: tick.max(1), bound, ..case }
    })
}

/// Start and end of a window, however far beyond all times.
fn bounds(spec: &WindowSpec, window: i128) -> (i128, i128) {
    let offset = i128::from(spec.window(WindowIndex(0)).start.as_nanos());
    let start = window * i128::from(spec.slide().as_nanos()) + offset;
    (start, start + i128::from(spec.size().as_nanos()))
}

fn case() -> impl Strategy<Value = Case> {
    // Times wander forward with jitter, so that some are late; now and then they jump.
    let step = prop_oneof![8 => -3_i64..6, 1 => -40_i64..5, 1 => 0_i64..200];
    let record = (step, -9_i64..9, 0_u64..5);
    let turn = (0_usize..3, prop::collection::vec(record, 0..40));
    let turns = (prop::collection::vec(turn, 1..12), -300_i64..300).prop_map(|(turns, start)| {
        let mut now = [start; 3];
        let rows = |(partition, steps): (usize, Vec<(i64, i64, u64)>)| {
            let rows = steps.into_iter().map(|(step, value, key)| {
                now[partition] += step;
                Row { time: now[partition], value, key }
            });
            (partition, rows.collect())
        };
        turns.into_iter().map(rows).collect()
    });
    let numbers = (1_i64..4, 0_i64..30);
    let flags = || prop::collection::vec(any::<bool>(), 1..9);
    let refusals = flags();
    let combined = prop_oneof![Just(vec![false]), Just(vec![true]), flags()];
    (spec(), numbers, turns, any::<bool>(), refusals, any::<bool>(), combined).prop_map(
        |(spec, (tick, bound), turns, invertible, refusals, interrupted, combined)| Case {
            spec,
            tick,
            bound,
            turns,
            invertible,
            refusals,
            interrupted,
            combined,
            saved: vec![false],
        },
    )
}

type Results = BTreeMap<(i64, i64, u64), Partial>;

/// What windows mean: a record counts in each window that holds its time and that the watermark
/// of its own partition, as it stood before, had not passed. Says the results and how many
/// records count in none.
fn windows_by_definition(case: &Case) -> (Results, u64) {
    let probe = Probe { invertible: case.invertible };
    let (mut results, mut late) = (Results::new(), 0);
    let mut max = [None::<i64>; 3];
    let mut sequence = [0_u64; 3];
    let slide = i128::from(case.spec.slide().as_nanos());
    let windows = i128::from(case.spec.size().as_nanos()) / slide + 2;
    for (partition, rows) in &case.turns {
        for row in rows {
            // Nothing is promised before the first of times, and the last is never passed.
            let watermark = max[*partition].map(|max| i128::from(max) - i128::from(case.bound));
            let promised = watermark.filter(|watermark| *watermark > i128::from(i64::MIN));
            let horizon = promised
                .map(|watermark| (watermark + i128::from(case.tick)).min(i64::MAX as i128 - 1));
            let at = SourceSequence::new(*partition as u16, sequence[*partition]);
            let moment = Moment { time: row.event_time(), sequence: at };
            let mut counted = false;
            let time = i128::from(row.time);
            for index in time.div_euclid(slide) - windows..=time.div_euclid(slide) + 1 {
                let (start, end) = bounds(&case.spec, index);
                let is_open = horizon.is_none_or(|horizon| end > horizon);
                if start <= time && time < end && is_open {
                    let window = case.spec.window(WindowIndex(index));
                    let (start, end) = (window.start.as_nanos(), window.end.as_nanos());
                    let result = results.entry((start, end, row.key));
                    let partial = result.or_insert_with(|| probe.identity());
                    probe.combine(partial, &probe.lift(moment, row));
                    counted = true;
                }
            }
            late += u64::from(!counted);
            max[*partition] = max[*partition].max(Some(row.time));
            sequence[*partition] += 1;
        }
    }
    (results, late)
}

fn frame(rows: &[Row], watermark: Watermark, first: SourceSequence) -> Vec<u64> {
    let schema = Typed::<Row>::new();
    let (mut words, mut tail) = (vec![0; 8 + 5 * (rows.len() + 1)], Tail::default());
    let header = FrameHeader::new(FrameKind::Records, watermark);
    let stride = schema.stride_words();
    let extras = Extras::SOURCE_SEQUENCE;
    let mut writer = FrameWriter::begin(&mut words[..], &mut tail, header, stride, extras);
    for (row, at) in rows.iter().zip(0..) {
        let stamp = Stamp { sequence: first.plus(at), ..Stamp::default() };
        writer.push(&schema, row, &[], stamp);
    }
    writer.finish(watermark, 0);
    words
}

type Store = WindowStore<PodKey<u64>, Probe, Row>;

/// What was done to a store.
#[derive(Clone, Debug)]
enum Op {
    Add(Vec<u64>, Watermark),
    AddPartials(Vec<u64>, Watermark),
    Advance(Watermark),
    Interrupt,
    Fire,
}

/// The store under test, and what came out of it.
struct Run {
    store: Store,
    results: Results,
    /// The results in the order in which they came.
    order: Vec<(i64, i64, u64)>,
    reasons: Vec<Reason>,
    refusals: Vec<bool>,
    turn: usize,
    saved: Vec<bool>,
    firings: usize,
    late: u64,
    /// Records that came combined.
    partials: u64,
    last_end: i64,
    spec: WindowSpec,
    probe: Probe,
    tick: Span,
    ops: Vec<Op>,
}

impl Run {
    fn fire(&mut self) {
        self.ops.push(Op::Fire);
        loop {
            let Self { store, results, order, reasons, refusals, turn, last_end, .. } = self;
            let firing = store.fire(&mut |fired| {
                *turn += 1;
                // Every fourth offer is taken, so that all get through some time.
                if *turn % 4 != 0 && refusals[*turn % refusals.len()] {
                    return Flow::Full;
                }
                let (start, end) = (fired.window.start.as_nanos(), fired.window.end.as_nanos());
                assert!(end >= *last_end, "windows come in the order of their ends");
                *last_end = end;
                let before = results.insert((start, end, fired.key), *fired.partial);
                assert_eq!(before, None, "a result came twice");
                order.push((start, end, fired.key));
                reasons.push(fired.reason);
                Flow::Taken
            });
            if firing == Firing::Done {
                break;
            }
        }
        self.firings += 1;
        if self.saved[self.firings % self.saved.len()] {
            self.save_and_restore();
        }
    }

    fn empty(&self) -> Store {
        Store::new(self.spec, self.tick, self.probe, StoreLimits::default())
    }

    /// Puts a new store in the place of the one at hand, which is written down for it.
    fn save_and_restore(&mut self) {
        let save = |store: &mut Store| {
            let mut out = WordsWriter::default();
            store.freeze(&mut out);
            assert!(store.save_some(&mut out, usize::MAX));
            out.written().to_vec()
        };
        let words = save(&mut self.store);
        let mut store = self.empty();
        let mut from = WordsReader::new(&words);
        store.restore(&mut from).expect("it was just saved");
        assert_eq!(from.end(), Ok(()), "all that was saved is read");
        assert_eq!(save(&mut store), words, "nothing is lost");
        assert_eq!(store.stats(), self.store.stats());
        let cut = &words[..words.len() - 1];
        assert!(self.empty().restore(&mut WordsReader::new(cut)).is_err());
        self.store = store;
    }

    fn add(&mut self, rows: &[Row], watermark: Watermark, first: SourceSequence) {
        if rows.is_empty() {
            return;
        }
        let words = frame(rows, watermark, first);
        self.ops.push(Op::Add(words.clone(), watermark));
        let mut late = 0;
        let frame = Frame::parse(&words, None).unwrap();
        let schema = Typed::<Row>::new();
        let added = self
            .store
            .add_frame(&schema, frame, watermark, &mut |row| {
                assert!(row.window_end <= row.watermark.horizon(self.tick));
                late += 1;
            })
            .expect("within the limits");
        assert_eq!(added.late, late);
        assert_eq!(added.counted + added.late, rows.len() as u64);
        self.late += late;
    }
}

type OneCombiner = Combiner<PodKey<u64>, Probe, Row>;

/// A partition on its way to the store.
struct Partition {
    own: Watermark,
    sequence: u64,
    combiner: OneCombiner,
}

impl Run {
    /// Brings the slices that start before a moment from a combiner to the store, in frames of
    /// a few rows.
    fn drain(&mut self, combiner: &mut OneCombiner, before: i64, watermark: Watermark) {
        let stride = SlicePartial::<PodKey<u64>, Partial>::stride_words();
        loop {
            let (mut words, mut tail) = (vec![0; 8 + 3 * stride], Tail::default());
            let header = FrameHeader::new(FrameKind::Partials, watermark);
            let mut writer =
                FrameWriter::begin(&mut words[..], &mut tail, header, stride, Extras::NONE);
            let firing = combiner.drain(before, &mut |partial| {
                if !writer.has_room(0) {
                    return Flow::Full;
                }
                writer.push_with(|words, tail| partial.lay(words, tail));
                Flow::Taken
            });
            writer.finish(watermark, 0);
            let frame = Frame::parse(&words, None).unwrap();
            let added = self.store.add_partials(frame, watermark).expect("within the limits");
            assert_eq!((added.late, added.partly_late), (0, 0));
            self.partials += added.counted;
            self.ops.push(Op::AddPartials(words, watermark));
            if firing == Firing::Done {
                return;
            }
        }
    }

    /// One turn of a partition; frames are cut where lateness changes.
    fn turn(&mut self, case: &Case, partition: usize, rows: &[Row], all: &mut [Partition]) -> u64 {
        let (schema, tick) = (Typed::<Row>::new(), self.tick);
        let (mut pending, mut combined) = (Vec::new(), 0);
        let mut judged = all[partition].own;
        let at = |sequence| SourceSequence::new(partition as u16, sequence);
        for row in rows {
            let Partition { own, sequence, combiner } = &mut all[partition];
            let on_time = row.time >= case.spec.thresholds(judged, tick).partly_late_before;
            let chosen = case.combined[*sequence as usize % case.combined.len()];
            match on_time && chosen {
                true => {
                    // Sequences within a frame have no gaps: what was pending goes first.
                    let first = at(*sequence - pending.len() as u64);
                    self.add(&std::mem::take(&mut pending), judged, first);
                    assert_eq!(combiner.fold(&schema, (row, &[]), at(*sequence)), Flow::Taken);
                    combined += 1;
                }
                false => pending.push(*row),
            }
            *sequence += 1;
            let bound = Span::from_nanos(case.bound.unsigned_abs());
            *own = (*own).max(Watermark::behind(row.event_time(), bound));
            let next = *own;
            let thresholds = case.spec.thresholds(next, tick);
            if thresholds != case.spec.thresholds(judged, tick) {
                let first = at(*sequence - pending.len() as u64);
                self.add(&std::mem::take(&mut pending), judged, first);
                self.drain(combiner, thresholds.partly_late_before, judged);
                judged = next;
                let merged = all.iter().map(|partition| partition.own).min().unwrap();
                self.store.advance(merged);
                self.ops.push(Op::Advance(merged));
                self.fire();
            }
        }
        let Partition { sequence, combiner, .. } = &mut all[partition];
        self.add(&pending, judged, at(*sequence - pending.len() as u64));
        if case.combined[rows.len() % case.combined.len()] {
            self.drain(combiner, i64::MAX, judged);
            assert_eq!(combiner.records(), 0);
        }
        combined
    }
}

/// Runs a case through the store.
fn run(case: &Case) -> Run {
    let tick = Span::from_nanos(case.tick.unsigned_abs());
    let probe = Probe { invertible: case.invertible };
    let mut run = Run {
        store: Store::new(case.spec, tick, probe, StoreLimits::default()),
        results: Results::new(),
        order: Vec::new(),
        reasons: Vec::new(),
        refusals: case.refusals.clone(),
        turn: 0,
        saved: case.saved.clone(),
        firings: 0,
        late: 0,
        partials: 0,
        last_end: i64::MIN,
        spec: case.spec,
        probe,
        tick,
        ops: Vec::new(),
    };
    let partition = |_| Partition {
        own: Watermark::START,
        sequence: 0,
        combiner: Combiner::new(case.spec, probe),
    };
    let mut all: Vec<Partition> = (0..3).map(partition).collect();
    let mut combined = 0;
    for (partition, rows) in &case.turns {
        combined += run.turn(case, *partition, rows, &mut all);
    }
    for Partition { own, combiner, .. } in &mut all {
        run.drain(combiner, i64::MAX, *own);
    }
    assert_eq!(run.partials, combined, "every record that was combined reaches the store");
    match case.interrupted {
        true => run.store.interrupt(),
        false => run.store.advance(Watermark::END),
    }
    run.ops.push(match case.interrupted {
        true => Op::Interrupt,
        false => Op::Advance(Watermark::END),
    });
    run.fire();
    run
}

proptest! {
    #[test]
    fn the_windows_of_a_time_are_those_that_hold_it(spec in spec(), time in -200_i64..200) {
        let holds = |window| {
            let (start, end) = bounds(&spec, window);
            (start..end).contains(&i128::from(time))
        };
        let of_time: Vec<_> = spec.windows_of(time).map(|window| window.0).collect();
        let around = of_time[0] - 50..of_time[of_time.len() - 1] + 50;
        prop_assert!(around.filter(|window| holds(*window)).eq(of_time));
    }

    #[test]
    fn a_spec_is_parsed_as_it_is_displayed(
        size in 1..100_000_000_u64,
        slide in 1..100_000_000_u64,
        offset in any::<i64>(),
    ) {
        let (size, slide) = (size.max(slide), size.min(slide));
        let spec = WindowSpec::sliding(Span::from_micros(size), Span::from_micros(slide));
        let spec = spec.map(|spec| spec.with_offset(offset));
        if let Ok(spec) = spec {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_store_says_what_windows_mean(case in prop_oneof![case(), far_case()]) {
        let (expected, late) = windows_by_definition(&case);
        let run = run(&case);
        prop_assert_eq!(&run.results, &expected);
        prop_assert_eq!(run.late, late);
        let left = run.store.stats();
        prop_assert_eq!((left.open_slices, left.live_keys), (0, 0));
        let ending = match case.interrupted {
            true => Reason::Interrupted,
            false => Reason::EndOfInput,
        };
        let split = run.reasons.iter().position(|reason| *reason == ending);
        let (before, after) = run.reasons.split_at(split.unwrap_or(run.reasons.len()));
        prop_assert!(before.iter().all(|reason| *reason == Reason::OnTime));
        prop_assert!(after.iter().all(|reason| *reason == ending));
    }

    #[test]
    fn a_store_that_was_saved_goes_on_as_if_it_had_not_been(
        case in prop_oneof![case(), far_case()],
        saved in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let whole = run(&case);
        let restored = run(&Case { saved, ..case });
        prop_assert_eq!(&restored.results, &whole.results);
        prop_assert_eq!(&restored.order, &whole.order);
        prop_assert_eq!(restored.late, whole.late);
    }

    #[test]
    fn slices_tile_time_and_windows_are_runs_of_them(
        spec in prop_oneof![spec(), far_spec()],
        nanos in prop_oneof![
            -500_i64..500, any::<i64>(), i64::MIN..i64::MIN + 99, i64::MAX - 99..i64::MAX,
        ],
    ) {
        let nanos = EventTime::from_nanos(nanos).as_nanos();
        let slice = spec.slice_of(nanos);
        prop_assert!(spec.slice_start(slice) <= nanos && nanos < spec.slice_end(slice));
        let first = spec.first_window_of(slice);
        for window in [first, first.next()] {
            let holds = spec.first_slice(window) <= slice && slice < spec.slice_after(window);
            let (start, end) = bounds(&spec, window.0);
            prop_assert_eq!(holds, start <= nanos.into() && i128::from(nanos) < end);
        }
        let (_, before) = bounds(&spec, first.0 - 1);
        prop_assert!(before <= nanos.into());
        for moment in [nanos, i64::MIN] {
            let end = spec.next_end_after(moment);
            prop_assert!(end > moment && spec.next_end_after(end - 1) == end);
        }
    }
}

#[test]
fn impossible_windows_are_refused() {
    let span = Span::from_seconds;
    assert_eq!(WindowSpec::tumbling(Span::ZERO), Err(SpecError::ZeroSize));
    assert_eq!(WindowSpec::sliding(span(1), Span::ZERO), Err(SpecError::ZeroSlide));
    let error = WindowSpec::sliding(span(1), span(2)).unwrap_err();
    assert!(error.to_string().contains("take a slide of at most 1s"), "{error}");
    let error = WindowSpec::sliding(span(10), Span::from_nanos(1)).unwrap_err();
    assert!(error.to_string().contains("take a slide of at least 597ns"), "{error}");
    assert!(WindowSpec::sliding(span(10), Span::from_nanos(597)).is_ok());
    assert!(WindowSpec::sliding(span(10), Span::from_nanos(596)).is_err());
    assert!(WindowSpec::sliding(span(3600), Span::from_millis(1)).is_ok());
    let error = WindowSpec::sliding(Span::from_days(1), Span::from_millis(1)).unwrap_err();
    assert!(error.to_string().contains("take a slide of at least 6ms,"), "{error}");
    assert!(WindowSpec::sliding(Span::from_days(1), Span::from_millis(6)).is_ok());
}

#[test]
fn windows_print_as_a_person_says_them() {
    let hour = Span::from_hours(1);
    let sliding = WindowSpec::sliding(hour, Span::from_minutes(15)).unwrap();
    assert_eq!(sliding.to_string(), "1h sliding by 15m");
    assert_eq!(WindowSpec::tumbling(hour).unwrap().to_string(), "1h");
    let moved = WindowSpec::tumbling(hour).unwrap().with_offset(-600_000_000_000);
    assert_eq!(moved.to_string(), "1h moved by 50m");
}

#[test]
fn a_limit_is_an_error_that_says_how_to_mend_it() {
    let spec = WindowSpec::tumbling(Span::from_nanos(10)).unwrap();
    let limits = StoreLimits { live_keys_max: 2, open_slices_max: 2, ..StoreLimits::default() };
    let row = |time, key| Row { time, value: 1, key };
    let mut store = Store::new(spec, Span::from_nanos(1), Probe { invertible: true }, limits);
    let first = SourceSequence::default();
    let add = |store: &mut Store, rows: &[Row]| {
        let words = frame(rows, Watermark::START, first);
        let frame = Frame::parse(&words, None).unwrap();
        store.add_frame(&Typed::<Row>::new(), frame, Watermark::START, &mut |_| ())
    };
    assert!(add(&mut store, &[row(1, 1), row(2, 2), row(3, 2)]).is_ok());
    let error = add(&mut store, &[row(1, 3)]).unwrap_err();
    assert_eq!(error, StoreError::LiveKeys { max: 2 });
    assert!(error.to_string().contains("raise the live-key limit"));
    let mut store = Store::new(spec, Span::from_nanos(1), Probe { invertible: true }, limits);
    assert!(add(&mut store, &[row(1, 1), row(11, 1)]).is_ok());
    assert_eq!(add(&mut store, &[row(21, 1)]), Err(StoreError::OpenSlices { max: 2 }));
}

#[test]
fn keys_of_too_many_bytes_are_an_error_that_says_how_to_mend_it() {
    type Bytes<'a> = SlicePartial<'a, BytesKey, Partial>;
    let (size, tick) = (Span::from_nanos(10), Span::from_nanos(1));
    let limits = StoreLimits { key_bytes_max: 100, ..StoreLimits::default() };
    let fill = |slide: u64, keys: &[(i64, &str)]| {
        let spec = WindowSpec::sliding(size, Span::from_nanos(slide)).unwrap();
        let probe = Probe { invertible: true };
        let mut store = WindowStore::<BytesKey, Probe, Row>::new(spec, tick, probe, limits);
        keys.iter().try_for_each(|(slice_start, key)| {
            let (mut words, mut tail) = (vec![0; 64], Tail::default());
            let header = FrameHeader::new(FrameKind::Partials, Watermark::START);
            let stride = Bytes::stride_words();
            let mut writer =
                FrameWriter::begin(&mut words[..], &mut tail, header, stride, Extras::NONE);
            let (slice_start, partial) = (*slice_start, &[1, 1, 0, 0]);
            let row = Bytes { slice_start, records: 1, key: key.as_bytes(), partial };
            writer.push_with(|words, tail| row.lay(words, tail));
            writer.finish(Watermark::START, 0);
            let frame = Frame::parse(&words, None).unwrap();
            store.add_partials(frame, Watermark::START).map(|_| ())
        })
    };
    let (one, two, three) = ("a".repeat(60), "b".repeat(40), "c".to_owned());
    let full = [(0, one.as_str()), (0, &two), (0, &one)];
    assert_eq!(fill(10, &full), Ok(()), "a key that is there takes nothing");
    let (apart, more) =
        ([(0, one.as_str()), (10, &one)], [(0, one.as_str()), (0, &two), (0, &three)]);
    assert_eq!(fill(10, &apart), Ok(()), "slices that stay apart have room each");
    assert_eq!(fill(5, &apart), Err(StoreError::KeyBytes { max: 100 }));
    let error = fill(10, &more).unwrap_err();
    assert_eq!(error, StoreError::KeyBytes { max: 100 });
    assert!(error.to_string().contains("take more shards"), "{error}");
}

#[test]
fn all_leaves_a_combiner_whatever_its_time() {
    let spec = WindowSpec::tumbling(Span::from_nanos(7)).unwrap();
    let mut combiner = OneCombiner::new(spec, Probe { invertible: false });
    for time in [i64::MIN, -1, 0, i64::MAX] {
        let row = Row { time, value: 1, key: 1 };
        let taken = combiner.fold(&Typed::new(), (&row, &[]), SourceSequence::default());
        assert_eq!(taken, Flow::Taken);
    }
    let mut left = 0;
    let firing = combiner.drain(i64::MAX, &mut |partial| {
        left += partial.records;
        Flow::Taken
    });
    assert_eq!((firing, left, combiner.records()), (Firing::Done, 4, 0));
}

#[test]
fn a_window_displays_as_an_interval_whose_end_is_left_out() {
    let start = EventTime::from_millis(1_357_016_400_500).unwrap();
    let window = Window { start, end: start.saturating_add(Span::from_micros(250)) };
    assert_eq!(window.to_string(), "[2013-01-01 05:00:00.500, 2013-01-01 05:00:00.500250)");
}
