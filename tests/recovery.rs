//! Runs that are cut off and gone on with: what comes out of all of them together is what one run
//! gives, result by result.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tidewheel::engine::OpenError;
use tidewheel::record::ShardIndex;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::state::{Durability, Keep, OutputProgress, State, StateDirectory};
use tidewheel::{
    Count, Engine, First, IdlePolicy, Last, Max, MemorySource, Min, Progress, Runtime, Source,
    Span, Stream, Sum, WindowSpec,
};

/// Results as they come, each with where it comes from.
type Fresh = Arc<Mutex<Vec<((u16, u64), String)>>>;
/// What a result says, and where it comes from.
type Told = BTreeMap<(u16, u64), String>;

#[derive(Clone, Debug)]
struct Job {
    records: Arc<[GeneratedRecord]>,
    sources: usize,
    shards: usize,
    spec: WindowSpec,
    out_of_order: Span,
    /// Bytes of log after which there is to be a snapshot.
    snapshot_every: u64,
    durability: Durability,
    /// Bytes of log that are made before a run begins.
    log_ready: u64,
    keep: Keep,
}

/// What a job computes, before it is said where results go: closures have types without names.
macro_rules! aggregated {
    ($job:expr) => {{
        let job: &Job = $job;
        let sources = (0..job.sources).map(|nth| {
            let records = Arc::clone(&job.records);
            Box::new(MemorySource::strided(records, job.sources, nth, 700)) as Box<dyn Source<_>>
        });
        let value = |record: &GeneratedRecord| record.value;
        Stream::of_all(sources)
            .out_of_order(job.out_of_order)
            .filter(|record: &GeneratedRecord| record.value % 7 != 0)
            .window(job.spec)
            .aggregate((
                Count,
                Sum::of(value),
                Min::of(value),
                Max::of(value),
                First::of(value),
                Last::of(value),
            ))
    }};
}

/// A job's pipeline, and where its results will be.
macro_rules! pipeline {
    ($job:expr, $folder:expr) => {{
        let (job, told): (&Job, Fresh) = ($job, Arc::new(Mutex::new(Vec::new())));
        let shared = Arc::clone(&told);
        let mut pipeline = aggregated!(job)
            .for_each(move |result| {
                let what = format!("{} {} {:?}", result.window, result.key, result.value);
                let text = format!("{what}\tby {}", result.watermark);
                shared.lock().unwrap().push(((result.shard.0, result.sequence), text));
            })
            .shards(job.shards)
            .idle_policy(IdlePolicy::Backoff)
            .runtime(Runtime::Threads);
        if let Some(folder) = $folder {
            pipeline = pipeline.state(job.state(folder));
        }
        (pipeline, told)
    }};
}

impl Job {
    /// The engine of one run, and what comes out of it.
    fn open(&self, folder: Option<&Path>) -> (Engine, Fresh) {
        let (pipeline, told) = pipeline!(self, folder);
        (pipeline.open().expect("the pipeline is sound"), told)
    }

    /// What is kept of earlier runs, of one shard or of all.
    fn replay(&self, folder: &Path, only: Option<u16>) -> Result<Told, OpenError> {
        let (pipeline, told) = pipeline!(self, Some(folder));
        let mut engine = pipeline.replay(only.map(ShardIndex))?;
        while engine.step().expect("it goes on") != Progress::Finished {}
        let told = told.lock().unwrap().drain(..).collect();
        Ok(told)
    }

    fn state(&self, folder: &Path) -> State {
        State::in_directory(folder)
            .described("test", "recovery")
            .snapshot_every(self.snapshot_every)
            .durability(self.durability)
            .log_ready(self.log_ready)
            .keep(self.keep)
    }

    /// Steps an engine so often, or to its end; says whether it came to it.
    fn run(&self, folder: Option<&Path>, steps: usize, told: &mut Told) -> bool {
        let (mut engine, fresh) = self.open(folder);
        let mut finished = false;
        for _ in 0..steps {
            if engine.step().expect("it goes on") == Progress::Finished {
                assert!(engine.metrics().ledger().is_balanced(), "{}", engine.metrics().ledger());
                finished = true;
                break;
            }
        }
        drop(engine);
        let mut seen = BTreeMap::new();
        for (from, text) in fresh.lock().unwrap().drain(..) {
            assert!(seen.insert(from, ()).is_none(), "{from:?} came twice in one run");
            // What comes again is what came before.
            let before = told.entry(from).or_insert_with(|| text.clone());
            assert_eq!(*before, text, "{from:?}");
        }
        finished
    }
}

/// The bag of results, without where they come from, and without the watermarks that they came out
/// at, which follow from how the lanes' frames interleave.
fn bag(told: &Told) -> Vec<&str> {
    let what = told.values().map(|text| text.split('\t').next().unwrap_or_default());
    let mut bag: Vec<&str> = what.collect();
    bag.sort();
    bag
}

fn job(sources: usize, shards: usize, size: u64, slide: u64) -> Job {
    let workload = Workload { per_second: 2_000, ..Workload::uniform(50, 30_000) };
    Job {
        records: workload.generate().into(),
        sources,
        shards,
        spec: WindowSpec::sliding(Span::from_millis(size), Span::from_millis(slide)).unwrap(),
        // Less than the workload's disorder, so that some are late.
        out_of_order: Span::from_millis(300),
        snapshot_every: u64::MAX,
        durability: Durability::Process,
        log_ready: 0,
        keep: Keep::Nothing,
    }
}

/// Files in a state directory that end so.
fn files(folder: &Path, end: &str) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(end)).count()
}

/// Sources, shards, and the size and slide of windows in milliseconds.
const SHAPES: [(usize, usize, u64, u64); 4] =
    [(1, 1, 1_000, 1_000), (2, 2, 1_000, 1_000), (3, 2, 900, 400), (2, 3, 500, 100)];

/// Cuts runs off after so many steps, and later each time, until one comes to its end; then all of
/// them must have brought what one run brings. Says how many there were.
fn come_through(job: &Job, folder: &Path, steps: usize, expected: &Told) -> usize {
    let (mut told, mut runs) = (Told::new(), 1);
    while !job.run(Some(folder), steps + runs * 5, &mut told) {
        runs += 1;
        assert!(runs < 200, "it gets on");
    }
    assert_eq!(
        bag(&told),
        bag(expected),
        "{} sources, {} shards, {:?}, {steps} steps",
        job.sources,
        job.shards,
        job.spec
    );
    // A run that was finished is gone through again and changes nothing.
    let before = told.clone();
    assert!(job.run(Some(folder), usize::MAX, &mut told));
    assert_eq!(told, before);
    runs
}

#[test]
fn runs_that_are_cut_off_anywhere_come_to_what_one_run_comes_to() {
    for (sources, shards, size, slide) in SHAPES {
        let job = job(sources, shards, size, slide);
        let mut expected = Told::new();
        assert!(job.run(None, usize::MAX, &mut expected));
        assert!(expected.len() > 300);
        for steps in [1, 3, 10, 31] {
            let folder = tempfile::tempdir().unwrap();
            come_through(&job, folder.path(), steps, &expected);
        }
    }
}

#[test]
fn runs_that_begin_with_a_snapshot_come_to_what_one_run_comes_to() {
    let (mut most, mut most_parts) = (0, 0);
    for (sources, shards, size, slide) in SHAPES {
        let mut job = job(sources, shards, size, slide);
        let mut expected = Told::new();
        assert!(job.run(None, usize::MAX, &mut expected));
        for (steps, every) in [(3, 1), (10, 1), (31, 20_000)] {
            job.snapshot_every = every;
            let folder = tempfile::tempdir().unwrap();
            let runs = come_through(&job, folder.path(), steps, &expected);
            // Each run begins a segment. A shard keeps two to write them anew, the one that it
            // writes, and what it needs of the two before: a run's first snapshot is whole.
            let left = files(folder.path(), ".log");
            assert!(left <= 5 * shards, "{left} segments are left of {runs} runs");
            most = most.max(runs);
            assert!(folder.path().join("s000.snapshot").exists());
            most_parts = most_parts.max(files(folder.path(), ".part") / shards);
            // What a run has left over that was killed before its snapshot came in force goes.
            let left_over = folder.path().join("s000-0000000000000000.part");
            std::fs::write(&left_over, "cut").unwrap();
            assert!(job.run(Some(folder.path()), usize::MAX, &mut Told::new()));
            assert!(!left_over.exists());
        }
    }
    assert!(most_parts > 1, "snapshots refer to earlier ones");
    assert!(most > 6, "{most} runs at most");
}

#[test]
fn runs_that_are_to_survive_a_loss_of_power_come_to_what_one_run_comes_to() {
    for (sources, shards, size, slide) in SHAPES {
        let mut job = job(sources, shards, size, slide);
        let mut expected = Told::new();
        assert!(job.run(None, usize::MAX, &mut expected));
        job.durability = Durability::DISK;
        for (steps, every) in [(10, u64::MAX), (10, 1), (31, 20_000)] {
            job.snapshot_every = every;
            let folder = tempfile::tempdir().unwrap();
            come_through(&job, folder.path(), steps, &expected);
        }
    }
}

#[test]
fn with_threads_results_wait_for_the_disk_and_all_of_them_come() {
    let mut job = job(2, 2, 1_000, 100);
    let (mut expected, mut told) = (Told::new(), Told::new());
    assert!(job.run(None, usize::MAX, &mut expected));
    job.durability = Durability::Disk { interval: Span::from_millis(1) };
    (job.snapshot_every, job.log_ready) = (50_000, 1);
    let folder = tempfile::tempdir().unwrap();
    let (engine, fresh) = job.open(Some(folder.path()));
    let metrics = engine.start().unwrap().join().unwrap();
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    told.extend(fresh.lock().unwrap().drain(..));
    assert_eq!(bag(&told), bag(&expected));
}

#[test]
fn with_threads_segments_are_made_and_removed_elsewhere_and_the_results_are_the_same() {
    let mut job = job(2, 2, 1_000, 1_000);
    let mut expected = Told::new();
    assert!(job.run(None, usize::MAX, &mut expected));
    // The shortest segments that there are.
    job.snapshot_every = 1;
    for durability in [Durability::Process, Durability::DISK] {
        job.durability = durability;
        let folder = tempfile::tempdir().unwrap();
        let mut told = Told::new();
        for stops in [true, true, false] {
            let (engine, fresh) = job.open(Some(folder.path()));
            let running = engine.start().unwrap();
            if stops {
                std::thread::sleep(std::time::Duration::from_millis(2));
                running.stopper().stop();
            }
            running.join().unwrap();
            told.extend(fresh.lock().unwrap().drain(..));
            let left = files(folder.path(), ".log");
            assert!(left <= 8 * job.shards, "{left} segments are left");
        }
        assert_eq!(bag(&told), bag(&expected));
    }
}

#[test]
fn what_a_reader_that_went_away_had_not_confirmed_comes_again() {
    let mut job = job(1, 1, 1_000, 500);
    let mut expected = Told::new();
    assert!(job.run(None, usize::MAX, &mut expected));
    job.snapshot_every = 1;
    for durability in [Durability::Process, Durability::DISK] {
        job.durability = durability;
        let folder = tempfile::tempdir().unwrap();
        let pipeline = aggregated!(&job).into_results().shards(1).state(job.state(folder.path()));
        let (mut engine, results) = pipeline.open().unwrap();
        assert_ne!(engine.step().unwrap(), Progress::Finished);
        drop(results);
        while engine.step().unwrap() != Progress::Finished {}
        drop(engine);
        let mut told = Told::new();
        assert!(job.run(Some(folder.path()), usize::MAX, &mut told));
        assert_eq!(bag(&told), bag(&expected));
    }
}

#[test]
fn a_run_that_is_stopped_is_gone_on_with_and_nothing_comes_out_before_its_time() {
    let job = job(2, 2, 1_000, 1_000);
    let mut expected = Told::new();
    assert!(job.run(None, usize::MAX, &mut expected));
    let folder = tempfile::tempdir().unwrap();
    let mut all = Told::new();
    for _ in 0..3 {
        let (engine, fresh) = job.open(Some(folder.path()));
        let running = engine.start().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
        running.stopper().stop();
        running.join().unwrap();
        all.extend(fresh.lock().unwrap().drain(..));
    }
    assert!(job.run(Some(folder.path()), usize::MAX, &mut all));
    assert_eq!(bag(&all), bag(&expected));
}

#[test]
fn a_run_that_is_stopped_while_it_comes_back_has_a_ledger_that_balances() {
    let job = job(2, 2, 1_000, 1_000);
    let folder = tempfile::tempdir().unwrap();
    let (mut engine, _) = job.open(Some(folder.path()));
    for _ in 0..20 {
        assert_ne!(engine.step().unwrap(), Progress::Finished);
    }
    // Cut off: no source has said where it stands.
    drop(engine);
    let (mut engine, _) = job.open(Some(folder.path()));
    engine.stop();
    while engine.step().unwrap() != Progress::Finished {}
    let metrics = engine.metrics();
    assert!(metrics.lanes.iter().any(|lane| lane.received > lane.routed));
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    drop(engine);
    let (mut expected, mut told) = (Told::new(), Told::new());
    assert!(job.run(None, usize::MAX, &mut expected));
    assert!(job.run(Some(folder.path()), usize::MAX, &mut told));
    assert_eq!(bag(&told), bag(&expected));
}

#[test]
fn a_source_that_is_not_what_it_was_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(1, 1, 1_000, 1_000);
    let (mut engine, _) = job.open(Some(folder.path()));
    for _ in 0..10 {
        assert_ne!(engine.step().unwrap(), Progress::Finished);
    }
    engine.stop();
    while engine.step().unwrap() != Progress::Finished {}
    drop(engine);
    let mut records = job.records.to_vec();
    records.iter_mut().for_each(|record| record.value += 7);
    job.records = records.into();
    let open = std::panic::catch_unwind(|| job.open(Some(folder.path())));
    let message = open.map(|_| ()).unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("is not what an earlier run read"), "{message}");
}

#[test]
fn a_sync_that_fails_ends_the_run_and_nothing_leaves_that_it_was_to_cover() {
    let mut job = job(1, 1, 1_000, 500);
    // No sync is due before there is nothing else to do.
    job.durability = Durability::Disk { interval: Span::from_hours(1) };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (mut engine, fresh) = job.open(Some(&state));
    let mut logged = 0;
    while logged == 0 {
        assert_eq!(engine.step().unwrap(), Progress::Worked);
        logged = engine.metrics().shards.iter().map(|shard| shard.results).sum::<u64>();
    }
    // The segment can still be synced, and its name no more.
    std::fs::rename(&state, folder.path().join("elsewhere")).unwrap();
    let error = loop {
        match engine.step() {
            Ok(Progress::Finished) => panic!("it has not been synced"),
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("No such file or directory"), "{error}");
    assert!(fresh.lock().unwrap().is_empty(), "{logged} results were held");
    let again = engine.step().unwrap_err().to_string();
    assert!(again.contains("an earlier step of this engine failed"), "{again}");
    drop(engine);
    // What was written is there.
    let (mut expected, mut told) = (Told::new(), Told::new());
    assert!(job.run(None, usize::MAX, &mut expected));
    assert!(job.run(Some(&folder.path().join("elsewhere")), usize::MAX, &mut told));
    assert_eq!(bag(&told), bag(&expected));
}

/// Results of one shard, from a number on.
fn from(told: &Told, shard: u16, sequence: u64) -> Told {
    let wanted = told.range((shard, sequence)..(shard, u64::MAX));
    wanted.map(|(from, text)| (*from, text.clone())).collect()
}

#[test]
fn what_is_kept_comes_out_once_more_with_the_same_numbers() {
    let (mut partly, mut nothing) = (0, 0);
    for (sources, shards, size, slide) in SHAPES {
        for keep in [
            Keep::All,
            Keep::Bytes(300_000 * shards as u64),
            Keep::For(Span::from_hours(1)),
            Keep::Nothing,
        ] {
            let mut job = job(sources, shards, size, slide);
            (job.keep, job.snapshot_every) = (keep, 20_000);
            let folder = tempfile::tempdir().unwrap();
            let mut told = Told::new();
            let mut runs = 0;
            while !job.run(Some(folder.path()), 10 + runs * 5, &mut told) {
                runs += 1;
            }
            let names = || {
                let names = std::fs::read_dir(folder.path()).unwrap();
                let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
                names.sort();
                names
            };
            let before = names();
            let all = job.replay(folder.path(), None).unwrap();
            assert_eq!(before, names(), "nothing is written");
            for shard in 0..shards as u16 {
                let one = job.replay(folder.path(), Some(shard)).unwrap();
                assert_eq!(one, from(&all, shard, 0), "{keep:?}");
                let first = one.first_key_value().map_or(u64::MAX, |(from, _)| from.1);
                assert_eq!(one, from(&told, shard, first), "{keep:?}, shard {shard}");
                match keep {
                    Keep::All | Keep::For(_) => assert_eq!(first, 0, "{keep:?}"),
                    // Segments that wait to be written anew hold what they held.
                    Keep::Nothing => nothing += u32::from(first > 0),
                    Keep::Bytes(_) => partly += u32::from(first > 0),
                }
            }
        }
    }
    assert!(partly > 0 && nothing > 0, "some of it went: {partly}, {nothing}");
}

#[test]
fn what_another_pipeline_kept_is_not_taken_for_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(1, 2, 1_000, 1_000);
    let none = job.replay(folder.path(), None).unwrap_err().to_string();
    assert!(none.contains("no state directory"), "{none}");
    assert!(job.run(Some(folder.path()), usize::MAX, &mut Told::new()));
    let other = Job { shards: 3, ..job.clone() };
    let error = other.replay(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("its shards were 2 and are 3 now"), "{error}");
    let pipeline = aggregated!(&job).discard().shards(2);
    let error = pipeline.replay(None).unwrap_err().to_string();
    assert!(error.contains("the pipeline has no state"), "{error}");
}

#[test]
fn a_log_whose_keys_were_routed_otherwise_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |seed: u64| {
        Stream::of(MemorySource::new(Workload::uniform(5, 1_000).generate()))
            .out_of_order(Span::from_millis(500))
            .window(WindowSpec::tumbling(Span::from_seconds(1)).unwrap())
            .aggregate(Count)
            .for_each(|_| {})
            .shards(2)
            .route_seed(seed)
            .state(State::in_directory(folder.path()).described("records", "uniform"))
            .open()
    };
    let mut engine = open(1).unwrap();
    while engine.step().unwrap() != Progress::Finished {}
    drop(engine);
    let error = open(2).map(drop).unwrap_err().to_string();
    assert!(error.contains("its routing hash was xxh3 1 seed 0000000000000001"), "{error}");
    open(1).map(drop).unwrap();
}

#[test]
fn an_output_that_is_older_than_a_snapshot_is_refused() {
    let mut job = job(1, 2, 1_000, 1_000);
    job.snapshot_every = 20_000;
    let folder = tempfile::tempdir().unwrap();
    assert!(job.run(Some(folder.path()), usize::MAX, &mut Told::new()));
    let directory = StateDirectory::look_at(folder.path()).unwrap();
    directory.set_output_progress(&OutputProgress::none(2)).unwrap();
    drop(directory);
    let (pipeline, _) = pipeline!(&job, Some(folder.path()));
    let error = pipeline.open().unwrap_err().to_string();
    assert!(error.contains("it is of another time than the snapshot of shard 0"), "{error}");
}
