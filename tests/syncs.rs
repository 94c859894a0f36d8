//! What is synced before it is relied upon, seen by standing in for the calls that sync, and the
//! threads that do so.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // two functions of the C library are stood in for

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tidewheel::source::{GeneratedRecord, Workload, handle};
use tidewheel::state::{Durability, State};
use tidewheel::{Engine, MemorySource, Progress, Span, Stream, Sum, WindowSpec};

/// What the loader takes for "the one that would be found without this one".
const RTLD_NEXT: isize = -1;

/// The files that were synced, in order.
static SYNCED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Notes the file and hands the call on.
fn noted(name: &CStr, fd: c_int) -> c_int {
    if let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{fd}")) {
        SYNCED.lock().unwrap().push(path);
    }
    // SAFETY: the C library has functions of these names and of this kind.
    unsafe {
        let own = dlsym(RTLD_NEXT as *mut c_void, name.as_ptr());
        std::mem::transmute::<*mut c_void, extern "C" fn(c_int) -> c_int>(own)(fd)
    }
}

#[unsafe(no_mangle)]
extern "C" fn fsync(fd: c_int) -> c_int {
    noted(c"fsync", fd)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    noted(c"fdatasync", fd)
}

fn open(folder: &Path, durability: Durability) -> Engine {
    let records = Workload::uniform(100, 20_000).generate();
    Stream::of(MemorySource::new(records))
        .out_of_order(Span::from_millis(500))
        .window(WindowSpec::tumbling(Span::from_millis(10)).unwrap())
        .aggregate(Sum::of(|record: &GeneratedRecord| record.value))
        .discard()
        .shards(1)
        .state(State::in_directory(folder).snapshot_every(10_000).durability(durability))
        .open()
        .unwrap()
}

#[test]
fn what_a_run_left_unsynced_is_synced_before_a_run_that_survives_a_loss_of_power_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let snapshot = folder.join("s000.snapshot");
    let mut engine = open(&folder, Durability::Process);
    while !snapshot.exists() {
        assert_ne!(engine.step().unwrap(), Progress::Finished, "a snapshot comes before the end");
    }
    drop(engine);
    assert!(!SYNCED.lock().unwrap().contains(&snapshot), "nothing has to be synced yet");
    let logs = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<PathBuf> =
        logs.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    assert!(!logs.is_empty());
    SYNCED.lock().unwrap().clear();

    let mut engine = open(&folder, Durability::DISK);
    let synced = std::mem::take(&mut *SYNCED.lock().unwrap());
    let place = |path: &Path| synced.iter().position(|synced| synced == path);
    // A name lasts once its folder is synced, and what it leads to has to be there by then.
    let names = synced.iter().rposition(|path| *path == folder).expect("the names are synced");
    for path in logs.iter().chain([&snapshot]) {
        assert!(place(path).is_some_and(|at| at < names), "{path:?} is not in {synced:?}");
    }
    while engine.step().unwrap() != Progress::Finished {}
    assert!(engine.metrics().ledger().is_balanced());
}

/// The names of the process's threads that help engines.
fn helpers() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    // The system keeps 15 bytes.
    let helps = |name: &String| ["tidewheel-segme", "tidewheel-sync"].contains(&&name[..]);
    let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).filter(helps).collect();
    names.sort();
    names
}

#[test]
fn the_threads_that_help_an_engine_are_there_from_its_start_to_its_end() {
    for (durability, expected) in [
        (Durability::Process, &["tidewheel-segme"][..]),
        (Durability::DISK, &["tidewheel-segme", "tidewheel-sync"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        assert!(helpers().is_empty());
        let (pusher, source) = handle::<GeneratedRecord>(1 << 12);
        let engine = Stream::of(source)
            .window(WindowSpec::tumbling(Span::from_millis(10)).unwrap())
            .aggregate(Sum::of(|record: &GeneratedRecord| record.value))
            .discard()
            .state(State::in_directory(folder.path()).durability(durability))
            .open()
            .unwrap();
        let running = engine.start().unwrap();
        // A thread gives itself its name, and one that was waited for may be there for a moment.
        while helpers() != expected {
            std::thread::yield_now();
        }
        pusher.close();
        running.join().unwrap();
        while !helpers().is_empty() {
            std::thread::yield_now();
        }
    }
}
