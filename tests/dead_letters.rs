//! Records that were read and could not be used: which ones are told of, and by which number.

use std::sync::{Arc, Mutex};
use tidewheel::engine::Runtime;
use tidewheel::operator::Pass;
use tidewheel::record::{ColumnRows, Columns, ColumnsBatch};
use tidewheel::shard::{DeadLetter, JumpRule};
use tidewheel::source::{Polled, SourceCounts, SourceError};
use tidewheel::{Count, EventTime, Source, Span, Stream, WindowSpec};

const SCHEMA: Columns = Columns::new(0);

/// Records of these seconds and with keys of these lengths, so many in a batch.
struct Keys {
    records: Vec<(i64, usize)>,
    batch: usize,
    rows: ColumnRows,
}

impl Source<Columns> for Keys {
    fn poll(&mut self, _: usize) -> Result<Polled, SourceError> {
        self.rows.clear();
        if self.records.is_empty() {
            return Ok(Polled::End);
        }
        for (seconds, length) in self.records.drain(..self.batch.min(self.records.len())) {
            self.rows.begin(EventTime::from_seconds(seconds).expect("a time"));
            self.rows.set_key(|key| key.resize(key.len() + length, b'k'));
        }
        Ok(Polled::Batch)
    }

    fn batch(&self) -> ColumnsBatch<'_> {
        self.rows.batch()
    }

    fn name(&self) -> &str {
        "keys"
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts::default()
    }
}

/// The number of each dead letter of a run with a jump rule of 10 s, in the order they were told:
/// of those too large and of those too far ahead.
fn dead(records: &[(i64, usize)], batch: usize) -> (Vec<u64>, Vec<u64>) {
    let told = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let teller = Arc::clone(&told);
    let source = Keys { records: records.to_vec(), batch, rows: ColumnRows::new(SCHEMA) };
    let engine = Stream::with_schema(SCHEMA, Pass, [Box::new(source) as Box<_>])
        .jump_rule(JumpRule::with_bound(Span::from_seconds(10)))
        .on_dead_letter(move |letter| {
            let mut told = teller.lock().expect("a thread that tells does not panic");
            match letter {
                DeadLetter::TooLarge { record, .. } => told.0.push(record),
                DeadLetter::FarFuture { record, .. } => told.1.push(record),
                other => panic!("{other:?}"),
            }
        })
        .window(WindowSpec::tumbling(Span::from_seconds(1)).unwrap())
        .aggregate(Count)
        .for_each(|_| {})
        .shards(1)
        .runtime(Runtime::Threads)
        .open()
        .unwrap();
    let metrics = engine.start().unwrap().join().unwrap();
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    let told = told.lock().unwrap();
    assert_eq!(metrics.dead_letters(), (told.0.len() + told.1.len()) as u64);
    told.clone()
}

#[test]
fn a_record_is_too_large_by_its_number_whatever_is_held_out() {
    let large = tidewheel::limits::RECORD_BYTES_MAX;
    let far = 9_999_999;
    for batch in [1, 2, 3, 100] {
        // The first four confirm each other, so none is placed before the fourth is read.
        let records = [(1, 1), (2, large), (3, 1), (4, 1), (5, large), (6, 1), (7, large)];
        assert_eq!(dead(&records, batch), (vec![2, 5, 7], vec![]), "{batch} in a batch");
        let records = [(1, 1), (2, 1), (3, 1), (4, 1), (far, 1), (5, large), (6, 1), (7, large)];
        assert_eq!(dead(&records, batch), (vec![6, 8], vec![5]), "{batch} in a batch");
    }
}
