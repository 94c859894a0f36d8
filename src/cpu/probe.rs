//! Whether io_uring can be used here, asked of the kernel itself.
//!
//! glommio panics, or ends the process, where it cannot use io_uring. So the kernel is asked
//! first, by the same calls that glommio's start would make.
#![allow(unsafe_code)] // io_uring's calls take raw memory

use std::io;

/// Bytes of locked memory that glommio wants to be allowed to the process (`ulimit -l`).
pub const MEMLOCK_BYTES_NEEDED: u64 = 512 << 10;

/// Why io_uring cannot be used, and what would mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IoUringRefusal {
    /// Another operating system.
    #[error("io_uring is a part of Linux; this is another operating system")]
    NotLinux,
    /// The engine was built without glommio.
    #[error("built without io_uring; build with the feature 'glommio' to use it")]
    NotBuilt,
    /// The system call is not there: ENOSYS.
    #[error(
        "the kernel has no io_uring (ENOSYS): it is older than Linux 5.1, or was built without, \
         or the container's sandbox (gVisor, a seccomp profile) hides it"
    )]
    Missing,
    /// Switched off by the administrator: EPERM, and the setting says so.
    #[error(
        "io_uring is switched off (kernel.io_uring_disabled = {setting}); \
         mend with: sysctl kernel.io_uring_disabled=0"
    )]
    Disabled {
        /// The setting: 1 leaves it to privileged processes and one group, 2 to nobody.
        setting: u8,
    },
    /// Refused although it is not switched off: EPERM or EACCES.
    #[error(
        "io_uring is forbidden to this process, most likely by the container's seccomp profile; \
         mend with a profile that allows io_uring_setup, io_uring_enter and io_uring_register \
         (Docker, Podman: --security-opt seccomp=PROFILE.json)"
    )]
    Forbidden,
    /// Too little memory may be locked.
    #[error(
        "only {} KiB may be locked in memory and io_uring's runtime needs {} KiB; mend with: \
         ulimit -l {} (or memlock in /etc/security/limits.conf, --ulimit memlock in containers)",
        limit_bytes >> 10, MEMLOCK_BYTES_NEEDED >> 10, MEMLOCK_BYTES_NEEDED >> 10
    )]
    Memlock {
        /// What may be locked.
        limit_bytes: u64,
    },
    /// The kernel's io_uring is too old to tell what it can do (before Linux 5.6).
    #[error("the kernel's io_uring is too old; Linux 5.8 or newer is needed")]
    TooOld,
    /// Operations that the runtime needs are not there.
    #[error(
        "the kernel's io_uring lacks {}; Linux 5.8 or newer has them, unless they are restricted",
        operations.join(", ")
    )]
    Operations {
        /// Their names.
        operations: Vec<&'static str>,
    },
    /// Anything else that the kernel answered.
    #[error("io_uring cannot be set up: {0}")]
    Other(io::Error),
}

/// Whether the engine can run on io_uring: it was built to, and the kernel lets it.
///
/// # Errors
/// Why not.
pub fn io_uring_support() -> Result<(), IoUringRefusal> {
    match cfg!(feature = "glommio") {
        true => kernel_io_uring(),
        false => Err(IoUringRefusal::NotBuilt),
    }
}

/// Whether the kernel offers this process an io_uring that would do, however the engine was built.
///
/// # Errors
/// Why not.
#[cfg(not(target_os = "linux"))]
pub fn kernel_io_uring() -> Result<(), IoUringRefusal> {
    Err(IoUringRefusal::NotLinux)
}

#[cfg(target_os = "linux")]
pub use linux::kernel_io_uring;

#[cfg(target_os = "linux")]
mod linux {
    use super::{IoUringRefusal, MEMLOCK_BYTES_NEEDED};
    use rustix::fd::OwnedFd;
    use rustix::io::Errno;
    use rustix::io_uring::{
        IoringOp, IoringRegisterOp, io_uring_params, io_uring_register, io_uring_setup,
    };
    use rustix::process::{Resource, getrlimit};

    /// What glommio 0.9 checks for when it starts, and ends the process without.
    const OPERATIONS: [(IoringOp, &str); 23] = [
        (IoringOp::Nop, "NOP"),
        (IoringOp::Readv, "READV"),
        (IoringOp::Writev, "WRITEV"),
        (IoringOp::Fsync, "FSYNC"),
        (IoringOp::ReadFixed, "READ_FIXED"),
        (IoringOp::WriteFixed, "WRITE_FIXED"),
        (IoringOp::PollAdd, "POLL_ADD"),
        (IoringOp::PollRemove, "POLL_REMOVE"),
        (IoringOp::Sendmsg, "SENDMSG"),
        (IoringOp::Recvmsg, "RECVMSG"),
        (IoringOp::Timeout, "TIMEOUT"),
        (IoringOp::TimeoutRemove, "TIMEOUT_REMOVE"),
        (IoringOp::Accept, "ACCEPT"),
        (IoringOp::LinkTimeout, "LINK_TIMEOUT"),
        (IoringOp::Connect, "CONNECT"),
        (IoringOp::Fallocate, "FALLOCATE"),
        (IoringOp::Openat, "OPENAT"),
        (IoringOp::Close, "CLOSE"),
        (IoringOp::Statx, "STATX"),
        (IoringOp::Read, "READ"),
        (IoringOp::Write, "WRITE"),
        (IoringOp::Send, "SEND"),
        (IoringOp::Recv, "RECV"),
    ];

    /// Whether the kernel offers this process an io_uring that would do, however the engine was
    /// built.
    ///
    /// # Errors
    /// Why not.
    pub fn kernel_io_uring() -> Result<(), IoUringRefusal> {
        let ring = set_up().map_err(|error| refusal(error, io_uring_disabled()))?;
        enough_memlock(getrlimit(Resource::Memlock).current)?;
        let answer = register_probe(&ring).map_err(|error| match error {
            Errno::INVAL => IoUringRefusal::TooOld,
            other => refusal(other, io_uring_disabled()),
        })?;
        match missing_operations(&answer) {
            missing if missing.is_empty() => Ok(()),
            operations => Err(IoUringRefusal::Operations { operations }),
        }
    }

    fn set_up() -> Result<OwnedFd, Errno> {
        let mut params = io_uring_params::default();
        // SAFETY: `params` asks for nothing (no flags, so `wq_fd` is not looked at) and outlives
        // the call. The ring is closed with the descriptor and is never mapped or entered.
        unsafe { io_uring_setup(2, &mut params) }
    }

    /// The kernel's `struct io_uring_probe` with room for every operation there can be.
    ///
    /// ```text
    ///   0         1         2     4        16    (one operation each)
    ///  +---------+---------+-----+--------+--------------------------------+----
    ///  | last op | ops len |     |        | op u8 | u8 | flags u16 |  u32   | ..
    ///  +---------+---------+-----+--------+--------------------------------+----
    /// ```
    pub(super) type Probe = [u64; PROBE_WORDS];
    pub(super) const PROBE_WORDS: usize = 2 + OPERATIONS_MAX as usize;
    const OPERATIONS_MAX: u32 = 256;
    const SUPPORTED: u64 = 1;

    fn register_probe(ring: &OwnedFd) -> Result<Probe, Errno> {
        let mut answer: Probe = [0; PROBE_WORDS];
        // SAFETY: the kernel writes a header of 16 bytes and at most OPERATIONS_MAX entries of 8
        // bytes during the call and keeps no pointer; `answer` is exactly that long, is zeroed as
        // the kernel demands, and a mutable pointer to it is what is handed over.
        unsafe {
            io_uring_register(
                ring,
                IoringRegisterOp::RegisterProbe,
                answer.as_mut_ptr().cast_const().cast(),
                OPERATIONS_MAX,
            )
        }?;
        Ok(answer)
    }

    /// The operations that the runtime needs and the kernel's answer does not show as supported.
    pub(super) fn missing_operations(answer: &Probe) -> Vec<&'static str> {
        let known = answer[0] >> 8 & 0xff;
        let entries = &answer[2..][..known as usize];
        let supported = |op: u64| {
            entries.iter().any(|entry| entry & 0xff == op && entry >> 16 & SUPPORTED != 0)
        };
        OPERATIONS.iter().filter(|(op, _)| !supported(*op as u64)).map(|(_, name)| *name).collect()
    }

    pub(super) fn enough_memlock(limit: Option<u64>) -> Result<(), IoUringRefusal> {
        match limit {
            Some(limit_bytes) if limit_bytes < MEMLOCK_BYTES_NEEDED => {
                Err(IoUringRefusal::Memlock { limit_bytes })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn refusal(error: Errno, disabled: Option<u8>) -> IoUringRefusal {
        match (error, disabled) {
            (Errno::NOSYS, _) => IoUringRefusal::Missing,
            (Errno::PERM | Errno::ACCESS, Some(setting @ 1..)) => {
                IoUringRefusal::Disabled { setting }
            }
            (Errno::PERM | Errno::ACCESS, _) => IoUringRefusal::Forbidden,
            (other, _) => IoUringRefusal::Other(other.into()),
        }
    }

    fn io_uring_disabled() -> Option<u8> {
        let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
        text.trim().parse().ok()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::{PROBE_WORDS, Probe, enough_memlock, missing_operations, refusal};
    use super::*;
    use rustix::io::Errno;

    fn answer(supported: impl Fn(u64) -> bool) -> Probe {
        let mut words: Probe = [0; PROBE_WORDS];
        words[0] = 60 | 61 << 8;
        for op in 0..61 {
            words[2 + op as usize] = op | u64::from(supported(op)) << 16;
        }
        words
    }

    #[test]
    fn an_answer_is_read_operation_by_operation() {
        assert!(missing_operations(&answer(|_| true)).is_empty());
        // IORING_OP_STATX is 21, IORING_OP_SEND is 26 (linux/io_uring.h).
        let missing = missing_operations(&answer(|op| op != 21 && op != 26));
        assert_eq!(missing, ["STATX", "SEND"]);
        assert_eq!(missing_operations(&[0; PROBE_WORDS]).len(), 23);
        let longest = [u64::MAX; PROBE_WORDS];
        assert_eq!(missing_operations(&longest).len(), 23);
    }

    #[test]
    fn each_refusal_is_told_apart_and_says_how_to_mend_it() {
        let text = |error, disabled| refusal(error, disabled).to_string();
        assert!(text(Errno::NOSYS, None).contains("ENOSYS"));
        assert!(text(Errno::PERM, Some(2)).contains("sysctl kernel.io_uring_disabled=0"));
        assert!(text(Errno::PERM, Some(0)).contains("seccomp"));
        assert!(text(Errno::ACCESS, None).contains("seccomp"));
        assert!(text(Errno::MFILE, Some(0)).contains("cannot be set up"));
        let memlock = enough_memlock(Some(64 << 10)).unwrap_err().to_string();
        assert!(memlock.contains("only 64 KiB") && memlock.contains("ulimit -l 512"));
        assert!(enough_memlock(Some(MEMLOCK_BYTES_NEEDED)).is_ok());
        assert!(enough_memlock(None).is_ok());
    }

    #[test]
    fn the_kernel_answers_the_same_each_time() {
        let first = kernel_io_uring().map_err(|refusal| refusal.to_string());
        for _ in 0..100 {
            assert_eq!(kernel_io_uring().map_err(|r| r.to_string()), first);
        }
    }

    #[test]
    #[cfg(not(feature = "glommio"))]
    fn without_glommio_that_is_the_reason() {
        assert!(matches!(io_uring_support(), Err(IoUringRefusal::NotBuilt)));
    }
}
