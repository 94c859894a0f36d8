//! The texts of `/proc` and `/sys`, taken apart. `None` where a text is not what was expected.

/// How many CPUs a list like `0-3,8` names.
pub(super) fn cpu_list(text: &str) -> Option<usize> {
    let mut count = 0;
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        count += last.checked_sub(first)? + 1;
    }
    Some(count)
}

/// Major and minor number of a kernel's release, `6.18.44-generic` say.
pub(super) fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The choice that stands in brackets: `madvise` of `always [madvise] never`.
pub(super) fn bracketed(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

/// The load of the last minute, of `/proc/loadavg`.
pub(super) fn load(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The cores that `quota period` allows, both in microseconds; `None` for no limit (`max`, `-1`).
pub(super) fn cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| quota as f64 / period as f64)
}

/// The version 2 control group of `/proc/self/cgroup`.
pub(super) fn cgroup_v2(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Whether the first CPU of `/proc/cpuinfo` has a flag.
pub(super) fn has_cpu_flag(cpuinfo: &str, wanted: &str) -> bool {
    cpuinfo
        .lines()
        .find(|line| line.starts_with("flags"))
        .is_some_and(|line| line.split_whitespace().any(|flag| flag == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_counted() {
        assert_eq!(cpu_list("0-3,8"), Some(5));
        assert_eq!(cpu_list("0\n"), Some(1));
        assert_eq!(cpu_list("3-0"), None);
        assert_eq!(cpu_list(""), None);
    }

    #[test]
    fn releases_have_two_numbers_that_matter() {
        assert_eq!(kernel_version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(kernel_version("5.8-rc1"), Some((5, 8)));
        assert_eq!(kernel_version("beta"), None);
    }

    #[test]
    fn choices_loads_and_quotas_are_read() {
        assert_eq!(bracketed("always [madvise] never"), Some("madvise"));
        assert_eq!(bracketed("always"), None);
        assert_eq!(load("0.35 0.38 0.25 3/113 9408"), Some(0.35));
        assert_eq!(cpu_max("150000 100000"), Some(1.5));
        assert_eq!(cpu_max("max 100000"), None);
        assert_eq!(cpu_max("-1 100000"), None);
        assert_eq!(cpu_max("1 0"), None);
    }

    #[test]
    fn groups_and_flags_are_found() {
        assert_eq!(cgroup_v2("1:cpu:/\n0::/a/b"), Some("/a/b"));
        assert_eq!(cgroup_v2("1:cpu:/"), None);
        assert!(has_cpu_flag("model: x\nflags\t\t: fpu hypervisor avx", "hypervisor"));
        assert!(!has_cpu_flag("flags\t\t: fpu hypervisors", "hypervisor"));
    }
}
