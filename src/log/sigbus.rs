//! What happens when a mapped file is made shorter by another program: the next write into what is
//! gone brings a SIGBUS, which would end the process. A handler puts memory of no file in the
//! place of the missing page and marks the mapping, and whoever writes looks at the mark after each
//! write. A SIGBUS anywhere else goes to whoever handled it before. An island of unsafe code.
//!
//! Bytes behind the new end that lie in the file's last page are lost without a signal: that page
//! is there still. The first write behind it tells.
#![allow(unsafe_code)] // the system calls the handler, and a mapping is only as good as its file

use libc::{c_int, c_void, sigaction, siginfo_t};
use memmap2::{Advice, MmapMut};
use std::io;
use std::ptr;
// Not from `sync`: the handler reads statics, which the model checker's types can not be.
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, compiler_fence};
use std::sync::{Mutex, PoisonError};

/// Mappings that can be guarded at a time. What is written beyond is written without a mapping.
const MAPPINGS_MAX: usize = 4096;

/// Where a mapping lies, for the handler. Its place is free while `start` is 0.
#[derive(Debug)]
struct Place {
    start: AtomicUsize,
    end: AtomicUsize,
    is_short: AtomicBool,
}

impl Place {
    fn holds(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::Acquire);
        let end = self.end.load(Ordering::Acquire);
        // The two belong together if nobody else has come to the place meanwhile.
        start != 0 && (start..end).contains(&address) && self.start.load(Ordering::Acquire) == start
    }
}

/// A place that somebody is about to fill: no address lies in it yet.
const TAKEN: usize = usize::MAX;

static PLACES: [Place; MAPPINGS_MAX] = [const {
    Place { start: AtomicUsize::new(0), end: AtomicUsize::new(0), is_short: AtomicBool::new(false) }
}; MAPPINGS_MAX];

/// Bytes of a page; asked for before a signal may come.
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// How SIGBUS was handled before, once the handler is there; it is never given back.
static BEFORE: AtomicPtr<sigaction> = AtomicPtr::new(ptr::null_mut());

/// A file mapped to be written, that may become shorter.
#[derive(Debug)]
pub(super) struct GuardedMap {
    map: MmapMut,
    place: &'static Place,
}

impl GuardedMap {
    /// Guards a mapping; `None` when there are too many.
    ///
    /// # Errors
    /// When the handler can not be installed.
    pub(super) fn new(map: MmapMut) -> io::Result<Option<Self>> {
        install()?;
        let start = map.as_ptr().addr();
        let claim = |place: &&Place| {
            place.start.compare_exchange(0, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let Some(place) = PLACES.iter().find(claim) else { return Ok(None) };
        // By itself, the system would read ahead of the first write: megabytes of zeros at once.
        advise(&map, Advice::Random);
        place.is_short.store(false, Ordering::Relaxed);
        place.end.store(start + map.len(), Ordering::Release);
        place.start.store(start, Ordering::Release);
        Ok(Some(Self { map, place }))
    }

    /// Puts memory behind all of the mapping, where the system knows how.
    pub(super) fn prefault(&self) {
        // Here, many pages at once are welcome.
        advise(&self.map, Advice::Normal);
        #[cfg(target_os = "linux")]
        advise(&self.map, Advice::PopulateWrite);
        advise(&self.map, Advice::Random);
    }

    /// Copies bytes into the mapping; says whether all of them are in the file.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let is_within = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.map.len());
        assert!(is_within, "{} bytes at {offset} are not in the segment", bytes.len());
        // SAFETY: the range lies in the mapping, which is this one's own, and apart from what is
        // borrowed. A page that is missing is put there by the handler, at the same address.
        unsafe {
            ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.map.as_mut_ptr().add(offset),
                bytes.len(),
            );
        }
        // The handler runs on this thread, in the middle of the copy.
        compiler_fence(Ordering::SeqCst);
        !self.place.is_short.load(Ordering::Relaxed)
    }
}

/// Says how a mapping will be used. A system that does not know of it is none the worse.
fn advise(map: &MmapMut, advice: Advice) {
    let _ = map.advise(advice);
}

impl Drop for GuardedMap {
    fn drop(&mut self) {
        // Before the mapping goes, whose addresses may be another's then.
        self.place.start.store(0, Ordering::Release);
    }
}

/// Installs the handler, once.
fn install() -> io::Result<()> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    if !BEFORE.load(Ordering::Acquire).is_null() {
        return Ok(());
    }
    let _one = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if !BEFORE.load(Ordering::Acquire).is_null() {
        return Ok(());
    }
    PAGE_BYTES.store(rustix::param::page_size(), Ordering::Relaxed);
    // SAFETY: all of it is numbers and pointers that may be null.
    let mut before: sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is changed by asking, and there is room for the answer.
    let asked = unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut before) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    // What the one before wants to be left alone by, it is left alone by here, too.
    let mut ours = before;
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_sigbus;
    ours.sa_sigaction = handler as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // The handler has to find it from its first moment on.
    let before = Box::into_raw(Box::new(before));
    BEFORE.store(before, Ordering::Release);
    // SAFETY: the handler calls nothing that a signal may not interrupt.
    let installed = unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) };
    if installed != 0 {
        let error = io::Error::last_os_error();
        BEFORE.store(ptr::null_mut(), Ordering::Release);
        // SAFETY: it comes from a box, and no handler was installed that could have seen it.
        drop(unsafe { Box::from_raw(before) });
        return Err(error);
    }
    Ok(())
}

/// Only what a signal may interrupt happens here: loads, stores, and system calls.
extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system hands over what it knows of the signal. Of one that a program has sent
    // there is no address, and its code is not above 0.
    let address = unsafe { ((*info).si_code > 0).then(|| (*info).si_addr().addr()) };
    let place = address.and_then(|address| {
        let mut places = PLACES.iter();
        places.find(|place| place.holds(address))
    });
    if let (Some(place), Some(address)) = (place, address)
        && put_page(address)
    {
        place.is_short.store(true, Ordering::Relaxed);
        return;
    }
    hand_on(signal, info, context);
}

/// Puts a page of no file where one is missing.
fn put_page(address: usize) -> bool {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let page = PAGE_BYTES.load(Ordering::Relaxed);
    let start = ptr::with_exposed_provenance_mut(address & !(page - 1));
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: the page lies in a mapping of ours, whose owner is writing into it right now, so that
    // it stays where it is; what was there can not be read any more.
    unsafe { mmap_anonymous(start, page, protection, flags | MapFlags::FIXED) }.is_ok()
}

/// Does what would have been done without this handler.
fn hand_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let before = BEFORE.load(Ordering::Acquire);
    // SAFETY: it was there before the handler, and is never given back.
    let Some(before) = (unsafe { before.as_ref() }) else { return };
    // SAFETY: as above, the system's own words on the signal.
    let is_sent = unsafe { (*info).si_code } <= 0;
    match before.sa_sigaction {
        libc::SIG_IGN if is_sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: both are allowed in a handler. The process ends when this one returns.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with this flag it is the address of such a function.
            let handler = unsafe {
                std::mem::transmute::<usize, extern "C" fn(c_int, *mut siginfo_t, *mut c_void)>(
                    handler,
                )
            };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without the flag it is the address of a function of that kind.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::backing::{Backing, Segment};
    use super::super::{MappedFiles, SegmentName};
    use super::*;
    use crate::record::ShardIndex;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus, Stdio};

    const BYTES: u64 = 256 << 10;

    #[test]
    fn what_is_written_into_files_that_others_cut_is_good_or_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let files = MappedFiles::new(folder.path());
        let write = |thread: u16| {
            let mut good = 0;
            for number in 0..150 {
                let name = SegmentName { shard: ShardIndex(thread), number };
                let mut segment = files.create(name, BYTES).unwrap();
                let path = files.path_of(name);
                let length = number * 7_919 % (BYTES / 2);
                let cutter = std::thread::spawn(move || {
                    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
                    file.set_len(length).unwrap();
                });
                let words = vec![number; 700];
                let places = (0..BYTES - 5_600).step_by(5_600).cycle();
                for at in places {
                    let Err(error) = segment.write(at, [&words[..8], &words[8..]]) else {
                        good += 1;
                        continue;
                    };
                    let text = error.to_string();
                    let expected = format!("{length} of {BYTES} bytes are left");
                    assert!(text.contains(&expected), "{text}");
                    break;
                }
                // It stays as it is.
                assert!(segment.write(0, [&words, &[]]).is_err());
                cutter.join().unwrap();
            }
            good
        };
        let threads = 0..3;
        std::thread::scope(|scope| {
            let all: Vec<_> = threads.map(|thread| scope.spawn(move || write(thread))).collect();
            let good = all.into_iter().map(|thread| thread.join().unwrap());
            assert!(good.sum::<u64>() > 0);
        });
    }

    /// Runs the test `child` in a process of its own.
    fn in_a_child(what: &str) -> ExitStatus {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "log::sigbus::tests::child", "--ignored"]);
        child.env("SIGBUS_CHILD", what).stdout(Stdio::null()).stderr(Stdio::null());
        child.status().unwrap()
    }

    #[test]
    fn a_signal_that_is_another_mappings_goes_to_whoever_was_there_before() {
        assert_eq!(in_a_child("handled").code(), Some(42));
        assert_eq!(in_a_child("sent").code(), Some(42));
        assert_eq!(in_a_child("ignored").code(), Some(0));
        assert_eq!(in_a_child("nothing").signal(), Some(libc::SIGBUS));
    }

    extern "C" fn end(_: c_int) {
        // SAFETY: it may be called in a handler.
        unsafe { libc::_exit(42) };
    }

    #[test]
    #[ignore = "it ends its process"]
    fn child() {
        let what = std::env::var("SIGBUS_CHILD").unwrap();
        let handler: extern "C" fn(c_int) = end;
        let before = match &what[..] {
            "handled" | "sent" => handler as usize,
            "ignored" => libc::SIG_IGN,
            _ => libc::SIG_DFL,
        };
        // SAFETY: the handler calls nothing that a signal may not interrupt.
        unsafe { libc::signal(libc::SIGBUS, before) };
        let folder = tempfile::tempdir().unwrap();
        let files = MappedFiles::new(folder.path());
        let name = SegmentName { shard: ShardIndex(0), number: 0 };
        let _ours = files.create(name, BYTES).unwrap();
        if what == "sent" || what == "ignored" {
            // SAFETY: it may be called at any time.
            unsafe { libc::raise(libc::SIGBUS) };
            return;
        }
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(folder.path().join("other"))
            .unwrap();
        file.set_len(BYTES).unwrap();
        // SAFETY: that it is good for nothing once it is cut is what is tried here.
        let mut other = unsafe { MmapMut::map_mut(&file) }.unwrap();
        file.set_len(0).unwrap();
        other[5_000] = 1;
    }
}
