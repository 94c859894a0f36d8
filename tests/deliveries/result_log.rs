//! Results in a log of their own: each of them once, however often runs are cut off; and which logs
//! are refused.

use super::sources::sources;
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use tidewheel::record::{ShardIndex, Typed};
use tidewheel::sink::{ResultLog, ResultReader};
use tidewheel::source::GeneratedRecord;
use tidewheel::state::{Delivery, Durability, State};
use tidewheel::{Count, Output, Progress, Span, Stream, Sum, Watermark, WindowSpec};

const SHARDS: usize = 2;

fn value(record: &GeneratedRecord) -> i64 {
    record.value
}

macro_rules! aggregated {
    ($millis:expr) => {{
        Stream::of_all(sources())
            .out_of_order(Span::from_millis(300))
            .window(WindowSpec::tumbling(Span::from_millis($millis)).unwrap())
            .aggregate((Count, Sum::of(value)))
            .into_results()
            .with_late()
            .shards(SHARDS)
    }};
}

/// Two folders: of the state, and of the results.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn state(&self) -> State {
        State::in_directory(self.path("state")).described("test", "result log")
    }
}

/// Runs so many steps, or to the end, with a result log; says whether it came to the end.
fn run(scratch: &Scratch, state: State, steps: usize) -> bool {
    let (mut engine, mut results) = aggregated!(100).state(state).open().unwrap();
    let mut log = ResultLog::open(scratch.path("results"), &results).unwrap();
    for step in 0..steps {
        let finished = engine.step().unwrap() == Progress::Finished;
        // Not always: more than one frame is there then, and some come again in part.
        if finished || step % 3 == 0 {
            results.write_to(&mut log).unwrap();
        }
        // What finds nothing more confirms all.
        if step % 9 == 0 {
            while results.write_to(&mut log).unwrap() > 0 {}
        }
        if finished && results.is_ended() {
            assert!(engine.metrics().ledger().is_balanced(), "{}", engine.metrics().ledger());
            return true;
        }
    }
    false
}

/// A result or a late record, without where it comes from.
type Text = (bool, String);

fn text<R: std::fmt::Debug>(output: &Output<'_, u32, (u64, i128), R>) -> (Text, u16, u64) {
    match output {
        Output::Result(it) => {
            let text = format!("{} {} {:?} {:?}", it.window, it.key, it.value, it.reason);
            ((false, text), it.shard.0, it.sequence)
        }
        Output::Late(it) => ((true, format!("{:?}", it.row)), it.shard.0, it.sequence),
    }
}

/// What one run brings, without a log.
fn expected() -> Vec<Text> {
    let (mut engine, mut results) = aggregated!(100).open().unwrap();
    let mut all = Vec::new();
    while engine.step().unwrap() != Progress::Finished || !results.is_ended() {
        results.poll(|output| all.push(text(&output).0));
    }
    all.sort();
    all
}

fn reader(
    folder: &Path,
) -> ResultReader<
    Typed<GeneratedRecord>,
    impl tidewheel::Aggregate<GeneratedRecord, Output = (u64, i128)> + use<>,
> {
    ResultReader::open(folder, Typed::new(), (Count, Sum::of(value))).unwrap()
}

/// What a log holds; the numbers are without gaps.
fn held(folder: &Path) -> Vec<Text> {
    let (mut all, mut next) = (Vec::new(), [[0; SHARDS]; 2]);
    let mut last = Watermark::START;
    reader(folder)
        .for_each(None, |output| {
            let (text, shard, sequence) = text(&output);
            let next = &mut next[usize::from(text.0)][usize::from(shard)];
            assert_eq!(sequence, *next, "shard {shard}");
            *next += 1;
            if let Output::Result(result) = output {
                last = if result.sequence == 0 { Watermark::START } else { last };
                assert!(result.watermark >= last, "watermarks rise");
                last = result.watermark;
            }
            all.push(text);
        })
        .unwrap();
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn runs_that_are_cut_off_anywhere_leave_each_result_once(
        cuts in prop::collection::vec(1..120_usize, 1..6),
        is_disk in any::<bool>(),
        at_least_once in any::<bool>(),
        snapshot_every in prop::sample::select(vec![1, 10_000, u64::MAX]),
    ) {
        let scratch = Scratch::new();
        let durability = if is_disk { Durability::DISK } else { Durability::Process };
        let delivery =
            if at_least_once { Delivery::AtLeastOnce } else { Delivery::ExactlyOnce };
        let state = scratch.state().durability(durability).delivery(delivery);
        let state = state.snapshot_every(snapshot_every);
        for steps in cuts.into_iter().chain([usize::MAX]) {
            if run(&scratch, state.clone(), steps) {
                break;
            }
            held(&scratch.path("results"));
        }
        prop_assert_eq!(held(&scratch.path("results")), expected());
        // A run that is finished adds nothing.
        prop_assert!(run(&scratch, state, usize::MAX));
        prop_assert_eq!(held(&scratch.path("results")), expected());
    }
}

/// What opening a result log says that can not be used.
macro_rules! refused {
    ($pipeline:expr, $folder:expr) => {{
        let (_engine, results) = $pipeline.open().unwrap();
        ResultLog::open($folder, &results).unwrap_err().to_string()
    }};
}

#[test]
fn logs_of_others_are_refused_by_name() {
    let scratch = Scratch::new();
    let folder = scratch.path("results");
    assert!(!run(&scratch, scratch.state(), 30));
    let error = refused!(aggregated!(100), &folder);
    assert!(error.contains("give it a state directory"), "{error}");

    let other =
        |name: &str| State::in_directory(scratch.path(name)).described("test", "result log");
    let error = refused!(aggregated!(200).state(other("other")), &folder);
    assert!(error.contains("its windows were 100ms and are 200ms now"), "{error}");
    let error = refused!(aggregated!(100).state(other("same")), &folder);
    assert!(error.contains("its state was "), "{error}");
    let state = other("noted").delivery(Delivery::AtMostOnce);
    let error = refused!(aggregated!(100).state(state), scratch.path("anew"));
    assert!(error.contains("some may never come"), "{error}");
    let error = refused!(aggregated!(100).state(scratch.state()), scratch.path("other"));
    assert!(error.contains("is the state of a pipeline and no result log"), "{error}");

    let (_engine, results) = aggregated!(100).state(scratch.state()).open().unwrap();
    let log = ResultLog::open(&folder, &results).unwrap();
    let error = ResultLog::open(&folder, &results).unwrap_err().to_string();
    assert!(error.contains("in use by process"), "{error}");
    drop(log);
    let read = ResultReader::open(&folder, Typed::<GeneratedRecord>::new(), Count);
    let error = read.unwrap_err().to_string();
    assert!(error.contains("its bytes of a partial were "), "{error}");
}

#[test]
fn a_log_that_has_lost_results_is_refused_and_so_is_a_state_that_has() {
    let scratch = Scratch::new();
    let folder = scratch.path("results");
    let state = || scratch.state().snapshot_every(10_000);
    assert!(run(&scratch, state(), usize::MAX));
    let whole = held(&folder);
    // The log of one shard is gone.
    let segment = folder.join("s000-0000000000000000.log");
    fs::rename(&segment, scratch.path("aside")).unwrap();
    let error = refused!(aggregated!(100).state(state()), &folder);
    assert!(error.contains("holds 0 results and 0 late records of shard 0"), "{error}");
    fs::rename(scratch.path("aside"), &segment).unwrap();
    assert_eq!(held(&folder), whole);
    // All of it is, and nothing notes that it was there: the snapshot knows.
    fs::rename(&folder, scratch.path("aside")).unwrap();
    fs::remove_file(scratch.path("state").join("output")).unwrap();
    let error = refused!(aggregated!(100).state(state()), &folder);
    assert!(error.contains("holds 0 results"), "{error}");
    // The state's log has lost its end: what comes of the rest may be numbered otherwise.
    let scratch = Scratch::new();
    assert!(run(&scratch, scratch.state(), usize::MAX));
    for entry in fs::read_dir(scratch.path("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "log") {
            let mut bytes = fs::read(&path).unwrap();
            bytes[20_000..].fill(0);
            fs::write(&path, bytes).unwrap();
        }
    }
    let (mut engine, mut results) = aggregated!(100).state(scratch.state()).open().unwrap();
    let mut log = ResultLog::open(scratch.path("results"), &results).unwrap();
    let error = loop {
        match engine.step() {
            Ok(progress) => assert_ne!(progress, Progress::Finished),
            Err(error) => break error.to_string(),
        }
        results.write_to(&mut log).unwrap();
    };
    assert!(error.contains("the log before it has lost its end"), "{error}");
}

#[test]
fn results_that_another_reader_took_are_missed() {
    let scratch = Scratch::new();
    let (mut engine, mut results) = aggregated!(100).state(scratch.state()).open().unwrap();
    let mut log = ResultLog::open(scratch.path("results"), &results).unwrap();
    while results.poll(|_| ()) == 0 {
        assert_ne!(engine.step().unwrap(), Progress::Finished);
    }
    let error = loop {
        assert_ne!(engine.step().unwrap(), Progress::Finished);
        if let Err(error) = results.write_to(&mut log) {
            break error.to_string();
        }
    };
    assert!(error.contains("were in it"), "{error}");
    let again = results.write_to(&mut log).unwrap_err().to_string();
    assert!(again.contains("an earlier write into this result log failed"), "{again}");
    drop((engine, results));
    let other = State::in_directory(scratch.path("other"));
    let (_engine, mut results) = aggregated!(100).state(other).open().unwrap();
    let error = results.write_to(&mut log).unwrap_err().to_string();
    assert!(error.contains("results of another engine"), "{error}");
}

#[test]
fn damage_is_told_and_a_torn_end_is_not() {
    let scratch = Scratch::new();
    let folder = scratch.path("results");
    assert!(run(&scratch, scratch.state(), usize::MAX));
    let all = held(&folder);
    let segment = folder.join("s001-0000000000000000.log");
    let good = fs::read(&segment).unwrap();
    let end = good.iter().rposition(|byte| *byte != 0).unwrap();
    let mut torn = good.clone();
    torn[end - 20..].fill(0);
    fs::write(&segment, torn).unwrap();
    assert!(held(&folder).len() < all.len());
    let mut damaged = good.clone();
    damaged[300] ^= 1;
    fs::write(&segment, damaged).unwrap();
    let shard = Some(ShardIndex(1));
    let error = reader(&folder).for_each(shard, |_| ()).unwrap_err().to_string();
    assert!(error.contains("s001-0000000000000000.log: damaged at byte "), "{error}");
    reader(&folder).for_each(Some(ShardIndex(0)), |_| ()).unwrap();
}
