//! A program that survives being killed: run it with the name of a folder, kill it (`kill -9`) as
//! often as you like, and run it again until it comes to its end. Each result stands once in
//! `results.csv` in that folder, as if it had never been killed.
//!
//! Results come again after a kill, with the same shard and sequence. What a line's number says is
//! written with the line, in one write; so the file itself tells which results are in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidewheel::sink::Output;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::state::State;
use tidewheel::{Count, MemorySource, Span, Stream, Sum, WindowSpec};

const SHARDS: usize = 2;

/// A file of results, and the number of the next one of each shard.
struct Results {
    file: File,
    next: [u64; SHARDS],
}

impl Results {
    /// Opens a file that an earlier run may have been killed at.
    fn open(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(String::new()),
            _ => Err(error),
        })?;
        // The last line may be torn.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.set_len(whole as u64)?;
        let mut next = [0; SHARDS];
        for line in text[..whole].lines() {
            let mut fields = line.split(',').map(str::parse::<u64>);
            if let (Some(Ok(shard)), Some(Ok(sequence))) = (fields.next(), fields.next()) {
                next[shard as usize] = sequence + 1;
            }
        }
        Ok(Self { file, next })
    }

    /// Writes a result unless it stands there.
    fn add(&mut self, (shard, sequence): (u16, u64), what: &str) -> io::Result<()> {
        let next = &mut self.next[usize::from(shard)];
        if sequence < *next {
            return Ok(());
        }
        *next = sequence + 1;
        self.file.write_all(format!("{shard},{sequence},{what}\n").as_bytes())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("name a folder for the state and the results")?;
    fs::create_dir_all(&folder)?;
    let records = Workload::uniform(100, 1_000_000).generate();
    let (engine, mut results) = Stream::of(MemorySource::new(records))
        .out_of_order(Span::from_millis(500))
        .window(WindowSpec::tumbling(Span::from_millis(100))?)
        .aggregate((Count, Sum::of(|record: &GeneratedRecord| record.value)))
        .into_results()
        .shards(SHARDS)
        .state(State::in_directory(folder.join("state")))
        .open()?;
    let before = engine.metrics().records_in();
    let mut written = Results::open(&folder.join("results.csv"))?;
    let running = engine.start()?;
    while !results.is_ended() {
        let mut failed = Ok(());
        let taken = results.poll(|output| {
            let Output::Result(result) = output else { return };
            let (count, sum) = result.value;
            let start = result.window.start;
            let what = format!("{start},{},{count},{sum}", result.key);
            let from = (result.shard.0, result.sequence);
            if failed.is_ok() {
                failed = written.add(from, &what);
            }
        });
        failed?;
        // They need not come again: the log before the next snapshot may go.
        results.confirm();
        if taken == 0 {
            results.wait(Duration::from_millis(50));
        }
    }
    let metrics = running.join()?;
    let (all, results) = (metrics.records_in(), metrics.results());
    eprintln!("{all} records, {before} of them from earlier runs; {results} results");
    Ok(())
}
