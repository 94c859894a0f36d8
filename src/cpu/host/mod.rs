//! What this host has that bears on speed and latency: read, judged, with the way to mend it.
//!
//! Nothing is changed. Everything is read below one root, so that tests play other hosts.

mod parse;
#[cfg(test)]
mod tests;

use super::{IoUringRefusal, Topology, kernel_io_uring};
use std::fmt;
use std::path::{Path, PathBuf};

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is wrong.
    Note,
    /// Costs speed or latency, or keeps something from working.
    Warning,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
        })
    }
}

/// One thing about this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How good it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it, when something can be done.
    pub mend: Option<String>,
}

impl Finding {
    fn new(name: &'static str, level: Level, found: impl Into<String>) -> Self {
        Self { name, level, found: found.into(), mend: None }
    }

    fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {:<16} {}", self.level, self.name, self.found)?;
        match &self.mend {
            Some(mend) => write!(f, "\n{:<8} {:<16} mend: {mend}", "", ""),
            None => Ok(()),
        }
    }
}

/// Looks at this host.
pub fn findings() -> Vec<Finding> {
    let topology = Topology::detect();
    let host = Host::at("/");
    let mut all = vec![host.cores(&topology), io_uring(kernel_io_uring()), memlock()];
    all.extend([
        host.kernel(),
        host.clock_source(),
        host.hypervisor(),
        host.governor(&topology),
        host.huge_pages(),
        host.quota(&topology),
        host.load(&topology),
    ]);
    all
}

/// Oldest kernel whose io_uring does.
const KERNEL_WANTED: (u32, u32) = (5, 8);

/// The host whose `/proc` and `/sys` lie below a root.
struct Host {
    root: PathBuf,
}

impl Host {
    fn at(root: impl AsRef<Path>) -> Self {
        Self { root: root.as_ref().into() }
    }

    fn read(&self, path: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    fn cores(&self, topology: &Topology) -> Finding {
        let allowed = topology.cpu_count();
        let online =
            self.read("sys/devices/system/cpu/online").and_then(|text| parse::cpu_list(&text));
        match online {
            Some(online) if online > allowed => Finding::new(
                "cores",
                Level::Note,
                format!("{allowed} of {online} may be used by this process"),
            )
            .mend("allow more (taskset, cpuset, --cpuset-cpus) if shards should have them"),
            _ => Finding::new("cores", Level::Ok, format!("{allowed}, all of them allowed")),
        }
    }

    fn kernel(&self) -> Finding {
        let Some(release) = self.read("proc/sys/kernel/osrelease") else {
            return Finding::new("kernel", Level::Note, std::env::consts::OS)
                .mend("run on Linux for pinned cores and io_uring");
        };
        match parse::kernel_version(&release) {
            Some(version) if version < KERNEL_WANTED => {
                Finding::new("kernel", Level::Warning, format!("Linux {release}"))
                    .mend("use Linux 5.8 or newer for io_uring")
            }
            _ => Finding::new("kernel", Level::Ok, format!("Linux {release}")),
        }
    }

    fn clock_source(&self) -> Finding {
        let name = "clock source";
        let folder = "sys/devices/system/clocksource/clocksource0";
        let Some(current) = self.read(&format!("{folder}/current_clocksource")) else {
            return Finding::new(name, Level::Note, "not told here");
        };
        // These are read without a system call, in tens of nanoseconds.
        if matches!(
            &*current,
            "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page" | "arch_sys_counter"
        ) {
            return Finding::new(name, Level::Ok, current);
        }
        let offered = self.read(&format!("{folder}/available_clocksource"));
        let finding = Finding::new(
            name,
            Level::Warning,
            format!("{current}: each reading of the clock is a slow system call"),
        );
        match offered.is_some_and(|all| all.split_whitespace().any(|one| one == "tsc")) {
            true => finding.mend(format!("echo tsc > /{folder}/current_clocksource")),
            false => finding.mend("boot with tsc=reliable if the machine's TSC is in step"),
        }
    }

    fn hypervisor(&self) -> Finding {
        let is_guest =
            self.read("proc/cpuinfo").is_some_and(|text| parse::has_cpu_flag(&text, "hypervisor"));
        if !is_guest {
            return Finding::new("hypervisor", Level::Ok, "none seen");
        }
        let vendor = self.read("sys/class/dmi/id/sys_vendor");
        let vendor = vendor.filter(|text| !text.is_empty());
        Finding::new(
            "hypervisor",
            Level::Note,
            format!(
                "virtual machine ({}): its host may stop a core for milliseconds at any time",
                vendor.as_deref().unwrap_or("maker not told")
            ),
        )
    }

    fn governor(&self, topology: &Topology) -> Finding {
        let name = "cpu frequency";
        let of = |cpu: u32| {
            self.read(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"))
        };
        let told: Vec<String> = topology.cpus().iter().filter_map(|cpu| of(cpu.0)).collect();
        match told.iter().find(|governor| *governor != "performance") {
            _ if told.is_empty() => Finding::new(
                name,
                Level::Note,
                "no governor is visible (usual in virtual machines and containers)",
            ),
            Some(other) => Finding::new(
                name,
                Level::Warning,
                format!("governor {other}: an idle core wakes up slowly"),
            )
            .mend("cpupower frequency-set -g performance"),
            None => Finding::new(name, Level::Ok, "governor performance"),
        }
    }

    fn huge_pages(&self) -> Finding {
        let name = "huge pages";
        let path = "sys/kernel/mm/transparent_hugepage/enabled";
        match self.read(path).as_deref().and_then(parse::bracketed) {
            Some("never") => Finding::new(
                name,
                Level::Note,
                "transparent huge pages are off: large tables of keys miss the TLB more often",
            )
            .mend(format!("echo madvise > /{path}")),
            Some(setting) => Finding::new(name, Level::Ok, format!("transparent: {setting}")),
            None => Finding::new(name, Level::Note, "not told here"),
        }
    }

    fn quota(&self, topology: &Topology) -> Finding {
        let name = "cpu quota";
        let Some(cores) = self.quota_cores() else {
            return Finding::new(name, Level::Ok, "no limit seen");
        };
        let found = format!("{cores:.2} cores");
        match cores < topology.cpu_count() as f64 {
            true => Finding::new(
                name,
                Level::Warning,
                format!("{found}: when it is used up the kernel stops every core for a while"),
            )
            .mend("raise it (--cpus, limits.cpu), or run fewer shards than that"),
            false => Finding::new(name, Level::Ok, found),
        }
    }

    /// The tightest quota of this process's control group and the groups above it (version 2, or
    /// the version 1 limit of the container's own group).
    fn quota_cores(&self) -> Option<f64> {
        let groups = self.read("proc/self/cgroup")?;
        let mut tightest: Option<f64> = None;
        let mut consider = |cores: Option<f64>| {
            tightest = match (tightest, cores) {
                (Some(now), Some(new)) => Some(now.min(new)),
                (now, new) => now.or(new),
            };
        };
        let mut group = Path::new(parse::cgroup_v2(&groups).unwrap_or("/"));
        loop {
            let folder = group.strip_prefix("/").unwrap_or(group);
            let path = Path::new("sys/fs/cgroup").join(folder).join("cpu.max");
            consider(self.read(&path.to_string_lossy()).as_deref().and_then(parse::cpu_max));
            match group.parent() {
                Some(parent) => group = parent,
                None => break,
            }
        }
        let v1 = |file: &str| self.read(&format!("sys/fs/cgroup/cpu/{file}"));
        if let (Some(quota), Some(period)) = (v1("cpu.cfs_quota_us"), v1("cpu.cfs_period_us")) {
            consider(parse::cpu_max(&format!("{quota} {period}")));
        }
        tightest
    }

    fn load(&self, topology: &Topology) -> Finding {
        let load = self.read("proc/loadavg").and_then(|text| parse::load(&text));
        let Some(load) = load else {
            return Finding::new("load", Level::Note, "not told here");
        };
        let cpus = topology.cpu_count();
        let found = format!("{load:.2} in the last minute, on {cpus} allowed cores");
        match load > cpus as f64 / 2.0 {
            true => Finding::new("load", Level::Warning, found).mend(
                "stop what else runs on these cores; until then latency figures will show it",
            ),
            false => Finding::new("load", Level::Ok, found),
        }
    }
}

fn io_uring(probed: Result<(), IoUringRefusal>) -> Finding {
    match probed {
        Ok(()) if cfg!(feature = "glommio") => Finding::new("io_uring", Level::Ok, "usable"),
        Ok(()) => Finding::new(
            "io_uring",
            Level::Note,
            "usable, but this build does not use it: shards run on plain threads",
        )
        .mend("build with the feature 'glommio'"),
        Err(refusal) => Finding::new(
            "io_uring",
            Level::Warning,
            format!("{refusal} (until then shards run on plain threads)"),
        ),
    }
}

#[cfg(unix)]
fn memlock() -> Finding {
    use rustix::process::{Resource, getrlimit};
    memlock_of(getrlimit(Resource::Memlock).current)
}

#[cfg(not(unix))]
fn memlock() -> Finding {
    Finding::new("locked memory", Level::Note, "not told here")
}

#[cfg(unix)]
fn memlock_of(limit_bytes: Option<u64>) -> Finding {
    let name = "locked memory";
    let needed = super::MEMLOCK_BYTES_NEEDED;
    match limit_bytes {
        None => Finding::new(name, Level::Ok, "unlimited"),
        Some(bytes) if bytes >= needed => {
            Finding::new(name, Level::Ok, format!("{} KiB allowed", bytes >> 10))
        }
        Some(bytes) => Finding::new(
            name,
            Level::Warning,
            format!("{} KiB allowed, io_uring's runtime needs {}", bytes >> 10, needed >> 10),
        )
        .mend(format!("ulimit -l {}", needed >> 10)),
    }
}
