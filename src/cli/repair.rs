//! `tidewheel log repair`: what is damaged is put aside, so that a run can go on with what is not.
//! Nothing is deleted: what is moved lies in a folder of its own, and a segment that is cut lies
//! there as it was.

use super::exit::Failure;
use super::log::{Looked, Outcome, failed};
use super::say;
use serde_json::json;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tidewheel::log::{
    EntrySequence, Guarantee, LogMend, LogPosition, SegmentName, WriterStart, begin_empty,
    look_at_history, look_how_to_mend,
};
use tidewheel::record::ShardIndex;
use tidewheel::sink::is_result_log;
use tidewheel::state::StateError;

/// What one shard needs.
struct Mend {
    shard: ShardIndex,
    /// What is wrong with its snapshot, which is to be put aside then.
    snapshot: Option<String>,
    log: Option<LogMend>,
    /// The run that wrote the snapshot.
    epoch: u64,
    /// Nothing that it could go on with would be left of it, and something of it is out.
    hopeless: bool,
    /// What is to be put aside of what only history needs, once the rest is whole.
    history: Option<HistoryMend>,
}

/// What a shard keeps for history alone and can not be read, and what lies before it.
pub(super) struct HistoryMend {
    /// What is wrong with it.
    pub(super) problems: Vec<String>,
    /// Files of snapshots that are to be put aside, oldest first.
    snapshots: Vec<String>,
    /// Segments that are, oldest first.
    segments: Vec<SegmentName>,
    /// The first entry that history reaches back to then.
    begins: EntrySequence,
}

impl Mend {
    fn is_needed(&self) -> bool {
        self.is_needed_by_a_run() || self.history.is_some()
    }

    fn is_needed_by_a_run(&self) -> bool {
        self.snapshot.is_some() || self.log.is_some()
    }

    /// Whether entries may be lost; where they were before a snapshot, they were not needed.
    fn loses_entries(&self) -> bool {
        let loses =
            |log: &LogMend| log.cut.is_some() || log.anew.is_some() || log.lost_before.is_some();
        self.log.as_ref().is_some_and(loses)
    }
}

impl Looked<'_> {
    /// Results that are put aside never come again.
    fn refuse_results(&self) -> Outcome {
        let folder = self.directory.folder();
        match is_result_log(folder)? {
            false => Ok(()),
            true => Err(Failure::Usage(format!(
                "{}: is a result log, and what is cut off it would be missing for good; put it \
                 back from a copy, or bring out what is kept of the state's log with tidewheel \
                 replay",
                folder.display()
            ))),
        }
    }

    /// Puts aside what is damaged, or says what would be put aside.
    pub(super) fn repair(mut self, dry_run: bool) -> Outcome {
        self.refuse_results()?;
        let mends = self.mends()?;
        let hopeless: Vec<_> = mends.iter().filter(|mend| mend.hopeless).collect();
        for mend in &hopeless {
            self.tell_hopeless(mend)?;
        }
        if !hopeless.is_empty() {
            self.flush()?;
            return Err(Failure::Corrupted(format!(
                "{}: cannot be mended, and nothing was changed: what the shard held is lost; begin \
                 anew with another --state and --output, which reads the sources from their start",
                self.directory.folder().display()
            )));
        }
        let mut aside = Aside::new(self.directory.folder(), dry_run);
        for mend in &mends {
            self.mend(mend, &mut aside)?;
        }
        if !dry_run && mends.iter().any(Mend::is_needed_by_a_run) {
            // Where what a run needs was damaged, history could not be looked at before.
            for mend in self.mends()?.iter().filter(|mend| mend.history.is_some()) {
                self.mend(mend, &mut aside)?;
            }
        }
        if mends.iter().any(Mend::loses_entries) {
            self.tell_next()?;
        }
        self.flush()?;
        match dry_run || !self.mends()?.iter().any(Mend::is_needed) {
            true => Ok(()),
            false => Err(Failure::Corrupted(format!(
                "{}: is still not as it was written; look at it with log verify",
                self.directory.folder().display()
            ))),
        }
    }

    /// What each shard that is asked for needs; nothing is changed.
    fn mends(&self) -> Result<Vec<Mend>, Failure> {
        // What is in the output cannot be found out again.
        let output = self.directory.output_progress()?;
        let of_shard = |counts: &[u64], shard: ShardIndex| counts.get(shard.index()).copied();
        let is_out = |shard| match &output {
            None => true,
            Some(out) => {
                [&out.results, &out.late].iter().any(|all| of_shard(all, shard) != Some(0))
            }
        };
        let mut mends = Vec::new();
        for shard in self.shards()? {
            let (snapshot, needed, epoch) = match self.directory.snapshot(shard) {
                Ok(Some(snapshot)) => (None, snapshot.next, snapshot.epoch),
                Ok(None) => (None, EntrySequence(0), 0),
                Err(error @ StateError::Damaged { .. }) => {
                    (Some(error.to_string()), EntrySequence(0), 0)
                }
                Err(error) => return Err(error.into()),
            };
            let told = (shard, self.directory.identity());
            let log = look_how_to_mend(&self.files, told, needed).map_err(failed)?;
            let is_empty = match &log {
                Some(mend) => mend.next.0 == 0,
                None => snapshot.is_some() && self.is_empty(shard)?,
            };
            let hopeless = is_empty && is_out(shard);
            let history = match snapshot.is_none() && log.is_none() {
                true => self.history(shard)?,
                false => None,
            };
            mends.push(Mend { shard, snapshot, log, epoch, hopeless, history });
        }
        Ok(mends)
    }

    /// What is to be put aside of a shard's history, of which all that a run needs is whole; `None`
    /// where history is, too.
    pub(super) fn history(&self, shard: ShardIndex) -> Result<Option<HistoryMend>, Failure> {
        let Some(in_force) = self.directory.snapshot(shard)? else { return Ok(None) };
        let needed = in_force.next;
        let mut kept = self.directory.kept_snapshots(shard)?;
        kept.retain(|next| *next <= needed);
        let (mut problems, mut whole) = (Vec::new(), Vec::new());
        for next in &kept {
            match self.directory.kept_snapshot(shard, *next) {
                Ok(_) => whole.push(*next),
                Err(error @ StateError::DamagedHistory { .. }) => problems.push(error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        let told = (shard, self.directory.identity());
        let log = look_at_history(&self.files, told, &whole, needed).map_err(failed)?;
        problems.extend(log.problem);
        if problems.is_empty() {
            return Ok(None);
        }
        kept.retain(|next| *next < log.begins || !whole.contains(next));
        let file = |next: &EntrySequence| self.directory.kept_snapshot_file(shard, *next);
        let snapshots = kept.iter().map(file).collect();
        Ok(Some(HistoryMend { problems, snapshots, segments: log.before, begins: log.begins }))
    }

    /// Whether a shard has no log.
    fn is_empty(&self, shard: ShardIndex) -> Result<bool, Failure> {
        use tidewheel::log::Backing;
        let folder = self.directory.folder();
        let names = self.files.list().map_err(|error| io_failure(folder, "list", &error))?;
        Ok(!names.iter().any(|name| name.shard == shard))
    }

    fn tell_hopeless(&mut self, mend: &Mend) -> Outcome {
        let problem = mend.log.as_ref().map(|log| log.problem.clone());
        let problem = mend.snapshot.clone().or(problem).unwrap_or_default();
        say(&problem);
        self.write(
            || format!("shard {}: CANNOT BE MENDED", mend.shard.0),
            || json!({"shard": mend.shard.0, "mended": false, "problem": problem}),
        )
    }

    /// Mends one shard. Later segments go first, so that what is left has no gap whenever it ends.
    fn mend(&mut self, mend: &Mend, aside: &mut Aside) -> Outcome {
        let shard = mend.shard;
        if !mend.is_needed() {
            return self.write(
                || format!("shard {}: whole", shard.0),
                || json!({"shard": shard.0, "whole": true}),
            );
        }
        if let Some(problem) = &mend.snapshot {
            say(problem);
        }
        if let Some(log) = &mend.log {
            say(&log.problem);
            for name in log.aside.iter().rev() {
                let to = aside.put(&name.to_string())?;
                self.tell_moved(shard, &name.to_string(), &to, aside.dry_run)?;
            }
            if let Some(cut) = log.cut {
                let to = aside.cut(cut)?;
                self.tell_cut(cut, &to, aside.dry_run)?;
            }
            if let Some(name) = log.anew {
                self.begin_anew(name, mend, aside.dry_run)?;
            }
        }
        if mend.snapshot.is_some() {
            for name in self.directory.snapshot_files(shard)? {
                let to = aside.put(&name)?;
                self.tell_moved(shard, &name, &to, aside.dry_run)?;
            }
        }
        if let Some(history) = &mend.history {
            self.mend_history(shard, history, aside)?;
        }
        match &mend.log {
            Some(log) if mend.loses_entries() => self.tell_lost(shard, log),
            _ => Ok(()),
        }
    }

    /// Puts aside what of history can not be read and what lies before it, the oldest first: a
    /// repair that ends in between is gone on with by the next one.
    fn mend_history(
        &mut self,
        shard: ShardIndex,
        history: &HistoryMend,
        aside: &mut Aside,
    ) -> Outcome {
        history.problems.iter().for_each(|problem| say(problem));
        let segments = history.segments.iter().map(ToString::to_string);
        for name in segments.chain(history.snapshots.iter().cloned()) {
            let to = aside.put(&name)?;
            self.tell_moved(shard, &name, &to, aside.dry_run)?;
        }
        let begins = history.begins.0;
        self.write(
            || match begins {
                0 => format!("shard {}: history reaches back to the log's start", shard.0),
                _ => format!(
                    "shard {}: history reaches back to entry {begins}, and no run needs more",
                    shard.0
                ),
            },
            || json!({"shard": shard.0, "history_begins": begins, "dry_run": aside.dry_run}),
        )
    }

    /// Makes the segment with which the log goes on behind the snapshot.
    fn begin_anew(&mut self, segment: SegmentName, mend: &Mend, dry_run: bool) -> Outcome {
        let Some(LogMend { next, .. }) = mend.log else { return Ok(()) };
        let (identity, guarantee) = (self.directory.identity(), Guarantee::Process);
        let (epoch, segment_bytes) = (mend.epoch, self.directory.segment_bytes());
        let start = WriterStart { segment, next, identity, guarantee, epoch, segment_bytes };
        if !dry_run {
            begin_empty(&*self.files, &start).map_err(failed)?;
        }
        let verb = if dry_run { "would make" } else { "made" };
        self.write(
            || format!("shard {}: {verb} {segment}, empty, behind the snapshot", mend.shard.0),
            || {
                json!({"shard": mend.shard.0, "made": segment.to_string(), "dry_run": dry_run,
                    "first_entry": next.0})
            },
        )
    }

    fn tell_moved(&mut self, shard: ShardIndex, name: &str, to: &str, dry_run: bool) -> Outcome {
        let verb = if dry_run { "would move" } else { "moved" };
        self.write(
            || format!("shard {}: {verb} {name} to {to}", shard.0),
            || json!({"shard": shard.0, "moved": name, "to": to, "dry_run": dry_run}),
        )
    }

    fn tell_cut(&mut self, cut: LogPosition, to: &str, dry_run: bool) -> Outcome {
        let verb = if dry_run { "would cut" } else { "cut" };
        let LogPosition { segment, offset } = cut;
        let shard = segment.shard.0;
        self.write(
            || format!("shard {shard}: {verb} {segment} at byte {offset}; as it was: {to}"),
            || {
                json!({"shard": shard, "cut": segment.to_string(), "offset": offset, "to": to,
                    "dry_run": dry_run})
            },
        )
    }

    fn tell_lost(&mut self, shard: ShardIndex, log: &LogMend) -> Outcome {
        let (from, before) = (log.next.0, log.lost_before.map(|before| before.0));
        self.write(
            || match before {
                Some(before) if before == from + 1 => {
                    format!("shard {}: lost: entry {from}, and what came behind it", shard.0)
                }
                Some(before) => {
                    let last = before - 1;
                    format!("shard {}: lost: entries {from} to {last}, as far as is known", shard.0)
                }
                None => format!("shard {}: lost: entries from {from} on, if any", shard.0),
            },
            || json!({"shard": shard.0, "next": from, "lost_before": before}),
        )
    }

    /// Says what becomes of what was lost.
    fn tell_next(&mut self) -> Outcome {
        let next = "the next run reads again from its sources what is lost; where more results are \
                    in its output already than come out of what is left, it refuses with exit 4: \
                    begin anew then, with another --state and --output";
        self.write(|| next.to_owned(), || json!({"next_run": next}))
    }
}

/// Where things are put aside: a folder that is made when there is something to put there.
struct Aside {
    folder: PathBuf,
    to: Option<PathBuf>,
    dry_run: bool,
}

impl Aside {
    fn new(folder: &Path, dry_run: bool) -> Self {
        Self { folder: folder.to_owned(), to: None, dry_run }
    }

    /// The folder, and its name.
    fn ready(&mut self) -> Result<(PathBuf, String), Failure> {
        let named = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
        if let Some(to) = &self.to {
            return Ok((to.clone(), named(to)));
        }
        let mut paths = (1_u64..).map(|n| self.folder.join(format!("damaged-{n}")));
        let to = paths.find(|path| !path.exists()).unwrap_or_default();
        if !self.dry_run {
            fs::create_dir(&to).map_err(|error| io_failure(&to, "make the folder", &error))?;
        }
        self.to = Some(to.clone());
        let name = named(&to);
        Ok((to, name))
    }

    /// Moves a file there. Says where it lies then, within the state directory.
    fn put(&mut self, name: &str) -> Result<String, Failure> {
        let (to, told) = self.ready()?;
        if !self.dry_run {
            let from = self.folder.join(name);
            let moved = fs::rename(&from, to.join(name));
            moved.map_err(|error| io_failure(&from, "move aside", &error))?;
            self.sync(&to)?;
        }
        Ok(format!("{told}/{name}"))
    }

    /// Keeps what a segment holds before a place, and puts it there as it is. At no time is it
    /// missing here.
    fn cut(&mut self, cut: LogPosition) -> Result<String, Failure> {
        let (to, told) = self.ready()?;
        let name = cut.segment.to_string();
        if !self.dry_run {
            let from = self.folder.join(&name);
            let written = || -> io::Result<()> {
                let copy = to.join(&name);
                if fs::hard_link(&from, &copy).is_err() {
                    // Not every file system has them.
                    fs::copy(&from, &copy)?;
                    File::open(&copy)?.sync_all()?;
                }
                let new = self.folder.join(format!("{name}.new"));
                let mut old = File::open(&from)?;
                let mut file = File::create(&new)?;
                io::copy(&mut io::Read::take(&mut old, cut.offset), &mut file)?;
                // Zeros: nothing was ever written there.
                file.set_len(old.metadata()?.len())?;
                file.sync_all()?;
                fs::rename(&new, &from)
            };
            written().map_err(|error| io_failure(&from, "cut", &error))?;
            self.sync(&to)?;
        }
        Ok(format!("{told}/{name}"))
    }

    fn sync(&self, to: &Path) -> Result<(), Failure> {
        for folder in [to, &self.folder] {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| io_failure(folder, "sync", &error))?;
        }
        Ok(())
    }
}

fn io_failure(path: &Path, action: &str, error: &io::Error) -> Failure {
    Failure::Io(format!("{}: can not {action}: {error}", path.display()))
}
