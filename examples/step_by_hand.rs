//! The same engine without any thread of its own: the program steps it, and polls its results.

use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{Mean, MemorySource, Output, Progress, Span, Stream, WindowSpec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let records = Workload::uniform(3, 300_000).generate();
    let (mut engine, mut results) = Stream::of(MemorySource::new(records))
        .out_of_order(Span::from_millis(500))
        .window(WindowSpec::sliding(Span::from_seconds(2), Span::from_seconds(1))?)
        .aggregate(Mean::of(|record: &GeneratedRecord| record.value))
        .into_results()
        .shards(2)
        .open()?;
    while engine.step()? != Progress::Finished {
        results.poll(|output| {
            if let Output::Result(result) = output {
                println!("{:?} key {}: mean {:.1}", result.window, result.key, result.value);
            }
        });
    }
    Ok(())
}
