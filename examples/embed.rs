//! Windows over the program's own records, results on the shards' own cores.

use std::io::Write;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{Count, Max, MemorySource, Span, Stream, WindowSpec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let records = Workload::uniform(5, 1_000_000).generate();
    let engine = Stream::of(MemorySource::new(records))
        .out_of_order(Span::from_millis(500))
        .window(WindowSpec::tumbling(Span::from_seconds(1))?)
        .aggregate((Count, Max::of(|record: &GeneratedRecord| record.value)))
        .for_each(|result| {
            let (count, max) = result.value;
            // Whoever reads may leave before the end, as `head` does: that is no failure.
            let mut out = std::io::stdout().lock();
            let (window, key) = (result.window, result.key);
            let _ = writeln!(out, "{window} key {key}: {count} records, highest {max}");
        })
        .open()?;
    let metrics = engine.start()?.join()?;
    eprintln!("{} records in, {} results", metrics.records_in(), metrics.results());
    Ok(())
}
