//! The house rules, as tests: which room may import which, how long lines, functions and files
//! may be, and where unsafe code may stand.

use std::fs;
use std::path::{Path, PathBuf};

/// Architecture Invariant: this table is the floor plan. A room uses the rooms named beside it
/// and no others; every room stands below those that it uses, so there are no cycles.
const MAY_USE: &[(&str, &[&str])] = &[
    // Floor 0: words.
    ("limits", &[]),
    ("sync", &[]),
    ("hint", &[]),
    ("fault", &[]),
    ("time", &[]),
    ("record", &["time", "limits"]),
    ("frame", &["record", "time", "limits"]),
    // Floor 1, west wing: machines. Nothing here has heard of a window.
    ("ring", &["sync", "limits"]),
    ("cpu", &["sync", "time"]),
    ("metrics", &["sync", "time"]),
    ("log", &["frame", "record", "time", "limits", "fault"]),
    ("state", &["log", "record", "time", "limits", "fault"]),
    // Floor 1, east wing: meaning. Nothing here has heard of a thread or a file.
    ("aggregate", &["record", "time"]),
    ("window", &["aggregate", "frame", "record", "time", "limits", "hint"]),
    // Floor 2: flow. The wings meet no sooner than here.
    ("operator", &["record", "time"]),
    ("source", &["record", "time", "limits", "cpu", "ring", "sync"]),
    ("exchange", &["ring", "frame", "record", "time", "limits", "cpu", "metrics"]),
    (
        "sink",
        &[
            "sync",
            "fault",
            "state",
            "log",
            "exchange",
            "window",
            "aggregate",
            "frame",
            "ring",
            "record",
            "time",
            "limits",
            "cpu",
            "metrics",
        ],
    ),
    ("text", &["source", "sink", "window", "aggregate", "record", "time", "limits", "cpu"]),
    // Floor 3: the roles that own a core.
    (
        "shard",
        &[
            "sync",
            "fault",
            "state",
            "log",
            "sink",
            "exchange",
            "source",
            "operator",
            "window",
            "aggregate",
            "metrics",
            "cpu",
            "ring",
            "frame",
            "record",
            "time",
            "limits",
        ],
    ),
    // Floor 4: assembly.
    (
        "engine",
        &[
            "shard",
            "fault",
            "state",
            "log",
            "sink",
            "exchange",
            "source",
            "operator",
            "window",
            "aggregate",
            "metrics",
            "cpu",
            "ring",
            "frame",
            "record",
            "time",
            "limits",
        ],
    ),
];

/// The files that may hold unsafe code, beside the ring's.
const ISLANDS: &[&str] = &[
    "src/ring/",
    "src/cpu/probe.rs",
    "src/hint.rs",
    "src/source/packed.rs",
    "src/log/mapped.rs",
    "src/log/sigbus.rs",
];

const LINE_MAX: usize = 100;
const FUNCTION_MAX: usize = 70;
const FILE_MAX: usize = 800;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(String, String)> {
    files(&root().join("src"))
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).expect("under the root").display().to_string();
            (name, fs::read_to_string(&path).expect("a source is text"))
        })
        .collect()
}

/// The room a file belongs to; the front door (`lib.rs`, `main.rs`, `cli/`) belongs to none.
fn room(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("src/")?;
    let room = rest.split(['/', '.']).next()?;
    (!["lib", "main", "cli"].contains(&room)).then_some(room)
}

/// Every room that a text names by `crate::room`, comments and doc links too.
fn rooms_used(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("crate::").filter_map(|(at, found)| {
        let rest = &text[at + found.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(&rest[..end]).filter(|name| !name.is_empty() && name.starts_with(char::is_lowercase))
    })
}

#[test]
fn rooms_use_only_the_rooms_that_they_may() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some(room) = room(&name) else { continue };
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == room) else {
            wrong.push(format!("{name}: give the room {room} a line in MAY_USE"));
            continue;
        };
        if text.contains("use crate::{") {
            wrong.push(format!("{name}: `use crate::{{` hides which rooms are used"));
        }
        for used in rooms_used(&text) {
            if used != room && !allowed.contains(&used) {
                wrong.push(format!("{name}: {room} may not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_floor_plan_has_no_cycles() {
    for (at, (room, allowed)) in MAY_USE.iter().enumerate() {
        for used in *allowed {
            let below = MAY_USE[..at].iter().any(|(known, _)| known == used);
            assert!(below, "{room} uses {used}, which is not below it");
        }
    }
}

#[test]
fn every_room_begins_with_what_it_is_for() {
    for (name, text) in sources() {
        let module = name.ends_with("/mod.rs") || room(&name).is_none() || !name.contains("tests");
        assert!(!module || text.starts_with("//!"), "{name} lacks its first paragraph");
    }
}

#[test]
fn unsafe_code_stands_on_its_islands() {
    for (name, text) in sources() {
        if ISLANDS.iter().any(|island| name.starts_with(island)) {
            continue;
        }
        assert!(!text.contains("allow(unsafe_code)"), "{name} is no island for unsafe code");
    }
}

#[test]
fn lines_functions_and_files_stay_short() {
    let mut wrong = Vec::new();
    let folders = ["src", "tests", "benches", "examples"];
    for path in folders.iter().flat_map(|folder| files(&root().join(folder))) {
        let name = path.strip_prefix(root()).expect("under the root").display().to_string();
        let text = fs::read_to_string(&path).expect("a source is text");
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_MAX {
            wrong.push(format!("{name}: {} lines", lines.len()));
        }
        for (at, line) in lines.iter().enumerate() {
            if line.chars().count() > LINE_MAX {
                wrong.push(format!("{name}:{}: longer than {LINE_MAX} columns", at + 1));
            }
            if line.contains(concat!("dbg", "!(")) || line.contains(concat!("FIX", "ME")) {
                wrong.push(format!("{name}:{}: left over from debugging", at + 1));
            }
        }
        wrong.extend(long_functions(&lines).map(|at| format!("{name}:{at}: a long function")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Line numbers of functions longer than they may be. A formatted function ends at the first
/// closing brace that is indented as its `fn` is.
fn long_functions<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
    lines.iter().enumerate().filter_map(|(at, line)| {
        let code = line.trim_start();
        let is_fn = ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "async fn "]
            .iter()
            .any(|start| code.starts_with(start) && !code.ends_with([';', '}']));
        let close = format!("{}}}", &line[..line.len() - code.len()]);
        let length = lines[at..].iter().position(|line| *line == close)?;
        (is_fn && length > FUNCTION_MAX).then_some(at + 1)
    })
}

#[test]
fn the_checks_themselves_notice() {
    assert!(rooms_used("use crate::window::Window; [`crate::ring`]").eq(["window", "ring"]));
    assert_eq!(room("src/window/spec.rs"), Some("window"));
    assert_eq!(room("src/limits.rs"), Some("limits"));
    assert_eq!(room("src/lib.rs"), None);
    let long = format!("fn f() {{\n{}}}", "    x();\n".repeat(80));
    assert_eq!(long_functions(&long.lines().collect::<Vec<_>>()).collect::<Vec<_>>(), [1]);
}
