//! `tidewheel agg`: files in, windows out.

use super::args::{Agg, Destination, OutputFormat, is_json_lines, type_name};
use super::exit::Failure;
use super::kept::Kept;
use super::output::{Out, Outputs, refuse_overwriting};
use super::types;
use super::watch::{Watch, Writing};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tidewheel::engine::{Running, Stream};
use tidewheel::operator::Unfiltered;
use tidewheel::record::Columns;
use tidewheel::shard::{DeadLetter, JumpRule};
use tidewheel::sink::{ResultLog, Results};
use tidewheel::state::State;
use tidewheel::text::aggregates::{
    AggregateCall, AggregatesVisitor, ColumnAggregates, parse_aggregates, with_aggregates,
};
use tidewheel::text::render::{ResultColumns, ResultFormat};
use tidewheel::text::{
    DeclaredType, Delimiter, Follow, HeaderMode, Input, InputColumn, InputFormat, Notice,
    OpenError, Opened, ReadPlan, open_until,
};
use tidewheel::{Span, WindowSpec};

/// How often at least it is looked whether a signal came.
const LISTEN: Duration = Duration::from_millis(50);
/// How long an output may take nothing once a signal has asked for the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the command.
pub(crate) fn run(arguments: &Agg) -> Result<(), Failure> {
    let signals = signals(arguments)?;
    let usage = |problem: String| Failure::Usage(problem);
    let calls = parse_aggregates(&arguments.agg).map_err(|error| usage(error.to_string()))?;
    let slide = arguments.slide.unwrap_or(arguments.window);
    // First: what is advised below is then no finer than times are.
    let tick = arguments.tick();
    refuse_finer(arguments, tick)?;
    let spec = WindowSpec::sliding(arguments.window, slide)
        .map_err(|error| usage(error.to_string()))?
        .with_offset(arguments.offset);
    let names = calls.iter().map(|call| call.name.clone()).collect();
    let columns = ResultColumns::new(arguments.keys(), names, arguments.kind)
        .map_err(|error| usage(error.to_string()))?;
    let mut plan = read_plan(arguments, &calls)?;
    refuse_overwriting(arguments)?;
    if arguments.state.is_some()
        && arguments.format == Some(OutputFormat::Text(ResultFormat::Table))
    {
        return Err(usage(
            "--format table cannot be gone on with; with --state say csv, jsonl or log".to_owned(),
        ));
    }
    let inputs = arguments.files.iter().map(|path| match path.as_os_str() == OsStr::new("-") {
        true => Input::Stdin,
        false => Input::File(path.clone()),
    });
    types::recall(arguments, &mut plan)?;
    let opened = open_inputs(arguments, &plan, inputs.collect(), &signals)?;
    let places = types::places(&plan.inputs, &opened.kinds);
    let schema = opened.schema;
    let place =
        |name: &str| places.iter().find(|(known, _)| known == name).map(|(_, place)| *place);
    let job = Job { arguments, signals, spec, tick, opened, columns };
    with_aggregates(&calls, schema, place, job).map_err(|error| usage(error.to_string()))?
}

/// Opens the inputs, which takes as long as their first records do to come. Once a signal has, no
/// more are waited for.
fn open_inputs(
    arguments: &Agg,
    plan: &ReadPlan,
    inputs: Vec<Input>,
    signals: &AtomicUsize,
) -> Result<Opened, Failure> {
    match (
        open_until(plan, inputs, &|| signal(signals).is_some(), teller(arguments)),
        signal(signals),
    ) {
        (Err(error @ OpenError::Stopped), Some(signal)) => {
            super::say(&error.to_string());
            Err(Failure::Signal(signal))
        }
        (opened, _) => Ok(opened?),
    }
}

/// Refuses windows whose bounds no time can hit: all that came for them would be late.
fn refuse_finer(arguments: &Agg, tick: Span) -> Result<(), Failure> {
    let spans = [("--window", Some(arguments.window)), ("--slide", arguments.slide)];
    let offset = ("--offset", arguments.offset);
    let given = spans.into_iter().filter_map(|(flag, span)| Some((flag, span?.as_nanos())));
    match given.chain([offset]).find(|(_, nanos)| nanos % tick.as_nanos() != 0) {
        Some((flag, _)) => Err(Failure::Usage(format!(
            "{flag} is no multiple of {tick}, which is how fine times are taken to be; take one \
             that is, or say --tick 1us, or another, if times are finer"
        ))),
        None => Ok(()),
    }
}

/// Who tells a person of what the inputs have to say. Of how times are to be read it is told once,
/// and of how fine they are not where that was said.
fn teller(arguments: &Agg) -> impl Fn(Notice) + Send + Sync + 'static {
    let told = AtomicBool::new(false);
    let is_tick_said = arguments.tick.is_some();
    move |notice| {
        let is_once = match notice {
            Notice::FinerThanMillis { .. } if is_tick_said => return,
            Notice::FinerThanMillis { .. } | Notice::OtherUnit { .. } => true,
            _ => false,
        };
        if !is_once || !told.swap(true, Ordering::Relaxed) {
            tell(notice);
        }
    }
}

fn tell(notice: Notice) {
    match notice {
        Notice::OtherUnit { name, unit, time, likely, likely_time } => super::say(&format!(
            "warning: the first time of {name} was taken as {time}, its number counting {unit}; \
             say --time-unit {likely} if it is {likely_time}"
        )),
        Notice::FinerThanMillis { name, time } => super::say(&format!(
            "warning: {name} has times finer than a millisecond, the first is {time}, and windows \
             close within their last one; say --tick 1us, or 1ns, for the finer resolution"
        )),
        Notice::Malformed(malformed) => super::say(&format!("malformed: {malformed}")),
        Notice::Replaced { name } => super::say(&format!(
            "{name} is another file now: the one before was read to its end, and this one is read \
             from its start"
        )),
        Notice::Cut { name, size, read, unfinished } => {
            let left_out = match unfinished {
                0 => String::new(),
                bytes => format!("; its last {bytes}, of an unfinished line, are left out"),
            };
            super::say(&format!(
                "{name} was cut to {size} bytes, after {read} were read{left_out}; it is read \
                 again from its start"
            ));
        }
        Notice::Gone { name, problem } => super::say(&format!(
            "{name} cannot be opened again ({problem}); the file that it was is followed until \
             there is another of that name"
        )),
        other => super::watch::tell(other),
    }
}

fn read_plan(arguments: &Agg, calls: &[AggregateCall]) -> Result<ReadPlan, Failure> {
    let format = match arguments.input_format {
        Some(format) => format,
        None => format_of(arguments)?,
    };
    refuse_flags_of_csv(arguments, format)?;
    refuse_two_types(arguments)?;
    let inputs = types::inputs_of(calls);
    refuse_type_of_key(arguments, &inputs)?;
    let header = match arguments.no_header {
        true => HeaderMode::Names(arguments.column_names()),
        false => HeaderMode::FirstRecord,
    };
    Ok(ReadPlan {
        format,
        delimiter: arguments.delimiter,
        header,
        nulls: arguments.null_texts(),
        time: arguments.time.clone(),
        time_unit: arguments.time_unit,
        keys: arguments.keys(),
        inputs,
        types: arguments.types.clone(),
        recalled: Vec::new(),
        filter: arguments.filter.clone(),
        strict: arguments.strict,
        keep_text: arguments.late.is_some(),
        follow: match (arguments.follow, &arguments.state) {
            (false, _) => Follow::Never,
            (true, None) => Follow::Name,
            (true, Some(_)) => Follow::File,
        },
    })
}

/// Refuses what would be ignored where the input is JSON Lines.
fn refuse_flags_of_csv(arguments: &Agg, format: InputFormat) -> Result<(), Failure> {
    if format != InputFormat::JsonLines {
        return Ok(());
    }
    let flags = [
        ("--delimiter", arguments.delimiter != Delimiter::COMMA, ""),
        ("--no-header", arguments.no_header, ", whose fields carry their names"),
        ("--null", !arguments.null_texts().is_empty(), ", which say null themselves"),
    ];
    match flags.into_iter().find(|(_, given, _)| *given) {
        Some((flag, _, why)) => Err(Failure::Usage(format!(
            "{flag} is for CSV, and the input is JSON Lines{why}; leave it away, or say \
             --input-format csv"
        ))),
        None => Ok(()),
    }
}

/// Refuses two types for one column.
fn refuse_two_types(arguments: &Agg) -> Result<(), Failure> {
    for (nth, (column, declared)) in arguments.types.iter().enumerate() {
        let mut before = arguments.types[..nth].iter();
        if let Some((_, other)) = before.find(|(name, other)| name == column && other != declared) {
            return Err(Failure::Usage(format!(
                "--type {column}={} and --type {column}={} contradict each other; say one",
                type_name(*other),
                type_name(*declared)
            )));
        }
    }
    Ok(())
}

/// Refuses a type of numbers for a column that is a key and nothing else: keys are compared as
/// they are written.
fn refuse_type_of_key(arguments: &Agg, inputs: &[InputColumn]) -> Result<(), Failure> {
    let keys = arguments.keys();
    let is_filtered = |name: &str| arguments.filter.as_ref().is_some_and(|it| it.contains(name));
    let is_key_only = |name: &String| {
        keys.contains(name) && !inputs.iter().any(|input| input.name == *name) && !is_filtered(name)
    };
    let of_numbers = |declared: &DeclaredType| matches!(declared, DeclaredType::Number(_));
    let mut types = arguments.types.iter();
    match types.find(|(name, declared)| of_numbers(declared) && is_key_only(name)) {
        Some((name, declared)) => Err(Failure::Usage(format!(
            "--type {name}={}: '{name}' is a key, and keys are compared as they are written, 7, 07 \
             and 7.0 apart; leave the type away",
            type_name(*declared)
        ))),
        None => Ok(()),
    }
}

/// The format that the files' endings say; all must say the same.
fn format_of(arguments: &Agg) -> Result<InputFormat, Failure> {
    let json = arguments.files.iter().filter(|path| is_json_lines(path)).count();
    match json {
        0 => Ok(InputFormat::Csv),
        all if all == arguments.files.len() => Ok(InputFormat::JsonLines),
        _ => Err(Failure::Usage(
            "some files are named as JSON Lines are (.jsonl, .ndjson, .json) and some are not; \
             say --input-format csv or jsonl"
                .to_owned(),
        )),
    }
}

/// Signals that come within so long of the first are the same request: `timeout`, for one, sends
/// its own to the process and to the group that the process is in.
const SAME_REQUEST: Duration = Duration::from_millis(250);

/// The signals that stop the command: the number of the first one, zero if none came. A thread of
/// its own waits for them.
fn signals(arguments: &Agg) -> Result<Arc<AtomicUsize>, Failure> {
    let failed = |error| Failure::Io(format!("signals cannot be watched: {error}"));
    // Beyond the largest file that is allowed, writing then fails and says so.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map_err(failed)?;
    let signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let came = Arc::new(AtomicUsize::new(0));
    let lost = match arguments.state {
        Some(_) => "the same command goes on",
        None => "what is open is lost",
    };
    let watch = {
        let came = Arc::clone(&came);
        move || await_signals(signals, &came, lost)
    };
    let thread = std::thread::Builder::new().name("tidewheel-signals".to_owned());
    thread.spawn(watch).map_err(failed)?;
    Ok(came)
}

/// Notes the first signal. A later one ends the process at once: it was asked twice.
fn await_signals(mut signals: Signals, came: &AtomicUsize, lost: &str) {
    let mut first: Option<Instant> = None;
    for signal in signals.forever() {
        match first {
            None => {
                first = Some(Instant::now());
                came.store(signal.unsigned_abs() as usize, Ordering::Relaxed);
            }
            Some(first) if first.elapsed() < SAME_REQUEST => {}
            Some(_) => {
                super::say(&format!("a second signal: ended at once, and {lost}"));
                signal_hook::low_level::exit(128 + signal);
            }
        }
    }
}

/// The signal that came, if one did.
fn signal(signals: &AtomicUsize) -> Option<i32> {
    i32::try_from(signals.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
}

/// All that a run needs but for the aggregates.
struct Job<'a> {
    arguments: &'a Agg,
    signals: Arc<AtomicUsize>,
    spec: WindowSpec,
    tick: Span,
    opened: Opened,
    columns: ResultColumns,
}

impl Job<'_> {
    /// What is kept, and what that depends on beside what the engine knows itself.
    fn state(&self) -> Option<State> {
        let Self { arguments, opened, .. } = self;
        let mut state = State::in_directory(arguments.state.as_ref()?);
        if let Some(bytes) = arguments.snapshot_every {
            state = state.snapshot_every(bytes);
        }
        if let Some(durability) = arguments.durability {
            state = state.durability(durability);
        }
        if let Some(keep) = arguments.keep {
            state = state.keep(keep);
        }
        let none = || types::NONE.to_owned();
        let listed = |texts: Vec<String>| match texts.is_empty() {
            true => none(),
            false => texts.join(", "),
        };
        let file = |to: &Destination| {
            let path = to.file().unwrap_or(Path::new("-"));
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
        };
        let keys = match arguments.keys() {
            keys if keys.is_empty() => types::NO_KEYS.to_owned(),
            keys => keys.join(", "),
        };
        let header = opened.header.as_deref().filter(|_| arguments.late.is_some());
        let header = String::from_utf8_lossy(header.unwrap_or_default()).into_owned();
        let lines = [
            ("time column", arguments.time.clone()),
            ("time unit", arguments.time_unit.map_or_else(none, |unit| unit.to_string())),
            (types::KEYS, keys),
            (types::AGGREGATES, arguments.agg.clone()),
            (types::TYPES, types::described(&opened.kinds)),
            ("filter", arguments.filter.clone().unwrap_or_else(none)),
            ("delimiter", arguments.delimiter.to_string()),
            ("names of columns", listed(arguments.column_names())),
            ("text for null", listed(arguments.null_texts())),
            (types::FORMAT, arguments.output_format().name().to_owned()),
            (types::REASONS, if arguments.kind { types::THERE } else { "not there" }.to_owned()),
            (types::OUTPUT, file(&arguments.output)),
            (types::LATE, arguments.late.as_ref().map_or_else(none, file)),
            (types::LATE_HEADER, header),
            // The state's own delivery stays exactly-once: when a result is out, and not only
            // handed over, is known here, and so here it is confirmed.
            (types::DELIVERY, arguments.deliver.to_string()),
        ];
        Some(lines.into_iter().fold(state, |state, (what, value)| state.described(what, value)))
    }
}

impl AggregatesVisitor for Job<'_> {
    type Output = Result<(), Failure>;

    fn visit<const WORDS: usize>(self, aggregates: ColumnAggregates<WORDS>) -> Self::Output {
        let state = self.state();
        let Self { arguments, signals, spec, tick, opened, columns } = self;
        let mut stream = Stream::with_schema(opened.schema, Unfiltered, opened.sources)
            .out_of_order(arguments.out_of_order)
            .tick(tick)
            .on_dead_letter(tell_dead_letter());
        if let Some(idle) = arguments.idle {
            stream = stream.idle_after(idle);
        }
        if arguments.idle_advance {
            stream = stream.idle_advance();
        }
        if let Some(bound) = arguments.max_jump {
            stream = stream.jump_rule(JumpRule::with_bound(bound));
        }
        let mut pipeline = stream.window(spec).aggregate(aggregates).into_results();
        if arguments.late.is_some() {
            pipeline = pipeline.with_late();
        }
        let mut pipeline = pipeline.runtime(arguments.runtime).idle_policy(arguments.idle_policy);
        if let Some(shards) = arguments.shards {
            pipeline = pipeline.shards(shards);
        }
        if let Some(keys) = arguments.live_keys {
            pipeline = pipeline.live_keys_max(keys);
        }
        if let Some(state) = state {
            pipeline = pipeline.state(state);
        }
        let (engine, results) = pipeline.open()?;
        let before = engine.metrics();
        if before.records_in() > 0 {
            let records = super::counted(before.records_in(), "record");
            super::say(&format!("going on behind {records}"));
        }
        let outputs = match (arguments.is_result_log(), &arguments.output) {
            (true, Destination::File(folder)) => {
                Out::Log(Box::new(ResultLog::open(folder, &results)?))
            }
            _ => {
                let kept = engine.state().map(|directory| {
                    Kept::open(Arc::clone(directory), engine.metrics().shards.len())
                });
                let (kept, header) = (kept.transpose()?, opened.header.as_deref());
                Out::Rows(Box::new(Outputs::open(arguments, columns, header, kept)?))
            }
        };
        let watch = Watch::new(arguments, before);
        let running = engine.start()?;
        follow(running, results, outputs, (watch, &signals))
    }
}

/// Tells of the first few dead letters.
fn tell_dead_letter() -> impl Fn(DeadLetter) + Send + Sync + 'static {
    let told = AtomicUsize::new(0);
    move |letter| {
        if told.fetch_add(1, Ordering::Relaxed) >= tidewheel::limits::MALFORMED_REPORTED {
            return;
        }
        match letter {
            DeadLetter::FarFuture { source, record, time } => super::say(&format!(
                "{source}: record {record} (malformed ones not counted) is of {time}, far ahead \
                 of all others, and no other confirmed that time (--max-jump); it was left out"
            )),
            DeadLetter::TooLarge { source, record, bytes } => super::say(&format!(
                "{source}: record {record} (malformed ones not counted) takes {bytes} bytes, more \
                 than fits; it was left out"
            )),
            _ => {}
        }
    }
}

/// Writes results until the engine ends, while another thread looks on.
fn follow<const WORDS: usize>(
    running: Running,
    results: Results<Columns, ColumnAggregates<WORDS>>,
    mut outputs: Out,
    (watch, signals): (Watch, &AtomicUsize),
) -> Result<(), Failure> {
    let cores = tidewheel::cpu::Topology::detect().cpu_count();
    let shards = running.metrics().shards.len();
    let of_shards = super::counted(shards as u64, "shard");
    watch.say(&format!("{}, {of_shards}", running.runtime()));
    if shards > cores {
        let of_cores = super::counted(cores as u64, "core");
        watch.say(&format!("{of_shards} share {of_cores}; more cores would be used"));
    }
    let (writing, names) = (Writing::default(), outputs.names());
    let (written, watch, stopped) = std::thread::scope(|scope| {
        let look_on = || look_on(&running, watch, (&writing, &names), signals);
        let watcher = std::thread::Builder::new().name("tidewheel-watch".to_owned());
        let watcher = watcher.spawn_scoped(scope, look_on).map_err(|error| {
            Failure::Io(format!("the thread that watches the run cannot be started: {error}"))
        })?;
        let written = {
            // However the writing ends, the watching does too.
            let _over = Over(&writing, watcher.thread().clone());
            write_all(results, &mut outputs, &writing)
        };
        let (watch, stopped) = watcher.join().map_err(|_| {
            Failure::Fault("the thread that watches the run has panicked".to_owned())
        })?;
        Ok::<_, Failure>((written, watch, stopped))
    })?;
    written?;
    let ended = running.join();
    // What came out before an error did come out.
    let brought_out = match &ended {
        Ok(_) => outputs.finish(),
        Err(_) => outputs.flush(),
    };
    let metrics = ended?;
    brought_out?;
    watch.finish(&metrics, stopped);
    if !metrics.ledger().is_balanced() {
        return Err(Failure::Unbalanced);
    }
    match signal(signals) {
        Some(signal) if stopped => Err(Failure::Signal(signal)),
        _ => Ok(()),
    }
}

/// Says that the writing is over once it goes, and wakes who looks on.
struct Over<'a>(&'a Writing, Thread);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.end();
        self.1.unpark();
    }
}

/// Writes results until there are no more.
fn write_all<const WORDS: usize>(
    mut results: Results<Columns, ColumnAggregates<WORDS>>,
    outputs: &mut Out,
    writing: &Writing,
) -> Result<(), Failure> {
    loop {
        let outputs_now = outputs.take(&mut results, || writing.note())?;
        writing.note();
        if outputs_now == 0 {
            if results.is_ended() {
                return Ok(());
            }
            outputs.flush()?;
            writing.note();
            results.wait(LISTEN);
        }
    }
}

/// Watches for a person and for signals until the writing is over. Says whether a signal stopped
/// the run. It is a thread of its own because whoever writes may be held up for as long as nobody
/// reads what is written.
fn look_on(
    running: &Running,
    mut watch: Watch,
    (writing, names): (&Writing, &str),
    signals: &AtomicUsize,
) -> (Watch, bool) {
    let mut stopped = None;
    while !writing.is_over() {
        std::thread::park_timeout(LISTEN);
        let held_up = writing.held_up(Instant::now());
        if let Some(signal) = signal(signals) {
            let since = *stopped.get_or_insert_with(|| {
                running.stopper().stop();
                Instant::now()
            });
            if since.elapsed().min(held_up) >= PATIENCE && !writing.is_over() {
                watch.say(&format!(
                    "interrupted: {names} took nothing for {} s, so what was still to be \
                     written is not",
                    PATIENCE.as_secs()
                ));
                // Whoever writes cannot be called back, and holds what an orderly end would need.
                signal_hook::low_level::exit(128 + signal);
            }
        }
        watch.look(|| running.metrics(), held_up);
    }
    (watch, stopped.is_some())
}
