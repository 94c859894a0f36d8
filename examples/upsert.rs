//! Results in a table by window and key, which survives being killed: run it with the name of a
//! folder, kill it (`kill -9`) as often as you like, and run it again until it comes to its end.
//! The table then holds what one run would have put there.
//!
//! The table is a folder with a file for each window. A file is replaced whole by a new one, so it
//! holds the keys of some commit, whenever the program is killed. What comes again after a kill
//! puts the same value at the same window and key, so no number is kept.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tidewheel::record::PodKey;
use tidewheel::sink::UpsertTable;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::state::State;
use tidewheel::{Count, MemorySource, Span, Stream, Sum, WindowResult, WindowSpec};

/// A table of counts and sums.
struct Table {
    folder: PathBuf,
    /// Windows that something was put into since the last commit, by the names of their files.
    changed: HashMap<String, BTreeMap<u32, (u64, i128)>>,
}

impl Table {
    fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, changed: HashMap::new() })
    }

    /// The keys of a window, as they stand in its file.
    fn read(&self, name: &str) -> io::Result<BTreeMap<u32, (u64, i128)>> {
        let text = match fs::read_to_string(self.folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let row = |line: &str| {
            let mut fields = line.split(',');
            let mut field = || fields.next();
            Some((field()?.parse().ok()?, (field()?.parse().ok()?, field()?.parse().ok()?)))
        };
        Ok(text.lines().filter_map(row).collect())
    }
}

impl UpsertTable<PodKey<u32>, (u64, i128)> for Table {
    type Error = io::Error;

    fn put(&mut self, result: &WindowResult<u32, (u64, i128)>) -> io::Result<()> {
        let name = format!("{}.csv", result.window.start.as_nanos());
        if !self.changed.contains_key(&name) {
            let keys = self.read(&name)?;
            self.changed.insert(name.clone(), keys);
        }
        self.changed.entry(name).or_default().insert(result.key, result.value);
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        for (name, keys) in self.changed.drain() {
            let row = |(key, (count, sum)): (&u32, &(u64, i128))| format!("{key},{count},{sum}\n");
            let new = self.folder.join("new");
            fs::write(&new, keys.iter().map(row).collect::<String>())?;
            // To survive a loss of power, too, sync the new file before and the folder after.
            fs::rename(&new, self.folder.join(name))?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("name a folder for the state and the table")?;
    fs::create_dir_all(&folder)?;
    let records = Workload::uniform(100, 1_000_000).generate();
    let (engine, mut results) = Stream::of(MemorySource::new(records))
        .out_of_order(Span::from_millis(500))
        .window(WindowSpec::tumbling(Span::from_millis(100))?)
        .aggregate((Count, Sum::of(|record: &GeneratedRecord| record.value)))
        .into_results()
        .shards(2)
        .state(State::in_directory(folder.join("state")))
        .open()?;
    let mut table = Table::open(folder.join("table"))?;
    let running = engine.start()?;
    while !results.is_ended() {
        // Puts what is there, commits it, and confirms it then.
        if results.upsert_into(&mut table)? == 0 {
            results.wait(Duration::from_millis(50));
        }
    }
    let metrics = running.join()?;
    eprintln!("{} records, {} results", metrics.records_in(), metrics.results());
    Ok(())
}
