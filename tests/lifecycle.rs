//! A run that does not end by itself: signals, followed files, inputs that fall silent, readers
//! that go away. Whatever is waited for is seen to come; nothing is taken for so because time went
//! by.
#![cfg(feature = "cli")]

mod command;

use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// After so long a test gives up. Nothing is meant to take nearly as long.
const DEADLINE: Duration = Duration::from_secs(60);

/// Lines of a stream as they come.
struct Lines {
    receiver: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                if sender.send(line.expect("text")).is_err() {
                    return;
                }
            }
        });
        Self { receiver, seen: Vec::new() }
    }

    /// Waits for a further line that holds this.
    #[track_caller]
    fn wait_for(&mut self, part: &str) -> String {
        let since = Instant::now();
        loop {
            let left = DEADLINE.saturating_sub(since.elapsed());
            match self.receiver.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(error) => panic!("'{part}' did not come ({error}): {:#?}", self.seen),
            }
        }
    }

    /// All lines up to the stream's end.
    fn rest(mut self) -> String {
        self.seen.extend(self.receiver.iter());
        self.seen.join("\n")
    }
}

/// A child that does not outlive its test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It has mostly ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running command.
struct Live {
    child: Guard,
    stdin: Option<ChildStdin>,
    out: Lines,
    errors: Lines,
}

/// How a command ended.
struct Ended {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Live {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command::start(arguments);
        let out = Lines::of(child.stdout.take().expect("a pipe"));
        let errors = Lines::of(child.stderr.take().expect("a pipe"));
        Self { stdin: child.stdin.take(), child: Guard(child), out, errors }
    }

    fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(text.as_bytes()).expect("the command reads");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.0), signal).expect("the command runs");
    }

    /// Waits for the end, standard input still being as it is.
    #[track_caller]
    fn end(mut self) -> Ended {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.0.try_wait().expect("a child") {
                break status;
            }
            if since.elapsed() > DEADLINE {
                self.child.0.kill().expect("a child");
                panic!("the command does not end: {}", self.errors.rest());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ended { code: status.code(), out: self.out.rest(), errors: self.errors.rest() }
    }
}

const FLAGS: [&str; 9] = ["agg", "-", "--time", "t", "--key", "k", "--agg", "count", "--kind"];

/// Starts over standard input and these files.
fn start_with(window: &str, more: &[&str]) -> Live {
    Live::start(&[&FLAGS[..], &["--window", window, "--format", "csv"], more].concat())
}

/// Starts over standard input alone, with windows of an hour.
fn start(more: &[&str]) -> Live {
    start_with("1h", more)
}

/// Starts over a file that is followed.
fn follow(path: &Path) -> Live {
    let path = path.to_str().expect("a path of text");
    let flags = ["agg", path, "--follow", "--window", "1h", "--format", "csv"];
    Live::start(&[&flags[..], &FLAGS[2..]].concat())
}

/// Records at these times of one day, all of key `a`.
fn records(times: &[&str]) -> String {
    times.iter().map(|time| format!("2013-01-01 {time},a\n")).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).expect("the file is there");
    file.write_all(text.as_bytes()).expect("the file grows");
}

/// The row of the hour that starts at `hour`.
fn row(hour: u32, count: u32, kind: &str) -> String {
    let (start, end) = (format!("{hour:02}"), format!("{:02}", hour + 1));
    format!("2013-01-01 {start}:00:00.000,2013-01-01 {end}:00:00.000,a,{count},{kind}")
}

/// Stops a run with one window out and one open, and looks at what it says.
#[track_caller]
fn stop(mut live: Live, signal: Signal, code: i32) {
    live.out.wait_for(&row(5, 2, "on_time"));
    live.signal(signal);
    let ended = live.end();
    assert_eq!(ended.code, Some(code), "{}", ended.errors);
    assert!(ended.out.ends_with(&row(6, 1, "interrupted")), "{}", ended.out);
    assert!(ended.errors.contains("interrupted: 3 records in, 2 results"), "{}", ended.errors);
    assert!(ended.errors.contains("every record is accounted for"), "{}", ended.errors);
}

const SIGNALS: [(Signal, i32); 2] = [(Signal::INT, 130), (Signal::TERM, 143)];

#[test]
fn a_signal_ends_the_wait_for_the_first_records() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("silent");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
    let fifo = fifo.display().to_string();
    let flags = [&["agg", &fifo, "--window", "1h"][..], &FLAGS[2..]].concat();
    for (mut live, (signal, code)) in [start(&[]), Live::start(&flags)].into_iter().zip(SIGNALS) {
        live.errors.wait_for("has not brought its first line yet, which names the columns");
        live.signal(signal);
        let ended = live.end();
        assert_eq!(ended.code, Some(code), "{}", ended.errors);
        assert_eq!(ended.out, "");
        let said: Vec<&str> = ended.errors.lines().skip(1).collect();
        let [said] = said[..] else { panic!("one more line: {}", ended.errors) };
        assert!(said.contains("interrupted: the first records have not come yet"), "{said}");
    }
}

/// Flags that sum a column of which it is not said what it holds.
const SUMS: [&str; 12] = [
    "--time", "t", "--key", "k", "--agg", "sum(v)", "--kind", "--window", "1h", "--format", "csv",
    "--strict",
];

/// What comes of one hour of [`SUMS`].
fn sum(of: &str, kind: &str) -> String {
    format!("2013-01-01 05:00:00.000,2013-01-01 06:00:00.000,a,{of},{kind}")
}

#[test]
fn a_signal_while_types_are_awaited_makes_do_with_what_came() {
    for (signal, code) in SIGNALS {
        let mut live = Live::start(&[&["agg", "-"], &SUMS[..]].concat());
        live.write("t,k,v\n2013-01-01 05:17:00,a,1\n");
        // Someone who writes now and then is told of as one who is silent is.
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(3) {
            live.write("2013-01-01 05:18:00,a,0.5\n");
            std::thread::sleep(Duration::from_millis(100));
        }
        let told = live.errors.wait_for(" records so far, and the first 1000 tell the types");
        assert!(told.contains("--type v=f64 (or i64)"), "{told}");
        live.write("2013-01-01 05:");
        live.signal(signal);
        let ended = live.end();
        assert_eq!(ended.code, Some(code), "{}", ended.errors);
        assert_eq!(ended.out.lines().count(), 2, "{}", ended.out);
        assert!(ended.out.ends_with(",interrupted"), "{}", ended.out);
        assert!(ended.errors.contains("stdin ends with 14 bytes, of a line"), "{}", ended.errors);
        assert!(ended.errors.contains("interrupted: "), "{}", ended.errors);
        assert_eq!(ended.errors.matches("so far").count(), 1, "once is enough: {}", ended.errors);
        assert!(ended.errors.contains("every record is accounted for"), "{}", ended.errors);
    }
}

#[test]
fn a_pipe_whose_types_are_declared_is_read_at_once() {
    let mut live = Live::start(&[&["agg", "-", "--type", "v=f64"], &SUMS[..]].concat());
    live.write("t,k,v\n2013-01-01 05:17:00,a,1\n2013-01-01 06:00:00,a,1\n");
    live.out.wait_for(&sum("1.0", "on_time"));
    live.signal(Signal::INT);
    assert_eq!(live.end().code, Some(130));
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.csv");
    let name = path.to_str().unwrap();
    for (signal, code) in SIGNALS {
        let mut live = Live::start(&[&["agg", name, "--follow"], &SUMS[..]].concat());
        live.errors.wait_for("in.csv is not there yet; it is waited for");
        live.signal(signal);
        let ended = live.end();
        assert_eq!(ended.code, Some(code), "{}", ended.errors);
        assert!(ended.errors.contains("the first records have not come yet"), "{}", ended.errors);
    }
    // What is read at once is read as soon as it is there; what is awaited, once it has a record.
    let mut counts = follow(&path);
    let mut sums = Live::start(&[&["agg", name, "--follow"], &SUMS[..]].concat());
    counts.errors.wait_for("in.csv is not there yet; it is waited for");
    sums.errors.wait_for("in.csv is not there yet; it is waited for");
    std::fs::write(&path, "t,k,v\n").unwrap();
    sums.errors.wait_for("in.csv has brought no record so far, and the first 1000 tell the types");
    append(&path, "2013-01-01 05:17:00,a,0.5\n2013-01-01 06:00:00,a,1\n2013-01-01");
    counts.out.wait_for(&row(5, 1, "on_time"));
    sums.out.wait_for(&sum("0.5", "on_time"));
    for live in [counts, sums] {
        live.signal(Signal::TERM);
        let ended = live.end();
        assert_eq!(ended.code, Some(143), "{}", ended.errors);
        let told = "in.csv ends with 10 bytes, of a line that was not whole when the run was";
        assert!(ended.errors.contains(told), "{}", ended.errors);
        assert_eq!(ended.errors.matches("waited for").count(), 1, "{}", ended.errors);
    }
    // Without the flag there is nothing to wait for.
    let ended = Live::start(&[&["agg", "nowhere.csv"], &SUMS[..]].concat()).end();
    assert_eq!(ended.code, Some(3), "{}", ended.errors);
}

#[test]
fn what_a_jump_holds_out_is_decided_when_the_run_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.csv");
    let name = path.to_str().unwrap();
    let flags = [&FLAGS[2..], &["--window", "1h", "--format", "csv", "--max-jump", "1d"]].concat();
    let few = "t,k\n".to_owned() + &records(&["05:17:00", "05:18:00"]);
    let far = few.clone() + &records(&["05:19:00", "05:20:00"]) + "2200-01-01 00:00:00,a\n";
    for (text, count, told) in [(few, 2, "interrupted: 2 records in"), (far, 4, "1 unusable")] {
        std::fs::write(&path, text).unwrap();
        let mut live = Live::start(&[&["agg", name, "--follow"], &flags[..]].concat());
        live.errors.wait_for("runtime: ");
        live.signal(Signal::INT);
        let ended = live.end();
        assert_eq!(ended.code, Some(130), "{}", ended.errors);
        assert!(ended.out.ends_with(&row(5, count, "interrupted")), "{}", ended.out);
        assert!(ended.errors.contains(told), "{}", ended.errors);
        assert!(ended.errors.contains("every record is accounted for"), "{}", ended.errors);
    }
    // With state they are read again.
    let out = |name: &str| folder.path().join(name).display().to_string();
    let kept = ["--state", &out("state"), "--output", &out("out.csv")].map(str::to_owned);
    let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
    let flags = [&["agg", name], &flags[..], &kept[..]].concat();
    let mut live = Live::start(&[&flags[..], &["--follow"]].concat());
    live.errors.wait_for("runtime: ");
    live.signal(Signal::INT);
    let ended = live.end();
    let told = "1 record held out by --max-jump when it was stopped; the next run reads";
    assert!(ended.errors.contains(told), "{}", ended.errors);
    let ended = Live::start(&flags).end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.errors.contains("record 5 (malformed ones not counted)"), "{}", ended.errors);
    assert!(ended.errors.contains("5 records in"), "{}", ended.errors);
}

#[test]
fn a_run_that_goes_on_has_the_types_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, output, state) = (path("in.csv"), path("out.csv"), path("state"));
    let flags = [&["agg", &input, "--state", &state, "--output", &output], &SUMS[..11]].concat();
    let count = flags.iter().map(|flag| if *flag == "sum(v)" { "sum(k)" } else { *flag });
    let others: Vec<&str> = count.collect();
    std::fs::write(&input, "t,k,v\n2013-01-01 05:17:00,a,1\n").unwrap();
    for follow in [true, false] {
        let mut live =
            Live::start(&[&flags[..], if follow { &["--follow"] } else { &[] }].concat());
        live.errors.wait_for("runtime: ");
        if follow {
            live.signal(Signal::TERM);
        }
        let ended = live.end();
        assert_eq!(ended.code, Some(if follow { 143 } else { 0 }), "{}", ended.errors);
        if follow {
            append(Path::new(&input), "2013-01-01 05:18:00,a,0.5\n2013-01-01 05:19:00,a,2\n");
            let ended = Live::start(&[&flags[..], &["--type", "v=f64"]].concat()).end();
            assert!(
                ended.errors.contains("its types of columns were i64 and are f64 now"),
                "{}",
                ended.errors
            );
            let ended = Live::start(&others).end();
            assert_eq!(ended.code, Some(2), "{}", ended.errors);
        } else {
            let told = "in.csv:3:23: column 'v' holds '0.5', not a whole number, and the column is";
            assert!(ended.errors.contains(told), "{}", ended.errors);
        }
    }
    assert!(std::fs::read_to_string(&output).unwrap().ends_with(",a,3,end_of_input\n"));
}

#[test]
fn a_run_that_goes_on_waits_for_a_followed_file_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, output, state, away) = (path("in.csv"), path("out.csv"), path("s"), path("away"));
    let flags = ["agg", &input, "--follow", "--state", &state, "--output", &output];
    let flags = [&flags[..], &SUMS[..11]].concat();
    std::fs::write(&input, "t,k,v\n2013-01-01 05:17:00,a,1\n").unwrap();
    let stop = |live: Live| {
        live.signal(Signal::TERM);
        let ended = live.end();
        assert_eq!(ended.code, Some(143), "{}", ended.errors);
        assert!(ended.errors.contains("every record is accounted for"), "{}", ended.errors);
    };
    let mut live = Live::start(&flags);
    live.errors.wait_for("runtime: ");
    stop(live);
    std::fs::rename(&input, &away).unwrap();
    append(Path::new(&away), "2013-01-01 05:18:00,a,2\n2013-01-01 06:00:00,a,1\n");
    for is_back in [false, true] {
        let mut live = Live::start(&flags);
        live.errors.wait_for("in.csv is not there yet; it is waited for");
        live.errors.wait_for("runtime: ");
        if is_back {
            std::fs::rename(&away, &input).unwrap();
            let since = Instant::now();
            while !std::fs::read_to_string(&output).unwrap().ends_with(",a,3,on_time\n") {
                assert!(since.elapsed() < DEADLINE, "results come");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        stop(live);
    }
}

#[test]
fn a_file_that_may_grow_no_further_is_an_error_and_no_sudden_end() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.csv");
    let many: String = (0..20_000).map(|n| format!("2013-01-01 05:17:00,{n}\n")).collect();
    std::fs::write(&input, format!("t,k\n{many}")).unwrap();
    let output = folder.path().join("out.csv");
    let script = "ulimit -f 8; exec \"$@\"";
    let ended = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_tidewheel"), "agg"])
        .args([input.as_os_str(), "--output".as_ref(), output.as_os_str()])
        .args(&FLAGS[2..])
        .args(["--window", "1h"])
        .output()
        .expect("there is a shell");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{errors}");
    assert!(errors.contains("out.csv: File too large (os error 27); a limit (ulim"), "{errors}");
}

#[test]
fn a_signal_lets_open_windows_out_while_a_pipe_is_held_open() {
    for (signal, code) in SIGNALS {
        let mut live = start(&[]);
        live.write(&("t,k\n".to_owned() + &records(&["05:17:00", "05:20:00", "06:01:00"])));
        stop(live, signal, code);
    }
}

#[test]
fn a_signal_lets_open_windows_out_while_a_file_is_followed() {
    for (signal, code) in SIGNALS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.csv");
        let text = "t,k\n".to_owned() + &records(&["05:17:00", "05:20:00", "06:01:00"]);
        std::fs::write(&path, text).unwrap();
        stop(follow(&path), signal, code);
    }
}

#[test]
fn a_followed_file_brings_what_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.csv");
    std::fs::write(&path, "t,k\n".to_owned() + &records(&["05:17:00", "06:01:00"])).unwrap();
    let mut live = follow(&path);
    live.out.wait_for(&row(5, 1, "on_time"));
    append(&path, &records(&["06:02:00", "07:00:00"]));
    live.out.wait_for(&row(6, 2, "on_time"));
    // A line that is not whole yet is no record.
    append(&path, "2013-01-01 08:0");
    append(&path, "0:00,a\n");
    live.out.wait_for(&row(7, 1, "on_time"));
    live.signal(Signal::TERM);
    let ended = live.end();
    assert_eq!(ended.code, Some(143), "{}", ended.errors);
    assert!(ended.errors.contains("5 records in, 4 results, 0 late"), "{}", ended.errors);
    assert!(ended.errors.contains(" 0 malformed"), "{}", ended.errors);
}

#[test]
fn a_followed_file_that_is_cut_is_read_again_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.csv");
    let unfinished = "2013-01-01 06:";
    let records = |times: &[&str]| "t,k\n".to_owned() + &records(times);
    std::fs::write(&path, records(&["05:17:00", "06:01:00"]) + unfinished).unwrap();
    let mut live = follow(&path);
    live.out.wait_for(&row(5, 1, "on_time"));
    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    let told = live.errors.wait_for("in.csv was cut to 0 bytes, after 62 were read");
    assert!(told.contains("its last 14, of an unfinished line, are left out"), "{told}");
    append(&path, &records(&["06:02:00", "07:01:00"]));
    live.out.wait_for(&row(6, 2, "on_time"));
    live.signal(Signal::TERM);
    let ended = live.end();
    assert_eq!(ended.code, Some(143), "{}", ended.errors);
    assert!(ended.errors.contains("4 records in") && ended.errors.contains(" 0 malformed"));
}

#[test]
fn a_followed_file_that_is_replaced_is_read_to_its_end_and_the_new_one_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("in.csv"), folder.path().join("in.csv.1"));
    std::fs::write(&path, "t,k\n".to_owned() + &records(&["05:17:00", "06:01:00"])).unwrap();
    let mut live = follow(&path);
    live.out.wait_for(&row(5, 1, "on_time"));
    std::fs::rename(&path, &old).unwrap();
    live.errors.wait_for("in.csv cannot be opened again (No such file");
    append(&old, &records(&["06:02:00"]));
    append(&old, "2013-01-01 06:03:00,a");
    // Its columns may stand in another order.
    std::fs::write(&path, "k,t\na,2013-01-01 07:00:00\n").unwrap();
    live.errors.wait_for("in.csv is another file now");
    live.out.wait_for(&row(6, 3, "on_time"));
    append(&path, "a,2013-01-01 07:01:00\nb,noon\na,2013-01-01 08:00:00\n");
    live.out.wait_for(&row(7, 2, "on_time"));
    live.errors.wait_for("malformed: ");
    live.signal(Signal::TERM);
    let ended = live.end();
    assert_eq!(ended.code, Some(143), "{}", ended.errors);
    assert!(ended.errors.contains("in.csv:4:3: column 't' holds 'noon'"), "{}", ended.errors);
    assert!(ended.errors.contains("8 records in"), "{}", ended.errors);
}

#[test]
fn a_file_that_takes_the_place_of_another_must_have_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.csv");
    std::fs::write(&path, "t,k\n".to_owned() + &records(&["05:17:00", "06:01:00"])).unwrap();
    let mut live = follow(&path);
    live.out.wait_for(&row(5, 1, "on_time"));
    let other = folder.path().join("other.csv");
    std::fs::write(&other, records(&["07:00:00"])).unwrap();
    std::fs::rename(&other, &path).unwrap();
    let ended = live.end();
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("in.csv:1: there is no column 't'"), "{}", ended.errors);
}

#[test]
fn with_state_a_file_that_is_cut_or_replaced_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, output, state) = (path("in.csv"), path("out.csv"), path("state"));
    let flags = ["agg", &input, "--state", &state, "--output", &output, "--window", "1h"];
    let flags = [&flags[..], &FLAGS[2..]].concat();
    let started = || {
        let mut live = Live::start(&[&flags[..], &["--follow"]].concat());
        live.errors.wait_for("runtime: ");
        let since = Instant::now();
        while !std::fs::read_to_string(&output).is_ok_and(|out| out.contains(&row(5, 1, "on_"))) {
            assert!(since.elapsed() < DEADLINE, "results come");
            std::thread::sleep(Duration::from_millis(5));
        }
        live
    };
    let refused = |live: Live, code: i32, part: &str| {
        let ended = live.end();
        assert_eq!(ended.code, Some(code), "{}", ended.errors);
        assert!(ended.errors.contains(part), "{}", ended.errors);
        assert!(ended.errors.contains("begin anew with another state dir"), "{}", ended.errors);
    };
    let text = "t,k\n".to_owned() + &records(&["05:17:00", "06:01:00"]);
    std::fs::write(&input, &text).unwrap();
    let live = started();
    live.signal(Signal::TERM);
    assert_eq!(live.end().code, Some(143));

    // Between two runs.
    for other in [text[..26].to_owned(), text.replace("06:01", "06:02")] {
        std::fs::write(&input, other).unwrap();
        let part = "in.csv: what lies before byte 48 is not what an earlier run read";
        refused(Live::start(&flags), 1, part);
    }
    // While it runs.
    std::fs::write(&input, &text).unwrap();
    let live = started();
    std::fs::copy(&input, path("same.csv")).unwrap();
    std::fs::rename(path("same.csv"), &input).unwrap();
    refused(live, 3, "in.csv: the file was replaced by another");
    let live = started();
    OpenOptions::new().write(true).truncate(true).open(&input).unwrap();
    refused(live, 3, "in.csv: the file was cut to 0 bytes");
}

#[test]
fn an_input_that_fell_silent_does_not_hold_windows_with_idle() {
    let folder = tempfile::tempdir().unwrap();
    let silent = folder.path().join("silent.csv");
    std::fs::write(&silent, "t,k\n".to_owned() + &records(&["05:17:00"])).unwrap();
    let mut live = start(&[silent.to_str().unwrap(), "--follow", "--idle", "50ms"]);
    live.write("t,k\n");
    let mut stdin = live.stdin.take().unwrap();
    // The other input goes on, a record a minute, for as long as anyone reads.
    let busy = std::thread::spawn(move || {
        for minute in 5 * 60.. {
            let (day, hour, minute) = (1 + minute / 1440, minute / 60 % 24, minute % 60);
            let record = format!("2013-01-{day:02} {hour:02}:{minute:02}:00,a\n");
            if day > 28 || stdin.write_all(record.as_bytes()).is_err() {
                return stdin;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        stdin
    });
    // 60 records of the one and the only one of the other.
    live.out.wait_for(&row(5, 61, "on_time"));
    live.signal(Signal::INT);
    let ended = live.end();
    drop(busy.join());
    assert_eq!(ended.code, Some(130), "{}", ended.errors);
    assert!(ended.errors.contains(" 0 late"), "{}", ended.errors);
}

#[test]
fn windows_close_by_the_clock_while_all_inputs_stand_still() {
    let mut live = start_with("1s", &["--idle", "50ms", "--idle-advance"]);
    live.write(&("t,k\n".to_owned() + &records(&["05:17:00"])));
    // Nothing more is written, and standard input stays open.
    let row = live.out.wait_for("05:17:00.000,");
    assert!(row.ends_with(",a,1,on_time"), "{row}");
    live.signal(Signal::INT);
    let ended = live.end();
    assert_eq!(ended.code, Some(130), "{}", ended.errors);
    assert!(
        ended.errors.contains("interrupted: 1 record in, 1 result, 0 late"),
        "{}",
        ended.errors
    );
}

#[test]
fn a_signal_that_is_sent_twice_at_once_is_one_request() {
    // As `timeout` does, to the process and to its group.
    let mut live = start(&[]);
    live.write(&("t,k\n".to_owned() + &records(&["05:17:00"])));
    live.errors.wait_for("runtime: ");
    live.signal(Signal::INT);
    live.signal(Signal::INT);
    let ended = live.end();
    assert_eq!(ended.code, Some(130), "{}", ended.errors);
    assert!(ended.errors.contains("every record is accounted for"), "{}", ended.errors);
    assert!(!ended.errors.contains("a second signal"), "{}", ended.errors);
}

#[test]
fn stats_are_said_again_and_again() {
    let mut live = start(&["--stats", "100ms"]);
    live.write("t,k\n");
    for _ in 0..3 {
        let line = live.errors.wait_for(" records/s, ");
        for part in
            ["tidewheel: ", " MB/s", "watermark lag", "malformed 0", "fullest lane", "closes, p50"]
        {
            assert!(line.contains(part), "{line}");
        }
    }
    live.stdin = None;
    let ended = live.end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
}

/// Starts with results that nobody takes, and says more of it on standard error.
fn start_unread(more: &[&str]) -> (Live, std::process::ChildStdout, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.csv");
    let rows: String = (0..400_000).map(|n| format!("{n},a\n")).collect();
    std::fs::write(&input, format!("t,k\n{rows}")).unwrap();
    let flags = ["--window", "1ms", "--time-unit", "ms", "--format", "csv", "--stats", "100ms"];
    let input = input.display().to_string();
    let mut child = command::start(&[&["agg", &input][..], &FLAGS[2..], &flags, more].concat());
    let out = child.stdout.take().expect("a pipe");
    let errors = Lines::of(child.stderr.take().expect("a pipe"));
    let stdin = child.stdin.take();
    (Live { stdin, child: Guard(child), out: Lines::of(std::io::empty()), errors }, out, folder)
}

#[test]
fn stats_go_on_while_nobody_takes_the_results_and_one_signal_ends_the_run() {
    for (signal, code) in SIGNALS {
        let (mut live, out, _folder) = start_unread(&[]);
        // A pipe and all rings hold less than there is.
        live.errors.wait_for(" 0 records/s, ");
        live.errors.wait_for(" 0 records/s, ");
        live.signal(signal);
        let told = live.errors.wait_for("interrupted: ");
        assert!(told.contains("standard output took nothing for 2 s, so what was still"), "{told}");
        let ended = live.end();
        assert_eq!(ended.code, Some(code), "{}", ended.errors);
        drop(out);
    }
}

#[test]
fn results_that_are_taken_late_all_come_after_a_signal() {
    let (mut live, out, _folder) = start_unread(&[]);
    live.errors.wait_for(" 0 records/s, ");
    live.signal(Signal::INT);
    live.out = Lines::of(out);
    let ended = live.end();
    assert_eq!(ended.code, Some(130), "{}", ended.errors);
    assert!(ended.errors.contains("every record is accounted for"), "{}", ended.errors);
    let results = ended.out.lines().count() - 1;
    assert!(ended.errors.contains(&format!(" records in, {results} results")), "{}", ended.errors);
}

#[test]
fn an_error_does_not_take_back_what_was_written_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.csv");
    let many: String = (0..2_000).map(|n| format!("{n},a\n")).collect();
    std::fs::write(&path, format!("t,k\n{many}noon,a\n")).unwrap();
    let path = path.display().to_string();
    let flags = ["--window", "1ms", "--time-unit", "ms", "--strict", "--format", "csv"];
    // Whether the error comes before what is gathered is written out is a matter of chance.
    for _ in 0..8 {
        let ended = Live::start(&[&["agg", &path][..], &FLAGS[2..], &flags].concat()).end();
        assert_eq!(ended.code, Some(1), "{}", ended.errors);
        assert!(
            ended.errors.contains("in.csv:2002:1: column 't' holds 'noon'"),
            "{}",
            ended.errors
        );
        assert!(ended.out.starts_with("window_start,"), "{}", ended.out);
    }
}

#[test]
fn a_followed_file_of_a_run_that_is_finished_is_said_not_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, output, state) = (path("in.csv"), path("out.csv"), path("state"));
    std::fs::write(&input, "t,k\n".to_owned() + &records(&["05:17:00"])).unwrap();
    let flags = ["agg", &input, "--state", &state, "--output", &output, "--window", "1h"];
    let flags = [&flags[..], &FLAGS[2..]].concat();
    let told =
        format!("{state}: an earlier run without --follow has come to the end of all inputs");
    for (more, is_told) in [(&[][..], false), (&["--follow"], true), (&[], false)] {
        let ended = Live::start(&[&flags[..], more].concat()).end();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert_eq!(ended.errors.contains(&told), is_told, "{}", ended.errors);
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run_in_silence() {
    let flags = ["--window", "1ms", "--format", "csv"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidewheel"))
        .args([&FLAGS[..], &flags].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().unwrap();
    let errors = Lines::of(child.stderr.take().unwrap());
    let mut out = BufReader::new(child.stdout.take().unwrap());
    stdin.write_all(b"t,k\n").unwrap();
    let mut seconds = 0;
    let mut write = |stdin: &mut ChildStdin| {
        seconds += 1;
        let (minute, second) = (seconds / 60 % 60, seconds % 60);
        stdin.write_all(format!("2013-01-01 05:{minute:02}:{second:02},a\n").as_bytes())
    };
    (0..100).for_each(|_| write(&mut stdin).expect("the command reads"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a header");
    assert!(line.starts_with("window_start,"), "{line}");
    drop(out);
    // The next result finds nobody; then nobody reads standard input either.
    let _ = (0..2_000).try_for_each(|_| write(&mut stdin));
    let out = Lines::of(std::io::empty());
    let ended = Live { child: Guard(child), stdin: Some(stdin), out, errors }.end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.errors.starts_with("tidewheel: runtime: "), "{}", ended.errors);
    assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
}

#[test]
fn more_keys_than_may_live_are_an_error_that_says_which_limit() {
    let mut live = start(&["--live-keys", "2", "--shards", "1"]);
    live.write("t,k\n2013-01-01 05:17:00,a\n2013-01-01 05:17:00,b\n2013-01-01 05:17:00,c\n");
    // The run ends by itself.
    let ended = live.end();
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(
        ended.errors.contains("open windows hold more keys (each counted once a slice) than the 2"),
        "{}",
        ended.errors
    );
    assert!(ended.errors.contains("--live-keys"), "{}", ended.errors);

    let mut live = start(&["--live-keys", "3", "--shards", "1"]);
    live.write("t,k\n2013-01-01 05:17:00,a\n2013-01-01 05:17:00,b\n2013-01-01 05:17:00,c\n");
    live.stdin = None;
    let ended = live.end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
}

#[test]
fn nobody_to_hear_its_messages_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.csv");
    let input = folder.path().join("in.csv");
    std::fs::write(&input, "t,k\n2013-01-01 05:00:00,a\nnonsense,a\n").unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_tidewheel"))
        .args(["agg", "--time", "t", "--key", "k", "--window", "1h", "--agg", "count"])
        .args([std::ffi::OsStr::new("--output"), out.as_os_str(), input.as_os_str()])
        .stderr(full)
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(0));
    assert!(std::fs::read_to_string(&out).unwrap().ends_with(",a,1\n"));
}

#[test]
fn one_signal_ends_a_run_that_has_windows_without_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("sparse.csv");
    let lines: String = (0..2_000_i64).map(|n| format!("{},a\n", n * 1_000_000_000)).collect();
    std::fs::write(&input, format!("t,k\n{lines}")).expect("a file");
    let (input, output) = (input.display().to_string(), folder.path().join("results.csv"));
    let (out, slide) = (output.display().to_string(), ["--slide", "1ns", "--time-unit", "ns"]);
    let flags = ["agg", &input, "--time", "t", "--key", "k", "--agg", "count", "--window", "16ms"];
    let live = Live::start(&[&flags[..], &slide, &["--output", &out, "--format", "csv"]].concat());
    let since = Instant::now();
    while std::fs::metadata(&output).map_or(0, |file| file.len()) == 0 {
        assert!(since.elapsed() < DEADLINE, "results come");
        std::thread::sleep(Duration::from_millis(5));
    }
    live.signal(Signal::INT);
    let ended = live.end();
    assert_eq!(ended.code, Some(130), "{}", ended.errors);
    assert!(ended.errors.contains("too many windows were left"), "{}", ended.errors);
    assert!(ended.errors.contains("every record is accounted for"), "{}", ended.errors);
}
