//! Hosts played in a folder.

use super::super::Cpu;
use super::*;
use std::fs;

fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let host = Host::at(folder.path());
    (folder, host)
}

fn two_cores() -> Topology {
    Topology::of([Cpu(0), Cpu(1)])
}

#[test]
fn a_good_host_has_nothing_to_mend() {
    let governor = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    let (_folder, host) = host(&[
        ("sys/devices/system/cpu/online", "0-1\n"),
        (governor, "performance\n"),
        (clock, "tsc\n"),
        ("proc/sys/kernel/osrelease", "6.8.0-40-generic\n"),
        ("proc/cpuinfo", "flags : fpu sse\n"),
        ("proc/loadavg", "0.10 0.2 0.3 1/2 3\n"),
        ("proc/self/cgroup", "0::/\n"),
        ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"),
    ]);
    let all = [
        host.cores(&two_cores()),
        host.kernel(),
        host.clock_source(),
        host.hypervisor(),
        host.governor(&two_cores()),
        host.huge_pages(),
        host.quota(&two_cores()),
        host.load(&two_cores()),
    ];
    for finding in all {
        assert_eq!((finding.level, &finding.mend), (Level::Ok, &None), "{finding}");
    }
}

#[test]
fn a_bad_host_is_told_what_to_mend() {
    let governor = "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
    let clock = "sys/devices/system/clocksource/clocksource0";
    let (_folder, host) = host(&[
        ("sys/devices/system/cpu/online", "0-7\n"),
        (governor, "powersave\n"),
        (&format!("{clock}/current_clocksource"), "hpet\n"),
        (&format!("{clock}/available_clocksource"), "hpet tsc acpi_pm\n"),
        ("proc/sys/kernel/osrelease", "4.18.0\n"),
        ("proc/loadavg", "7.10 0.2 0.3 1/2 3\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"),
    ]);
    let told = |finding: Finding, level, mend: &str| {
        assert_eq!(finding.level, level, "{finding}");
        assert!(finding.mend.as_deref().unwrap().contains(mend), "{finding}");
    };
    told(host.cores(&two_cores()), Level::Note, "taskset");
    told(host.kernel(), Level::Warning, "5.8");
    told(host.clock_source(), Level::Warning, "echo tsc");
    told(host.governor(&two_cores()), Level::Warning, "cpupower");
    told(host.huge_pages(), Level::Note, "madvise");
    told(host.load(&two_cores()), Level::Warning, "stop what else runs");
    told(memlock_of(Some(64 << 10)), Level::Warning, "ulimit -l 512");
    assert_eq!(io_uring(Err(IoUringRefusal::Forbidden)).level, Level::Warning);
}

#[test]
fn the_tightest_quota_above_a_group_counts() {
    let (_folder, host) = host(&[
        ("proc/self/cgroup", "0::/outer/inner\n"),
        ("sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/outer/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/cpu.max", "400000 100000\n"),
    ]);
    assert_eq!(host.quota_cores(), Some(1.5));
    assert_eq!(host.quota(&two_cores()).level, Level::Warning);
}

#[test]
fn quotas_of_version_1_count_too() {
    let (_folder, host) = host(&[
        ("proc/self/cgroup", "1:cpu:/\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
    ]);
    assert_eq!(host.quota_cores(), Some(0.5));
}

#[test]
fn a_host_that_tells_nothing_is_not_an_error() {
    let (_folder, host) = host(&[]);
    assert_eq!(host.governor(&two_cores()).level, Level::Note);
    assert_eq!(host.clock_source().level, Level::Note);
    assert_eq!(host.load(&two_cores()).level, Level::Note);
    assert_eq!(host.quota(&two_cores()).level, Level::Ok);
    assert_eq!(host.kernel().level, Level::Note);
}

#[test]
fn this_host_is_looked_at_and_printed() {
    let all = findings();
    assert_eq!(all.len(), 10);
    let text: String = all.iter().map(|finding| format!("{finding}\n")).collect();
    for name in ["cores", "io_uring", "locked memory", "clock source", "cpu quota"] {
        assert!(text.contains(name), "{text}");
    }
}
