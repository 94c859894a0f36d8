//! What `perf/instructions` counts: a small fixed run, stepped by hand on one thread. Records are
//! made before and the answer is checked after what is counted, which is `counted_part` alone.
//!
//! Arguments: records, keys, window size and slide in milliseconds, shards, and bytes of log after
//! which there is a snapshot, where state is to be kept.

use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::state::State;
use tidewheel::{Count, Max, MemorySource, Min, Output, Progress, Span, Stream, Sum, WindowSpec};

fn argument(nth: usize) -> Result<u64, String> {
    let text = std::env::args().nth(nth).ok_or(
        "counted RECORDS KEYS SIZE SLIDE SHARDS [SNAPSHOT_EVERY]; perf/instructions runs it",
    )?;
    text.parse().map_err(|_| format!("'{text}' is not a whole number"))
}

/// A frame of its own on the stack, whose name the counting tool is given.
#[inline(never)]
fn counted_part(run: &mut dyn FnMut()) {
    run();
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (records, keys) = (argument(1)?, argument(2)?);
    let (size, slide, shards) = (argument(3)?, argument(4)?, argument(5)?);
    let input = Workload::uniform(u32::try_from(keys)?, records).generate();
    let value = |record: &GeneratedRecord| record.value;
    let folder = tempfile::tempdir()?;
    let pipeline = Stream::of(MemorySource::new(input))
        .out_of_order(Span::from_millis(500))
        .tick(Span::from_millis(1))
        .window(WindowSpec::sliding(Span::from_millis(size), Span::from_millis(slide))?)
        .aggregate((Count, Sum::of(value), Min::of(value), Max::of(value)))
        .into_results()
        .shards(usize::try_from(shards)?);
    let (mut engine, mut output) = match argument(6) {
        Ok(every) => pipeline.state(State::in_directory(folder.path()).snapshot_every(every)),
        Err(_) => pipeline,
    }
    .open()?;
    let (mut results, mut counted) = (0_u64, 0_u64);
    counted_part(&mut || {
        while engine.step().expect("nothing in the run can fail") != Progress::Finished {
            output.poll(|output| {
                if let Output::Result(result) = output {
                    results += 1;
                    counted += result.value.0;
                }
            });
            output.confirm();
        }
    });
    if size % slide == 0 {
        assert_eq!(counted, records * (size / slide), "each record is in all its windows");
    }
    assert!(engine.metrics().ledger().is_balanced(), "{}", engine.metrics().ledger());
    println!("{records} records, {results} results");
    Ok(())
}
