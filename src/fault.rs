//! Named places at which a test can end the process, or have the system say no. Without the feature
//! `failpoints` there is nothing of them in the program.
//!
//! Uses nothing of the crate. With the feature, the command takes from the environment what is to
//! happen where, in the words of the crate `fail`:
//!
//! ```sh
//! FAILPOINTS='log.append.half=100*off->return(kill)' tidewheel agg …
//! ```
//! kills it, with SIGKILL, when it comes there for the 101st time. `return(28)` instead has the
//! system say no with that number (ENOSPC).

use std::io;

/// All places, in the order in which a run comes to them.
#[cfg(feature = "failpoints")]
pub const POINTS: &[&str] = &[
    "replace.before",
    "replace.written",
    "replace.synced",
    "replace.after",
    "recovery.read",
    "recovery.drop",
    "recovery.durable",
    "recovery.replay",
    "output.cut",
    "log.create",
    "log.ahead",
    "log.name",
    "log.header",
    "log.append.before",
    "log.append.half",
    "log.append.after",
    "log.roll",
    "log.rename",
    "log.remove",
    "log.sync",
    "log.synced",
    "snapshot.begin",
    "snapshot.piece",
    "snapshot.header",
    "snapshot.link",
    "snapshot.switch",
    "snapshot.switched",
    "snapshot.forget",
    "switch.begin",
    "switch.write",
    "switch.rename",
    "switch.remove",
    "switch.move",
    "output.half",
    "output.flushed",
    "output.said",
    "results.append",
    "results.written",
    "results.noted",
];

/// Takes from the environment what is to happen where.
///
/// # Panics
/// When that can not be understood.
#[cfg(feature = "failpoints")]
pub fn begin() {
    // It lasts as long as the process.
    std::mem::forget(fail::FailScenario::setup());
}

/// A place.
///
/// # Errors
/// Where a test has the system say no.
#[cfg(feature = "failpoints")]
pub fn point(name: &str) -> io::Result<()> {
    point_in(name, || Ok(()))
}

/// A place in the middle of something: `half` of it is done before anything happens there.
///
/// # Errors
/// Where a test has the system say no.
#[cfg(feature = "failpoints")]
pub fn point_in(name: &str, half: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    debug_assert!(POINTS.contains(&name), "{name} stands in POINTS");
    fail::fail_point!(name, |what| half().and_then(|()| happen(what)));
    Ok(())
}

#[cfg(feature = "failpoints")]
fn happen(what: Option<String>) -> io::Result<()> {
    match what.as_deref().map(str::parse) {
        Some(Ok(code)) => Err(io::Error::from_raw_os_error(code)),
        _ => {
            // No destructor runs and no buffer is flushed, as if somebody else had done it.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            std::process::abort();
        }
    }
}

/// A place.
///
/// # Errors
/// None without the feature `failpoints`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn point(_name: &str) -> io::Result<()> {
    Ok(())
}

/// A place in the middle of something.
///
/// # Errors
/// None without the feature `failpoints`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn point_in(_name: &str, _half: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    Ok(())
}
