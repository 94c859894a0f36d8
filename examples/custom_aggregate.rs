//! An aggregate of the program's own: the range between the lowest and the highest value.

use std::io::Write;
use tidewheel::record::Moment;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{Aggregate, MemorySource, Pod, Span, Stream, WindowSpec, Zeroable};

#[derive(Clone, Copy)]
struct Range;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Bounds {
    low: i64,
    high: i64,
}

impl Aggregate<GeneratedRecord> for Range {
    type Partial = Bounds;
    type Output = i64;

    fn identity(&self) -> Bounds {
        Bounds { low: i64::MAX, high: i64::MIN }
    }

    fn lift(&self, _: Moment, record: &GeneratedRecord) -> Bounds {
        Bounds { low: record.value, high: record.value }
    }

    fn combine(&self, into: &mut Bounds, from: &Bounds) {
        into.low = into.low.min(from.low);
        into.high = into.high.max(from.high);
    }

    fn lower(&self, bounds: &Bounds) -> i64 {
        bounds.high - bounds.low
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Stream::of(MemorySource::new(Workload::uniform(4, 400_000).generate()))
        .out_of_order(Span::from_millis(500))
        .window(WindowSpec::tumbling(Span::from_seconds(1))?)
        .aggregate(Range)
        .for_each(|result| {
            // Whoever reads may leave before the end, as `head` does: that is no failure.
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{} key {}: {}", result.window, result.key, result.value);
        })
        .open()?;
    engine.start()?.join()?;
    Ok(())
}
