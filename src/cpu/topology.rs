//! Which CPUs this process may use, and pinning a thread to one of them.

use std::fmt;
use std::io;
use std::str::FromStr;

/// A CPU by the operating system's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(pub u32);

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {}", self.0)
    }
}

/// The CPUs that this process may use, in ascending order; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    allowed: Vec<Cpu>,
}

impl Topology {
    /// Asks the operating system, which knows of `taskset` and of containers' CPU sets.
    pub fn detect() -> Self {
        let allowed = allowed_cpus();
        match allowed.is_empty() {
            true => Self::of([Cpu(0)]),
            false => Self { allowed },
        }
    }

    /// A topology of these CPUs; of CPU 0 when there are none.
    pub fn of(cpus: impl IntoIterator<Item = Cpu>) -> Self {
        let mut allowed: Vec<Cpu> = cpus.into_iter().collect();
        allowed.sort_unstable();
        allowed.dedup();
        if allowed.is_empty() {
            allowed.push(Cpu(0));
        }
        Self { allowed }
    }

    /// The CPUs, ascending.
    pub fn cpus(&self) -> &[Cpu] {
        &self.allowed
    }

    /// How many shards run without sharing a CPU.
    pub fn cpu_count(&self) -> usize {
        self.allowed.len()
    }
}

#[cfg(target_os = "linux")]
fn allowed_cpus() -> Vec<Cpu> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    match sched_getaffinity(None) {
        Ok(set) => {
            (0..CpuSet::MAX_CPU as u32).filter(|cpu| set.is_set(*cpu as usize)).map(Cpu).collect()
        }
        // More CPUs than the set's 1024 bits.
        Err(_) => counted_cpus(),
    }
}

#[cfg(not(target_os = "linux"))]
fn allowed_cpus() -> Vec<Cpu> {
    counted_cpus()
}

fn counted_cpus() -> Vec<Cpu> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    (0..u32::try_from(count).unwrap_or(u32::MAX)).map(Cpu).collect()
}

/// Keeps the calling thread on `cpu` from now on.
///
/// # Errors
/// When the process may not use that CPU, and with [`io::ErrorKind::Unsupported`] where the
/// operating system cannot pin threads (macOS).
#[cfg(target_os = "linux")]
pub fn pin_current_thread(cpu: Cpu) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if cpu.0 as usize >= CpuSet::MAX_CPU {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{cpu} is beyond the {} CPUs that can be named", CpuSet::MAX_CPU),
        ));
    }
    let mut set = CpuSet::new();
    set.set(cpu.0 as usize);
    Ok(sched_setaffinity(None, &set)?)
}

/// Keeps the calling thread on `cpu` from now on.
///
/// # Errors
/// Always, with [`io::ErrorKind::Unsupported`]: this operating system cannot pin threads.
#[cfg(not(target_os = "linux"))]
pub fn pin_current_thread(cpu: Cpu) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("cannot pin a thread to {cpu}: this operating system does not pin threads"),
    ))
}

/// Where shards run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Shard `i` on the `i`-th CPU that the process may use, from the first again when there are
    /// more shards than CPUs.
    #[default]
    Pinned,
    /// Wherever the operating system puts them.
    Unpinned,
}

impl Placement {
    /// The CPU for a shard; `None` when it is not pinned.
    pub fn cpu_of(self, shard: usize, topology: &Topology) -> Option<Cpu> {
        match self {
            Self::Pinned => Some(topology.cpus()[shard % topology.cpu_count()]),
            Self::Unpinned => None,
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pinned => "pinned",
            Self::Unpinned => "unpinned",
        })
    }
}

/// A text that names no placement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no placement; there are pinned and unpinned")]
pub struct UnknownPlacement(pub String);

impl FromStr for Placement {
    type Err = UnknownPlacement;

    fn from_str(text: &str) -> Result<Self, UnknownPlacement> {
        match text {
            "pinned" => Ok(Self::Pinned),
            "unpinned" => Ok(Self::Unpinned),
            _ => Err(UnknownPlacement(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_wrap_around_the_allowed_cpus() {
        let topology = Topology::of([Cpu(6), Cpu(2), Cpu(6)]);
        assert_eq!(topology.cpus(), [Cpu(2), Cpu(6)]);
        let of = |shard| Placement::Pinned.cpu_of(shard, &topology);
        assert_eq!([of(0), of(1), of(2)], [Some(Cpu(2)), Some(Cpu(6)), Some(Cpu(2))]);
        assert_eq!(Placement::Unpinned.cpu_of(0, &topology), None);
        assert_eq!(Topology::of([]).cpus(), [Cpu(0)]);
    }

    #[test]
    fn a_placement_reads_as_it_prints() {
        for placement in [Placement::Pinned, Placement::Unpinned] {
            assert_eq!(placement.to_string().parse(), Ok(placement));
        }
        assert!("core0".parse::<Placement>().is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_pinned_thread_has_one_cpu_and_others_keep_theirs() {
        let before = Topology::detect();
        let last = *before.cpus().last().unwrap();
        let pinned = std::thread::spawn(move || {
            pin_current_thread(last).unwrap();
            Topology::detect()
        });
        assert_eq!(pinned.join().unwrap().cpus(), [last]);
        assert_eq!(Topology::detect(), before);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_cpu_that_is_not_there_is_an_error() {
        std::thread::spawn(|| {
            assert!(pin_current_thread(Cpu(1023)).is_err());
            let error = pin_current_thread(Cpu(u32::MAX)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        })
        .join()
        .unwrap();
    }
}
