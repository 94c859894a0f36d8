//! The same engine without any thread of its own: the program steps it, and polls its results.

use std::io::{ErrorKind, Write};
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
    let mut out = std::io::stdout().lock();
    while engine.step()? != Progress::Finished {
        let mut written = Ok(());
        results.poll(|output| {
            if let (Output::Result(result), Ok(())) = (output, &written) {
                let (window, key, mean) = (result.window, result.key, result.value);
                written = writeln!(out, "{window} key {key}: mean {mean:.1}");
            }
        });
        match written {
            // Whoever read has left, as `head` does.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}
