//! State directories as programs of each version of the formats have left them: a run goes on with
//! them, and what it and those before bring out is what one run gives.
//!
//! `FORMATS=NAME cargo test --test formats` makes one: `tests/formats/NAME`. One is added whenever
//! a format changes, and none is ever changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tidewheel::state::State;
use tidewheel::{
    Count, Engine, EventTime, Last, Max, MemorySource, Progress, Record, Source, Span, Stream, Sum,
    WindowSpec,
};
use xxhash_rust::xxh3::xxh3_64;

/// What the directories are of. None of this may change.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Reading {
    millis: i64,
    sensor: u64,
    value: i64,
}

impl Record for Reading {
    type Key = u64;

    fn event_time(&self) -> EventTime {
        EventTime::from_nanos(self.millis * 1_000_000)
    }

    fn key(&self) -> u64 {
        self.sensor
    }
}

fn readings() -> Arc<[Reading]> {
    let reading = |n: i64| Reading {
        millis: n * 3 - if n % 89 == 0 { 2_000 } else { n * 7 % 300 },
        sensor: (n * 31 % 299).unsigned_abs(),
        value: n * 17 % 1_000,
    };
    (0..40_000).map(reading).collect()
}

/// What results say, as a hash, and where they come from.
type Told = BTreeMap<(u16, u64), u64>;

fn open(folder: Option<&Path>) -> (Engine, Arc<Mutex<Told>>) {
    let sources = (0..2)
        .map(|nth| Box::new(MemorySource::strided(readings(), 2, nth, 500)) as Box<dyn Source<_>>);
    let value = |reading: &Reading| reading.value;
    let told = Arc::new(Mutex::new(Told::new()));
    let results = Arc::clone(&told);
    let mut pipeline = Stream::of_all(sources)
        .out_of_order(Span::from_millis(400))
        .window(WindowSpec::sliding(Span::from_millis(6_000), Span::from_millis(600)).unwrap())
        .aggregate((Count, Sum::of(value), Max::of(value), Last::of(value)))
        .for_each(move |result| {
            let text = format!("{} {} {:?}", result.window, result.key, result.value);
            results
                .lock()
                .unwrap()
                .insert((result.shard.0, result.sequence), xxh3_64(text.as_bytes()));
        })
        .shards(2);
    if let Some(folder) = folder {
        let state = State::in_directory(folder).described("test", "formats");
        pipeline = pipeline.state(state.snapshot_every(6_000));
    }
    (pipeline.open().expect("the directory is taken"), told)
}

fn finish(mut engine: Engine) {
    while engine.step().unwrap() != Progress::Finished {}
}

fn bag(told: &Told) -> Vec<&u64> {
    let mut bag: Vec<_> = told.values().collect();
    bag.sort();
    bag
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

/// Leaves a directory as a run does that is cut off, and what it brought out. Its snapshots refer
/// to earlier ones.
fn make(name: &str) {
    let folder = folder().join(name);
    let state = folder.join("state");
    let (mut engine, told) = open(Some(&state));
    let part = |file: std::io::Result<fs::DirEntry>| {
        file.unwrap().file_name().to_string_lossy().ends_with(".part")
    };
    while fs::read_dir(&state).unwrap().map(part).filter(|is_part| *is_part).count() < 4 {
        assert_ne!(engine.step().unwrap(), Progress::Finished);
    }
    drop(engine);
    let mut text = String::new();
    for ((shard, number), result) in &*told.lock().unwrap() {
        writeln!(text, "{shard} {number} {result}").unwrap();
    }
    fs::write(folder.join("told"), text).unwrap();
}

fn read_told(path: &Path) -> Told {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let mut fields = line.split(' ').map(|field| field.parse::<u64>().unwrap());
        let mut number = || fields.next().unwrap();
        ((number() as u16, number()), number())
    };
    text.lines().map(line).collect()
}

#[test]
fn what_each_version_left_is_gone_on_with() {
    if let Ok(name) = std::env::var("FORMATS") {
        make(&name);
    }
    let (engine, expected) = open(None);
    finish(engine);
    let expected = expected.lock().unwrap();
    let mut versions = 0;
    for version in fs::read_dir(folder()).unwrap() {
        let version = version.unwrap().path();
        let scratch = tempfile::tempdir().unwrap();
        for file in fs::read_dir(version.join("state")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), scratch.path().join(file.file_name())).unwrap();
        }
        let mut told = read_told(&version.join("told"));
        let (engine, fresh) = open(Some(scratch.path()));
        assert!(engine.metrics().records_in() > 0, "{}: it goes on", version.display());
        finish(engine);
        for (from, text) in &*fresh.lock().unwrap() {
            let before = told.entry(*from).or_insert(*text);
            assert_eq!(before, text, "{}: {from:?}", version.display());
        }
        assert!(bag(&told) == bag(&expected), "{}", version.display());
        versions += 1;
    }
    assert!(versions > 0);
}
