//! Two sources of the same few thousand records, out of order by half a second at most.

use std::sync::Arc;
use tidewheel::record::Typed;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{MemorySource, Source};

/// The sources, each of which has every other hundred of the records.
pub(crate) fn sources() -> impl Iterator<Item = Box<dyn Source<Typed<GeneratedRecord>>>> {
    let workload = Workload { per_second: 2_000, ..Workload::uniform(20, 6_000) };
    let records: Arc<[_]> = workload.generate().into();
    (0..2).map(move |nth| {
        Box::new(MemorySource::strided(Arc::clone(&records), 2, nth, 100)) as Box<dyn Source<_>>
    })
}
