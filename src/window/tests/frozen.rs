//! Stores that are written down while they go on: what is written is what they were when they were
//! frozen, and they go on as if they had not been.

use super::*;

/// Rows whose keys are a part of the key's bytes, of any length.
#[derive(Clone, Copy, Debug)]
struct Named;

impl Schema for Named {
    type Row = Row;
    type Key = BytesKey;
    type Batch<'a> = &'a [Row];

    const HAS_TAIL: bool = false;

    fn stride_words(&self) -> usize {
        Typed::<Row>::new().stride_words()
    }

    fn rows(&self, batch: &[Row]) -> usize {
        batch.len()
    }

    fn row<'a>(&self, batch: Self::Batch<'a>, index: usize) -> &'a Row {
        &batch[index]
    }

    fn heap<'a>(&self, _: Self::Batch<'a>) -> &'a [u8] {
        &[]
    }

    fn event_time(&self, row: &Row) -> EventTime {
        row.event_time()
    }

    fn key<'a>(&self, row: &'a Row, _: &'a [u8]) -> &'a [u8] {
        &bytemuck::bytes_of(&row.key)[..2 + (row.key % 6) as usize]
    }

    fn tail_bytes(&self, _: &Row) -> usize {
        0
    }

    fn lay(&self, row: &Row, heap: &[u8], words: &mut [u64], tail: &mut Vec<u8>) {
        Typed::<Row>::new().lay(row, heap, words, tail);
    }

    fn view<'a>(&self, words: &'a [u64]) -> &'a Row {
        bytemuck::from_bytes(bytemuck::cast_slice(words))
    }
}

/// What came out of a store, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    results: Vec<(Window, String, Partial, Reason)>,
    late: u64,
}

/// A snapshot of a store, from when on it knows nothing, and what had come out by then.
#[derive(Debug)]
struct Taken {
    op: usize,
    results: usize,
    late: u64,
    words: WordsWriter,
    /// Whether it has all chunks, and how many words come before them.
    is_whole: bool,
    outline: usize,
}

/// Whether it is tried to write so much, or to begin with a snapshot where there is none.
type Budgets<'b> = &'b [usize];

/// A store that is frozen now and then.
struct Player<'c, S: Schema<Row = Row>> {
    schema: S,
    case: &'c Case,
    store: WindowStore<S::Key, Probe, Row>,
    outcome: Outcome,
    budgets: Budgets<'c>,
    turn: usize,
    taken: Vec<Taken>,
}

impl<'c, S: Schema<Row = Row> + Copy> Player<'c, S> {
    fn new(schema: S, case: &'c Case, budgets: Budgets<'c>) -> Self {
        let tick = Span::from_nanos(case.tick.unsigned_abs());
        let probe = Probe { invertible: case.invertible };
        let store = WindowStore::new(case.spec, tick, probe, StoreLimits::default());
        let (outcome, taken) = (Outcome::default(), Vec::new());
        Self { schema, case, store, outcome, budgets, turn: 0, taken }
    }

    /// Plays what was done to another store; `first` is the number of the first of it.
    fn play(&mut self, ops: &[Op], first: usize) {
        for (op, at) in ops.iter().zip(first..) {
            match op {
                Op::Add(words, watermark) => self.add(words, *watermark),
                Op::AddPartials(words, watermark) => {
                    let frame = Frame::parse(words, None).unwrap();
                    let added = self.store.add_partials(frame, *watermark);
                    added.expect("within the limits");
                }
                Op::Advance(watermark) => self.store.advance(*watermark),
                Op::Interrupt => self.store.interrupt(),
                Op::Fire => self.fire(),
            }
            self.save(at + 1);
        }
        while self.store.is_frozen() {
            self.save_some(9);
        }
    }

    fn add(&mut self, words: &[u64], watermark: Watermark) {
        let (schema, late) = (self.schema, &mut self.outcome.late);
        let frame = Frame::parse(words, None).unwrap();
        let added = self.store.add_frame(&schema, frame, watermark, &mut |_| *late += 1);
        added.expect("within the limits");
    }

    fn fire(&mut self) {
        let mut offers = 0;
        loop {
            let results = &mut self.outcome.results;
            let firing = self.store.fire(&mut |fired| {
                offers += 1;
                if offers % 7 == 0 {
                    return Flow::Full;
                }
                let key = format!("{:?}", fired.key);
                results.push((fired.window, key, *fired.partial, fired.reason));
                Flow::Taken
            });
            match firing {
                Firing::Done => break,
                Firing::Blocked if self.store.is_frozen() => self.save_some(100),
                Firing::Blocked => {}
            }
        }
    }

    /// Goes on with a snapshot, or begins one before op `next`.
    fn save(&mut self, next: usize) {
        self.turn += 1;
        match self.budgets[self.turn % self.budgets.len()] {
            0 => {}
            bytes if self.store.is_frozen() => self.save_some(bytes),
            _ if self.store.is_firing() => {}
            _ => {
                let Outcome { results, late } = &self.outcome;
                let (results, late, mut words) = (results.len(), *late, WordsWriter::default());
                let is_whole = self.taken.is_empty() || self.turn.is_multiple_of(7);
                match is_whole {
                    true => self.store.freeze(&mut words),
                    false => self.store.freeze_changes(&mut words),
                }
                let (op, outline) = (next, words.len());
                self.taken.push(Taken { op, results, late, words, is_whole, outline });
            }
        }
    }

    fn save_some(&mut self, bytes: usize) {
        let words = &mut self.taken.last_mut().unwrap().words;
        let before = words.len();
        let all = self.store.save_some(words, bytes);
        assert_eq!(all, !self.store.is_frozen());
        assert!(all || words.len() > before, "it gets on");
        assert!(!all || self.store.copied_bytes() == 0);
    }

    /// What the nth snapshot and those that it goes back to hold.
    fn chain(&self, nth: usize) -> Vec<u64> {
        let mut words = self.taken[nth].words.written().to_vec();
        let mut at = nth;
        while !self.taken[at].is_whole {
            at -= 1;
            words.extend(&self.taken[at].words.written()[self.taken[at].outline..]);
        }
        words
    }

    /// Plays from each snapshot on what was done since.
    fn check(&self, ops: &[Op]) -> Result<(), TestCaseError> {
        for (nth, Taken { op, results, late, .. }) in self.taken.iter().enumerate() {
            let words = self.chain(nth);
            let mut restored = Self::new(self.schema, self.case, &[0]);
            let mut from = WordsReader::new(&words);
            prop_assert_eq!(restored.store.restore(&mut from), Ok(()));
            prop_assert_eq!(from.end(), Ok(()));
            restored.play(&ops[*op..], *op);
            prop_assert_eq!(&restored.outcome.results[..], &self.outcome.results[*results..]);
            prop_assert_eq!(restored.outcome.late, self.outcome.late - late);
            prop_assert_eq!(restored.store.stats().live_keys, self.store.stats().live_keys);
            prop_assert_eq!(restored.store.windows_fired(), self.store.windows_fired());
            for cut in [0, self.taken[nth].outline / 2, words.len() - 1] {
                let mut cut = WordsReader::new(&words[..cut]);
                let mut other = Self::new(self.schema, self.case, &[0]);
                prop_assert!(other.store.restore(&mut cut).is_err());
            }
        }
        Ok(())
    }
}

fn play<S: Schema<Row = Row> + Copy>(
    schema: S,
    (case, ops, budgets): (&Case, &[Op], Budgets<'_>),
) -> Result<usize, TestCaseError> {
    let mut never = Player::new(schema, case, &[0]);
    never.play(ops, 0);
    let mut frozen = Player::new(schema, case, budgets);
    frozen.play(ops, 0);
    prop_assert_eq!(&frozen.outcome, &never.outcome);
    prop_assert_eq!(frozen.store.stats(), never.store.stats());
    frozen.check(ops)?;
    Ok(frozen.taken.len())
}

/// Many keys in each slice, so that panes have many chunks.
fn crowded() -> impl Strategy<Value = Case> {
    case().prop_map(|case| {
        let mut nth = 0;
        let mut crowd = |row: Row| {
            nth += 1;
            Row { time: row.time.div_euclid(8), key: row.key + 5 * (nth * nth % 60), ..row }
        };
        let turns = case.turns.into_iter();
        let turns = turns.map(|(at, rows)| (at, rows.into_iter().map(&mut crowd).collect()));
        Case { turns: turns.collect(), ..case }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_snapshot_is_what_the_store_was_and_the_store_goes_on(
        case in prop_oneof![1 => case(), 1 => far_case(), 3 => crowded()],
        is_tumbling in any::<bool>(),
        budgets in prop::collection::vec(prop_oneof![Just(0_usize), 1_usize..3_000], 1..12),
    ) {
        let size = case.spec.size();
        let spec = if is_tumbling { WindowSpec::tumbling(size).unwrap() } else { case.spec };
        let case = Case { spec, ..case };
        let ops = run(&case).ops;
        play(Typed::<Row>::new(), (&case, &ops, &budgets))?;
        // What is combined holds the keys of the other schema.
        let case = Case { combined: vec![false], ..case };
        let ops = run(&case).ops;
        play(Named, (&case, &ops, &budgets))?;
    }
}

#[test]
fn nothing_more_comes_of_a_snapshot_whose_store_is_abandoned() {
    let spec = WindowSpec::tumbling(Span::from_nanos(10)).unwrap();
    let mut store =
        Store::new(spec, Span::from_nanos(1), Probe { invertible: true }, StoreLimits::default());
    let rows: Vec<Row> = (0..90).map(|key| Row { time: 1, value: 1, key }).collect();
    let mut out = WordsWriter::default();
    for _ in 0..2 {
        let words = frame(&rows, Watermark::START, SourceSequence::default());
        let frame = Frame::parse(&words, None).unwrap();
        let schema = Typed::<Row>::new();
        store.add_frame(&schema, frame, Watermark::START, &mut |_| ()).unwrap();
        store.freeze(&mut out);
        assert!(!store.save_some(&mut out, 100));
        let added = store.add_frame(&schema, frame, Watermark::START, &mut |_| ());
        assert_eq!(added.unwrap().counted, 90);
        assert!(store.copied_bytes() > 90 * 32, "what was to change was copied");
        assert_eq!(store.abandon(), 90);
        assert!(!store.is_frozen() && store.copied_bytes() == 0);
    }
}

/// Adds rows that are on time.
fn add(store: &mut Store, rows: &[Row]) {
    for rows in rows.chunks(100) {
        let words = frame(rows, Watermark::START, SourceSequence::default());
        let frame = Frame::parse(&words, None).unwrap();
        let schema = Typed::<Row>::new();
        store.add_frame(&schema, frame, Watermark::START, &mut |_| ()).unwrap();
    }
}

#[test]
fn a_close_of_sliding_windows_copies_no_more_than_it_changes() {
    let (size, slide) = (Span::from_nanos(80), Span::from_nanos(10));
    let spec = WindowSpec::sliding(size, slide).unwrap();
    let probe = Probe { invertible: true };
    let mut store = Store::new(spec, Span::from_nanos(1), probe, StoreLimits::default());
    let close = |store: &mut Store, until: i64| {
        store.advance(Watermark::at(EventTime::from_nanos(until)));
        let mut results = Vec::new();
        let fired = store.fire(&mut |fired| {
            results.push((fired.window, fired.key, *fired.partial));
            Flow::Taken
        });
        assert_eq!(fired, Firing::Done);
        results
    };
    // Each slice has keys of its own, and after 80 ns all of them are combined.
    let row = |nth: u64| Row { time: nth as i64 / 250 * 10, value: 1, key: nth };
    add(&mut store, &(0..2_000).map(row).collect::<Vec<_>>());
    close(&mut store, 80);
    let mut words = WordsWriter::default();
    store.freeze(&mut words);
    let late = [Row { time: 85, value: 1, key: 5_000 }];
    add(&mut store, &late);
    let results = close(&mut store, 90);
    assert_eq!(results.len(), 1_751);
    // A slot has two partials and an entry one, each with a word or two beside them.
    let of_all = 2_000 * (3 * size_of::<Partial>() + 24);
    assert!(store.copied_bytes() < of_all / 4, "{} of {of_all}", store.copied_bytes());
    while !store.save_some(&mut words, 1_000) {}
    let mut restored = Store::new(spec, Span::from_nanos(1), probe, StoreLimits::default());
    restored.restore(&mut WordsReader::new(words.written())).unwrap();
    add(&mut restored, &late);
    assert_eq!(close(&mut restored, 90), results);
}

#[test]
fn a_snapshot_of_changes_holds_what_changed() {
    let spec = WindowSpec::tumbling(Span::from_nanos(10)).unwrap();
    let empty = || {
        let probe = Probe { invertible: true };
        Store::new(spec, Span::from_nanos(1), probe, StoreLimits::default())
    };
    let mut store = empty();
    let row = |key| Row { time: 1, value: 1, key };
    add(&mut store, &(0..1_000).map(row).collect::<Vec<_>>());
    let (mut whole, mut changes) = (WordsWriter::default(), WordsWriter::default());
    store.freeze(&mut whole);
    assert!(!store.save_some(&mut whole, 1));
    // While a snapshot is on its way, what changes is noted for the next one, too.
    add(&mut store, &[row(500)]);
    assert!(store.save_some(&mut whole, usize::MAX));
    add(&mut store, &[row(7), row(1_000)]);
    store.freeze_changes(&mut changes);
    let outline = changes.len();
    assert!(store.save_some(&mut changes, usize::MAX));
    let chunks = changes.written()[outline..].len() * 8;
    assert!((200..5_000).contains(&chunks), "{chunks} bytes of {}", store.snapshot_bytes());
    assert!(store.snapshot_bytes() as usize <= whole.len() * 8 + 100);
    let mut again = WordsWriter::default();
    store.freeze_changes(&mut again);
    let outline_again = again.len();
    assert!(store.save_some(&mut again, usize::MAX));
    assert_eq!(again.len(), outline_again, "nothing has changed since");
    let mut words = again.written().to_vec();
    words.extend(&changes.written()[outline..]);
    words.extend(&whole.written()[outline..]);
    let mut restored = empty();
    restored.restore(&mut WordsReader::new(&words)).unwrap();
    let results = |store: &mut Store| {
        store.advance(Watermark::END);
        let mut results = Vec::new();
        let fired = store.fire(&mut |fired| {
            results.push((fired.key, *fired.partial));
            Flow::Taken
        });
        assert_eq!((fired, results.len()), (Firing::Done, 1_001));
        results
    };
    assert_eq!(results(&mut restored), results(&mut store));
}
