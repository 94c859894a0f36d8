//! A thread that has to wait for its CPU at the worst of moments: just after glommio has told the
//! kernel what to wake it for.
#![cfg(all(target_os = "linux", target_arch = "x86_64", feature = "glommio"))]
#![allow(unsafe_code)] // a function of the C library is stood in for

use std::ffi::{c_char, c_long, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use tidewheel::engine::Runtime;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{Count, MemorySource, Source, Span, Stream, WindowSpec};

/// The number of the system call by which requests are handed to a ring of the kernel's.
const IO_URING_ENTER: c_long = 426;
/// What the loader takes for "the one that would be found without this one".
const RTLD_NEXT: isize = -1;
/// Longer than the time that glommio gives a task by default.
const STALL: Duration = Duration::from_millis(150);

static CALLS: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The C library's own, but that some of the calls that hand in requests, and wait for none, take
/// as long as if another thread had had the CPU.
#[unsafe(no_mangle)]
extern "C" fn syscall(
    number: c_long,
    one: c_long,
    two: c_long,
    three: c_long,
    four: c_long,
    five: c_long,
    six: c_long,
) -> c_long {
    type Syscall = unsafe extern "C" fn(c_long, ...) -> c_long;
    // SAFETY: the C library has a function of that name and kind, and the arguments are passed on.
    let result = unsafe {
        let own = dlsym(RTLD_NEXT as *mut c_void, c"syscall".as_ptr());
        std::mem::transmute::<*mut c_void, Syscall>(own)(number, one, two, three, four, five, six)
    };
    let waits = three != 0;
    if number == IO_URING_ENTER && !waits && result >= 0 {
        let call = CALLS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b1) >> 16;
        if call.is_multiple_of(4) {
            std::thread::sleep(STALL);
        }
    }
    result
}

#[test]
fn a_thread_that_waits_for_its_cpu_does_not_sleep_for_ever() {
    for _ in 0..8 {
        let sources = (0..4).map(|_| {
            let records = Workload::uniform(100, 2_000).generate();
            Box::new(MemorySource::<GeneratedRecord>::new(records.into())) as Box<dyn Source<_>>
        });
        let engine = Stream::of_all(sources)
            .out_of_order(Span::from_millis(500))
            .window(WindowSpec::tumbling(Span::from_millis(10)).unwrap())
            .aggregate(Count)
            .discard()
            .shards(8)
            .runtime(Runtime::Auto)
            .open()
            .unwrap();
        let running = engine.start().unwrap();
        let (ended, end) = channel();
        std::thread::spawn(move || ended.send(running.join().unwrap().ledger()));
        let ledger = end.recv_timeout(Duration::from_secs(60)).expect("the run comes to its end");
        assert!(ledger.is_balanced(), "{ledger}");
    }
}
