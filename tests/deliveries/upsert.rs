//! Results in a table by window and key: however often runs are cut off, and whatever the table
//! loses of what it had not committed, it ends as one run leaves it.

use super::sources::sources;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use tidewheel::record::PodKey;
use tidewheel::sink::UpsertTable;
use tidewheel::source::GeneratedRecord;
use tidewheel::state::{Delivery, State};
use tidewheel::{Count, Progress, Span, Stream, Sum, Window, WindowResult, WindowSpec};

type Values = BTreeMap<(i64, u32), (u64, i128)>;

/// A table in memory, and what of it a cut leaves.
#[derive(Default)]
struct Table {
    committed: Values,
    put: Values,
    commits: usize,
    /// The commit that fails.
    fails_at: Option<usize>,
}

impl UpsertTable<PodKey<u32>, (u64, i128)> for Table {
    type Error = String;

    fn put(&mut self, result: &WindowResult<u32, (u64, i128)>) -> Result<(), String> {
        let Window { start, .. } = result.window;
        self.put.insert((start.as_nanos(), result.key), result.value);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), String> {
        self.commits += 1;
        if self.fails_at == Some(self.commits) {
            return Err("the table is full".to_owned());
        }
        self.committed.append(&mut self.put);
        Ok(())
    }
}

impl Table {
    /// What is left behind a cut: all that was committed, and some of what was put since.
    fn cut(&mut self) {
        let put = std::mem::take(&mut self.put).into_iter();
        self.committed.extend(put.filter(|((_, key), _)| key % 2 == 0));
    }
}

/// Runs so many steps, or to the end; says whether it came to it.
fn run(folder: Option<(&Path, Delivery, u64)>, steps: usize, table: &mut Table) -> bool {
    let mut pipeline = Stream::of_all(sources())
        .out_of_order(Span::from_millis(300))
        .window(WindowSpec::tumbling(Span::from_millis(100)).unwrap())
        .aggregate((Count, Sum::of(|record: &GeneratedRecord| record.value)))
        .into_results()
        .shards(2);
    if let Some((folder, delivery, every)) = folder {
        let state = State::in_directory(folder).delivery(delivery).snapshot_every(every);
        pipeline = pipeline.state(state);
    }
    let (mut engine, mut results) = pipeline.open().unwrap();
    let mut failed = false;
    for _ in 0..steps {
        let finished = engine.step().unwrap() == Progress::Finished;
        match results.upsert_into(table) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.to_string(), "the table is full");
                // The rest may be committed, and what failed must come again still.
                failed = true;
                table.put.clear();
            }
        }
        if finished && results.is_ended() {
            return !failed;
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_table_ends_as_one_run_leaves_it(
        cuts in prop::collection::vec((1..120_usize, prop::option::of(1..20_usize)), 1..6),
        at_least_once in any::<bool>(),
        every in prop::sample::select(vec![1, 10_000, u64::MAX]),
    ) {
        let (mut whole, mut table) = (Table::default(), Table::default());
        prop_assert!(run(None, usize::MAX, &mut whole));
        let delivery =
            if at_least_once { Delivery::AtLeastOnce } else { Delivery::ExactlyOnce };
        let folder = tempfile::tempdir().unwrap();
        for (steps, fails_at) in cuts.into_iter().chain([(usize::MAX, None)]) {
            (table.fails_at, table.commits) = (fails_at, 0);
            if run(Some((folder.path(), delivery, every)), steps, &mut table) {
                break;
            }
            table.cut();
        }
        prop_assert_eq!(&table.committed, &whole.committed);
    }
}
