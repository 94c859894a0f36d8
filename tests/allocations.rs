//! Steady state allocates nothing per record: counted by an allocator of the test's own.
#![allow(unsafe_code)] // an allocator is unsafe by its trait

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{Count, Max, MemorySource, Progress, Source, Span, Stream, Sum, WindowSpec};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and records of the second half of a run.
fn second_half(size: u64, slide: u64) -> (u64, u64) {
    let records: std::sync::Arc<[GeneratedRecord]> =
        Workload::uniform(1_000, 2_000_000).generate().into();
    let sources = (0..2).map(|nth| {
        let source = MemorySource::strided(records.clone(), 2, nth, 1024);
        Box::new(source) as Box<dyn Source<_>>
    });
    let value = |record: &GeneratedRecord| record.value;
    let spec = WindowSpec::sliding(Span::from_millis(size), Span::from_millis(slide)).unwrap();
    let mut engine = Stream::of_all(sources)
        .out_of_order(Span::from_millis(500))
        .window(spec)
        .aggregate((Count, Sum::of(value), Max::of(value)))
        .discard()
        .shards(2)
        .open()
        .unwrap();
    let half = |engine: &tidewheel::Engine| engine.metrics().records_in() >= 1_000_000;
    while !half(&engine) {
        assert_ne!(engine.step().unwrap(), Progress::Finished);
    }
    let records_before = engine.metrics().records_in();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    while engine.step().unwrap() != Progress::Finished {}
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    (allocations, engine.metrics().records_in() - records_before)
}

#[test]
fn steady_state_allocates_nothing_per_record() {
    for (size, slide) in [(1_000, 1_000), (2_000, 250)] {
        let (allocations, records) = second_half(size, slide);
        assert!(records >= 900_000);
        eprintln!("{size} by {slide}: {allocations} allocations");
        assert!(
            allocations * 1_000 < records,
            "{size} by {slide}: {allocations} allocations for {records} records"
        );
    }
}
