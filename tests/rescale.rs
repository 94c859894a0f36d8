//! More shards than earlier runs had: what comes out of all of them together is what one run gives.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tidewheel::engine::OpenError;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::state::{Durability, Keep, OutputProgress, State};
use tidewheel::{
    Count, Engine, First, Last, Max, MemorySource, Progress, Source, Span, Stream, Sum, WindowSpec,
};

/// What a run is to compute.
#[derive(Clone)]
struct Job {
    records: Arc<[GeneratedRecord]>,
    sources: usize,
    spec: WindowSpec,
    out_of_order: Span,
}

/// A state directory and all that has come out so far.
struct Runs<'f> {
    folder: &'f Path,
    snapshot_every: u64,
    durability: Durability,
    told: Vec<String>,
    numbers: Vec<(usize, bool, u64)>,
}

/// What came out, of which shard, whether it is late, and its number among such.
type Fresh = Arc<Mutex<Vec<((usize, bool, u64), String)>>>;

fn job(sources: usize, size: u64, slide: u64, out_of_order: u64) -> Job {
    let workload = Workload { per_second: 2_000, ..Workload::uniform(50, 30_000) };
    Job {
        records: workload.generate().into(),
        sources,
        spec: WindowSpec::sliding(Span::from_millis(size), Span::from_millis(slide)).unwrap(),
        out_of_order: Span::from_millis(out_of_order),
    }
}

impl Job {
    fn open(
        &self,
        shards: Option<usize>,
        state: Option<State>,
    ) -> Result<(Engine, Fresh), OpenError> {
        let sources = (0..self.sources).map(|nth| {
            let records = Arc::clone(&self.records);
            Box::new(MemorySource::strided(records, self.sources, nth, 700)) as Box<dyn Source<_>>
        });
        let value = |record: &GeneratedRecord| record.value;
        let told: Fresh = Arc::default();
        let (results, late) = (Arc::clone(&told), Arc::clone(&told));
        let mut pipeline = Stream::of_all(sources)
            .out_of_order(self.out_of_order)
            .window(self.spec)
            .aggregate((Count, Sum::of(value), Max::of(value), First::of(value), Last::of(value)))
            .for_each(move |result| {
                let text = format!("{} {} {:?}", result.window, result.key, result.value);
                let from = (result.shard.index(), false, result.sequence);
                results.lock().unwrap().push((from, text));
            })
            .on_late(move |record| {
                let text = format!("late {:?}", record.row);
                let from = (record.shard.index(), true, record.sequence);
                late.lock().unwrap().push((from, text));
            });
        if let Some(shards) = shards {
            pipeline = pipeline.shards(shards);
        }
        if let Some(state) = state {
            pipeline = pipeline.state(state);
        }
        Ok((pipeline.open()?, told))
    }

    /// What one run gives.
    fn expected(&self) -> Vec<String> {
        let (mut engine, told) = self.open(Some(1), None).unwrap();
        while engine.step().unwrap() != Progress::Finished {}
        let mut told: Vec<_> = told.lock().unwrap().drain(..).map(|(_, text)| text).collect();
        told.sort();
        told
    }
}

impl<'f> Runs<'f> {
    fn new(folder: &'f Path, snapshot_every: u64, durability: Durability) -> Self {
        Self { folder, snapshot_every, durability, told: Vec::new(), numbers: Vec::new() }
    }

    fn state(&self) -> State {
        let state = State::in_directory(self.folder).described("test", "rescale");
        state.snapshot_every(self.snapshot_every).durability(self.durability)
    }

    /// Steps an engine so often, then stops it and notes what has come out; says whether it came
    /// to its end before.
    fn run(&mut self, job: &Job, shards: Option<usize>, steps: usize) -> bool {
        let (mut engine, fresh) = job.open(shards, Some(self.state())).unwrap();
        if let Some(shards) = shards {
            assert_eq!(engine.metrics().shards.len(), shards);
        }
        let finished = (0..steps).any(|_| engine.step().unwrap() == Progress::Finished);
        engine.stop();
        while engine.step().unwrap() != Progress::Finished {}
        let metrics = engine.metrics();
        assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
        let output = OutputProgress {
            results: metrics.shards.iter().map(|shard| shard.results).collect(),
            late: metrics.shards.iter().map(|shard| shard.late).collect(),
            ..OutputProgress::none(metrics.shards.len())
        };
        let directory = engine.state().unwrap();
        let before = directory.output_progress().unwrap();
        let before = before.unwrap_or_else(|| OutputProgress::none(output.results.len()));
        directory.set_output_progress(&output).unwrap();
        for (from, text) in fresh.lock().unwrap().drain(..) {
            let (shard, is_late, number) = from;
            let known = if is_late { before.late[shard] } else { before.results[shard] };
            // What comes again is known by its number.
            if number >= known {
                self.told.push(text);
                self.numbers.push(from);
            }
        }
        finished
    }
}

#[test]
fn more_shards_go_on_with_what_fewer_held() {
    let shapes = [(1, 1_000, 1_000), (2, 1_000, 1_000), (3, 900, 400)];
    let kept = [
        (u64::MAX, Durability::Process, [1, 2, 5]),
        (20_000, Durability::Process, [2, 3, 4]),
        (50_000, Durability::DISK, [3, 3, 7]),
    ];
    for (sources, size, slide) in shapes {
        for (snapshot_every, durability, shards) in kept {
            let job = job(sources, size, slide, 300);
            let folder = tempfile::tempdir().unwrap();
            let mut runs = Runs::new(folder.path(), snapshot_every, durability);
            for (nth, shards) in shards.into_iter().enumerate() {
                assert!(!runs.run(&job, Some(shards), 3 + nth * 2), "it is stopped before");
            }
            // As many as there were, if it is not said.
            assert!(runs.run(&job, None, usize::MAX));
            runs.told.sort();
            assert!(runs.told == job.expected(), "{sources} sources, {size}/{slide}, {shards:?}");
            let apart: BTreeSet<_> = runs.numbers.iter().collect();
            assert_eq!(apart.len(), runs.numbers.len(), "no number names two results");
        }
    }
}

#[test]
fn a_run_that_has_ended_can_come_to_more_shards_and_stays_ended() {
    let job = job(2, 1_000, 1_000, 300);
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Runs::new(folder.path(), 20_000, Durability::Process);
    assert!(runs.run(&job, Some(2), usize::MAX));
    assert!(runs.run(&job, Some(3), usize::MAX));
    runs.told.sort();
    assert!(runs.told == job.expected());
}

/// What is said when a pipeline is opened with so many shards.
fn refusal(job: &Job, runs: &Runs<'_>, shards: usize, keep: Keep) -> String {
    job.open(Some(shards), Some(runs.state().keep(keep))).map(drop).unwrap_err().to_string()
}

#[test]
fn shards_that_can_not_be_divided_are_refused_and_go_on_as_they_were() {
    let job = job(2, 1_000, 1_000, 300);
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Runs::new(folder.path(), u64::MAX, Durability::Process);
    assert!(!runs.run(&job, Some(2), 4));
    let fewer = refusal(&job, &runs, 1, Keep::Nothing);
    assert!(
        fewer.contains("its shards were 2 and are 1 now: there may come to be more"),
        "{fewer}"
    );
    let kept = refusal(&job, &runs, 3, Keep::All);
    assert!(kept.contains("history is kept, which ends where there are more"), "{kept}");

    // Cut off once more results are out than it is noted.
    let (mut engine, _) = job.open(Some(2), Some(runs.state())).unwrap();
    let noted = engine.state().unwrap().output_progress().unwrap().unwrap().results;
    let are_out = |engine: &Engine| engine.metrics().results() > noted.iter().sum();
    while !are_out(&engine) {
        assert_ne!(engine.step().unwrap(), Progress::Finished);
    }
    drop(engine);
    let unknown = refusal(&job, &runs, 3, Keep::Nothing);
    assert!(unknown.contains("it is not known whether they arrived"), "{unknown}");
    // Long enough for a shard to catch up with the other.
    assert!(!runs.run(&job, Some(2), 8), "as many as there were go on");
    assert!(!runs.run(&job, Some(3), 4));
    assert!(runs.run(&job, None, usize::MAX));
    runs.told.sort();
    assert!(runs.told == job.expected());
}

#[test]
fn shards_that_were_cut_off_apart_are_refused() {
    // So much is out of order that no window closes, and there are no results to ask for.
    let job = job(2, 1_000, 1_000, 1_000_000);
    let mut refused = 0;
    for steps in 1..12 {
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::new(folder.path(), u64::MAX, Durability::Process);
        let (mut engine, _) = job.open(Some(2), Some(runs.state())).unwrap();
        for _ in 0..steps {
            assert_ne!(engine.step().unwrap(), Progress::Finished);
        }
        drop(engine);
        if let Err(error) = job.open(Some(3), Some(runs.state())) {
            assert!(error.to_string().contains("they stand at different places"), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 0, "no run left its shards apart");
}
