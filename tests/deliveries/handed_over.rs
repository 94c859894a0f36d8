//! How often a result is handed over by runs that are cut off anywhere, in the middle of a poll
//! too, and gone on with.

use super::sources::sources;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use tidewheel::source::GeneratedRecord;
use tidewheel::state::{Delivery, Durability, State};
use tidewheel::{Count, Output, Progress, Span, Stream, Sum, WindowSpec};

const SHARDS: usize = 2;

/// Where a run is cut off: after so many steps, or when so many outputs were handed over.
#[derive(Clone, Copy, Debug)]
struct Cut {
    steps: usize,
    outputs: usize,
}

/// What is kept of a pipeline, and how.
#[derive(Clone, Copy, Debug)]
struct Kept {
    delivery: Delivery,
    durability: Durability,
    snapshot_every: u64,
}

/// Results and late records by where they come from, as often as they came.
type Came = BTreeMap<(bool, u16, u64), Vec<String>>;

macro_rules! pipeline {
    () => {{
        Stream::of_all(sources())
            .out_of_order(Span::from_millis(300))
            .window(WindowSpec::tumbling(Span::from_millis(100)).unwrap())
            .aggregate((Count, Sum::of(|record: &GeneratedRecord| record.value)))
    }};
}

/// Runs once; says whether it came to its end.
fn run(folder: Option<(&Path, Kept)>, cut: Cut, came: &mut Came) -> bool {
    let mut pipeline = pipeline!().into_results().with_late().shards(SHARDS);
    if let Some((folder, kept)) = folder {
        let state = State::in_directory(folder)
            .delivery(kept.delivery)
            .durability(kept.durability)
            .snapshot_every(kept.snapshot_every);
        pipeline = pipeline.state(state);
    }
    let (mut engine, mut results) = pipeline.open().unwrap();
    let mut handed = 0;
    for step in 0..cut.steps {
        let finished = engine.step().unwrap() == Progress::Finished;
        let poll = || {
            results.poll(|output| {
                let (from, text) = match output {
                    Output::Result(it) => (
                        (false, it.shard.0, it.sequence),
                        format!("{} {} {:?}", it.window, it.key, it.value),
                    ),
                    Output::Late(it) => ((true, it.shard.0, it.sequence), format!("{:?}", it.row)),
                };
                if handed == cut.outputs {
                    resume_unwind(Box::new("cut off"));
                }
                handed += 1;
                came.entry(from).or_default().push(text);
            })
        };
        if catch_unwind(AssertUnwindSafe(poll)).is_err() {
            return false;
        }
        if step % 3 == 0 {
            results.confirm();
        }
        if finished && results.is_ended() {
            assert!(engine.metrics().ledger().is_balanced(), "{}", engine.metrics().ledger());
            return true;
        }
    }
    false
}

/// What all runs together bring.
fn all_runs(kept: Kept, cuts: &[Cut]) -> Came {
    let folder = tempfile::tempdir().unwrap();
    let mut came = Came::new();
    let whole = Cut { steps: usize::MAX, outputs: usize::MAX };
    for cut in cuts.iter().chain([&whole]) {
        if run(Some((folder.path(), kept)), *cut, &mut came) {
            break;
        }
    }
    came
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let cut = (1..120_usize, 0..1_500_usize).prop_map(|(steps, outputs)| Cut { steps, outputs });
    prop::collection::vec(cut, 1..6)
}

/// What comes, without where it comes from.
fn bag(came: &Came) -> Vec<(bool, &String)> {
    let mut bag: Vec<_> = came.iter().map(|((late, ..), texts)| (*late, &texts[0])).collect();
    bag.sort();
    bag
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn runs_that_are_cut_off_hand_over_as_often_as_was_said(
        cuts in cuts(),
        at_once in any::<bool>(),
        snapshot_every in prop::sample::select(vec![1, 10_000, u64::MAX]),
    ) {
        let mut expected = Came::new();
        let whole = Cut { steps: usize::MAX, outputs: usize::MAX };
        prop_assert!(run(None, whole, &mut expected));
        let durability = if at_once { Durability::Process } else { Durability::DISK };
        for delivery in [Delivery::ExactlyOnce, Delivery::AtLeastOnce, Delivery::AtMostOnce] {
            let came = all_runs(Kept { delivery, durability, snapshot_every }, &cuts);
            // The number is the same whenever it comes again, so one who keeps the numbers has each
            // of them once.
            for (from, texts) in &came {
                prop_assert!(texts.iter().all(|text| *text == texts[0]), "{from:?}: {texts:?}");
            }
            match delivery {
                Delivery::AtMostOnce => {
                    prop_assert!(came.values().all(|texts| texts.len() == 1), "none comes twice");
                    let (found, whole) = (bag(&came), bag(&expected));
                    prop_assert!(found.iter().all(|one| whole.binary_search(one).is_ok()));
                }
                _ => prop_assert_eq!(bag(&came), bag(&expected), "none is lost"),
            }
        }
    }
}

#[test]
fn what_was_noted_and_not_handed_over_is_passed_over_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut came = Came::new();
    let kept = Kept {
        delivery: Delivery::AtMostOnce,
        durability: Durability::Process,
        snapshot_every: u64::MAX,
    };
    assert!(!run(Some((folder.path(), kept)), Cut { steps: usize::MAX, outputs: 7 }, &mut came));
    let state = State::in_directory(folder.path()).delivery(kept.delivery);
    let pipeline = pipeline!().into_results().with_late().shards(SHARDS).state(state);
    let (mut engine, mut results) = pipeline.open().unwrap();
    while engine.step().unwrap() != Progress::Finished || !results.is_ended() {
        results.poll(|_| ());
    }
    let metrics = engine.metrics();
    let passed_over: u64 = metrics.sinks.iter().map(|sink| sink.passed_over).sum();
    assert!(passed_over > 7, "{passed_over}");
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
}

#[test]
fn with_at_least_once_logs_do_not_grow_though_nobody_confirms() {
    let snapshots = |delivery| {
        let folder = tempfile::tempdir().unwrap();
        let state = State::in_directory(folder.path()).delivery(delivery).snapshot_every(1);
        let pipeline = pipeline!().into_results().shards(1).state(state);
        let (mut engine, mut results) = pipeline.open().unwrap();
        while engine.step().unwrap() != Progress::Finished {
            results.poll(|_| ());
        }
        engine.metrics().shards[0].snapshots
    };
    // One of the very start, by when nothing was out.
    assert!(snapshots(Delivery::ExactlyOnce) <= 1);
    assert!(snapshots(Delivery::AtLeastOnce) > 2);
}

#[test]
fn what_can_not_be_noted_is_not_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let state = State::in_directory(folder.path()).delivery(Delivery::AtMostOnce);
        pipeline!().into_results().shards(1).state(state).open()
    };
    let (mut engine, mut results) = open().unwrap();
    // Where the note is to be written lies something else.
    let in_the_way = folder.path().join("output.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let error = loop {
        let progress = engine.step().unwrap();
        match results.try_poll(|_| panic!("it was not noted")) {
            Err(error) => break error.to_string(),
            Ok(_) => assert_ne!(progress, Progress::Finished),
        }
    };
    assert!(error.contains("output.new"), "{error}");
    std::fs::remove_dir(&in_the_way).unwrap();
    assert!(results.try_poll(|_| ()).unwrap() > 0, "the next poll tries again");
    while engine.step().unwrap() != Progress::Finished {
        results.poll(|_| ());
    }
    drop((engine, results));
    // Notes that are gone are missed.
    std::fs::remove_file(folder.path().join("output")).unwrap();
    let error = open().map(drop).unwrap_err().to_string();
    assert!(error.contains("says which results have left"), "{error}");
}

#[test]
fn a_delivery_is_remembered_and_closures_are_refused_what_they_can_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let state = |delivery| State::in_directory(folder.path()).delivery(delivery);
    let closures = pipeline!().for_each(|_| ()).shards(1).state(state(Delivery::AtMostOnce));
    let error = closures.open().unwrap_err().to_string();
    assert!(error.contains("take them from a handle"), "{error}");
    let open = |delivery| pipeline!().for_each(|_| ()).shards(1).state(state(delivery)).open();
    drop(open(Delivery::AtLeastOnce).unwrap());
    let error = open(Delivery::ExactlyOnce).unwrap_err().to_string();
    assert!(error.contains("its delivery was at-least-once and is exactly-once now"), "{error}");
}
