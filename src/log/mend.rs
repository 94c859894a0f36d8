//! What of a damaged log can be read still, and what has to be put aside for that. Nothing is
//! changed here.

use super::backing::{Backing, Segment};
use super::error::{LogError, Refusal};
use super::reader::LogReader;
use super::segment::{HeaderFault, LogIdentity, SEGMENT_HEADER_WORDS, SegmentHeader};
use super::{EntrySequence, LogPosition, SegmentName};
use crate::record::ShardIndex;
use std::sync::Arc;

/// How a shard's log becomes one that can be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogMend {
    /// What is wrong with it, in words.
    pub problem: String,
    /// Segments that are to be put aside whole, oldest first.
    pub aside: Vec<SegmentName>,
    /// A segment that is to be cut off there; what it holds before is good.
    pub cut: Option<LogPosition>,
    /// An empty segment that is to be made, so that the log goes on with `next`: the snapshot
    /// stands for all that was before.
    pub anew: Option<SegmentName>,
    /// The entry that comes next then: all from here on are lost.
    pub next: EntrySequence,
    /// The entry behind the last of those that are lost, as far as can be told.
    pub lost_before: Option<EntrySequence>,
}

/// What of a shard's log can be taken again that a run does not need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHistory {
    /// What is wrong with it, in words.
    pub problem: Option<String>,
    /// The first entry from which it can be taken again.
    pub begins: EntrySequence,
    /// The segments that hold only entries before, oldest first.
    pub before: Vec<SegmentName>,
}

/// What stands at the start of a segment, if it is one of this log.
struct Found {
    name: SegmentName,
    header: Option<SegmentHeader>,
    foreign: bool,
}

/// Looks how a shard's log, of which the entries from `needed` on are needed, can be mended;
/// `None` where it is whole.
///
/// # Errors
/// When the system says no, or the log is of a later version: then it is not damaged.
pub fn look_how_to_mend<B: Backing>(
    backing: &Arc<B>,
    (shard, identity): (ShardIndex, LogIdentity),
    needed: EntrySequence,
) -> Result<Option<LogMend>, LogError> {
    let opened = LogReader::open(Arc::clone(backing), shard, Some(identity));
    let problem = match opened.and_then(|mut reader| read_through(&mut reader, needed)) {
        Ok(()) => return Ok(None),
        Err(error) if is_damage(&error) => error.to_string(),
        Err(error) => return Err(error),
    };
    let all = look_at_all(&**backing, (shard, identity))?;
    let mut cut = None;
    let mut next = EntrySequence(0);
    let mut kept: Vec<SegmentName> = Vec::new();
    if let Some(run) = run_with(&all, needed) {
        kept.extend(run.iter().map(|found| found.name));
        let told = (shard, Some(identity));
        let mut reader = LogReader::over(Arc::clone(backing), told, kept.clone());
        match read_through(&mut reader, needed) {
            Err(LogError::Damaged { position, .. }) => {
                next = reader.sequence();
                kept.retain(|name| *name <= position.segment);
                let mut rest = LogReader::over(Arc::clone(backing), told, kept.clone());
                // Where later segments are all that is wrong, this one stays as it is.
                if position.offset == 0 || read_through(&mut rest, needed).is_err() {
                    kept.pop();
                    cut = (position.offset > 0).then_some(position);
                }
            }
            Err(error) if !is_damage(&error) => return Err(error),
            _ => next = reader.sequence(),
        }
    }
    let mut anew = None;
    if next < needed || kept.is_empty() && cut.is_none() {
        (cut, next) = (None, needed);
        kept.clear();
        let number = all.last().map_or(0, |found| found.name.number + 1);
        anew = (needed.0 > 0).then_some(SegmentName { shard, number });
    }
    let is_cut = |name| cut.is_some_and(|cut| cut.segment == name);
    let is_aside = |name: &SegmentName| !kept.contains(name) && !is_cut(*name);
    let aside = all.iter().map(|found| found.name).filter(is_aside).collect();
    let lost_before = last_known(backing, (shard, identity), &all)?.filter(|last| *last > next);
    Ok(Some(LogMend { problem, aside, cut, anew, next, lost_before }))
}

/// Looks from where on a shard's log can be taken again, that is whole from the entry `needed` on:
/// from its start, or from one of `bases`, in their order, before which snapshots stand that are
/// whole.
///
/// # Errors
/// When the system says no, or the log is of a later version.
pub fn look_at_history<B: Backing>(
    backing: &Arc<B>,
    (shard, identity): (ShardIndex, LogIdentity),
    bases: &[EntrySequence],
    needed: EntrySequence,
) -> Result<LogHistory, LogError> {
    let all = look_at_all(&**backing, (shard, identity))?;
    let mut problem = damaged_start(&**backing, &all)?;
    let oldest = all.iter().find_map(|found| found.header).map(|header| header.first());
    let reached = |base: &EntrySequence| *base < needed && oldest.is_some_and(|it| it <= *base);
    let start = EntrySequence(0);
    let bases = std::iter::once(start).chain(bases.iter().copied().filter(|base| *base > start));
    let mut begins = needed;
    for base in bases.filter(reached) {
        let opened = LogReader::open(Arc::clone(backing), shard, Some(identity));
        match opened.and_then(|mut reader| read_through(&mut reader, base)) {
            Ok(()) => {
                begins = base;
                break;
            }
            Err(error) if is_damage(&error) => {
                problem.get_or_insert(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    let holds = |found: &Found| found.header.is_some_and(|header| header.first() <= begins);
    let holder = all.iter().rposition(holds).unwrap_or(0);
    let before = all[..holder].iter().map(|found| found.name).collect();
    Ok(LogHistory { problem, begins, before })
}

/// What is wrong with segments before the first that has a header. Where nothing was ever written
/// there, a run ended before it had written one.
fn damaged_start<B: Backing>(backing: &B, all: &[Found]) -> Result<Option<String>, LogError> {
    for Found { name, .. } in all.iter().take_while(|found| found.header.is_none()) {
        let path = || backing.path_of(*name);
        let segment = backing.open(*name).map_err(LogError::io(path(), "open"))?;
        let mut words = [0_u64; SEGMENT_HEADER_WORDS];
        if segment.bytes() >= size_of_val(&words) as u64 {
            segment.read(0, &mut words).map_err(LogError::io(path(), "read the header of"))?;
        }
        if words.iter().any(|word| *word != 0) {
            let position = LogPosition { segment: *name, offset: 0 };
            let error = LogError::Damaged { path: path(), position, reason: Refusal::Header };
            return Ok(Some(error.to_string()));
        }
    }
    Ok(None)
}

/// Whether it is what can be mended, and not what stands in the way of looking.
fn is_damage(error: &LogError) -> bool {
    !matches!(error, LogError::Io { .. } | LogError::Version { .. })
}

fn read_through<B: Backing>(
    reader: &mut LogReader<B>,
    needed: EntrySequence,
) -> Result<(), LogError> {
    reader.pass_before(needed)?;
    while reader.read()?.is_some() {}
    Ok(())
}

fn look_at_all<B: Backing>(
    backing: &B,
    (shard, identity): (ShardIndex, LogIdentity),
) -> Result<Vec<Found>, LogError> {
    let path = backing.path_of(SegmentName { shard, number: 0 });
    let mut names = backing.list().map_err(LogError::io(path, "list the folder of"))?;
    names.retain(|name| name.shard == shard);
    names.sort();
    names.into_iter().map(|name| look_at(backing, name, identity)).collect()
}

fn look_at<B: Backing>(
    backing: &B,
    name: SegmentName,
    identity: LogIdentity,
) -> Result<Found, LogError> {
    let path = || backing.path_of(name);
    let segment = backing.open(name).map_err(LogError::io(path(), "open"))?;
    let mut words = [0; SEGMENT_HEADER_WORDS];
    if segment.bytes() >= size_of_val(&words) as u64 {
        segment.read(0, &mut words).map_err(LogError::io(path(), "read the header of"))?;
    }
    match SegmentHeader::parse(&words) {
        Err(HeaderFault::Version(found)) => {
            Err(LogError::Version { path: path(), found, known: SegmentHeader::VERSION })
        }
        header => {
            let header = header.ok().filter(|header| header.name() == name);
            let foreign = header.is_some_and(|header| header.identity() != identity);
            Ok(Found { name, header: header.filter(|_| !foreign), foreign })
        }
    }
}

/// The segments that follow on each other and of which one holds the entry `needed`, or would: the
/// last such, up to the next gap.
fn run_with(all: &[Found], needed: EntrySequence) -> Option<&[Found]> {
    let follows = |one: &Found, other: &Found| {
        one.name.next() == other.name && !one.foreign && !other.foreign
    };
    let first_of = |run: &[Found]| run.iter().find_map(|found| found.header).map(|it| it.first());
    let mut runs = all.chunk_by(follows).filter(|run| !run[0].foreign).rev();
    runs.find(|run| first_of(run).is_some_and(|first| first <= needed))
}

/// The entry behind the last that any segment holds, as far as its entries go.
fn last_known<B: Backing>(
    backing: &Arc<B>,
    told: (ShardIndex, LogIdentity),
    all: &[Found],
) -> Result<Option<EntrySequence>, LogError> {
    let Some(last) = all.iter().rev().find(|found| found.header.is_some()) else {
        return Ok(None);
    };
    let told = (told.0, Some(told.1));
    let mut reader = LogReader::over(Arc::clone(backing), told, vec![last.name]);
    loop {
        match reader.read() {
            Ok(Some(_)) => {}
            Err(error) if !is_damage(&error) => return Err(error),
            // What lies behind damage is not counted.
            Ok(None) | Err(_) => return Ok(Some(reader.sequence())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{IDENTITY, SHARD, frames, read_from, start, write_small};
    use super::super::{CrashingFiles, Guarantee, WriterStart, begin_empty};
    use super::*;
    use proptest::prelude::*;

    fn look(files: &CrashingFiles, needed: u64) -> Option<LogMend> {
        let files = Arc::new(files.clone());
        look_how_to_mend(&files, (SHARD, IDENTITY), EntrySequence(needed)).unwrap()
    }

    /// Does what is to be done, without keeping anything.
    fn apply(files: &CrashingFiles, mend: &LogMend) {
        for name in &mend.aside {
            files.remove(*name).unwrap();
        }
        if let Some(LogPosition { segment, offset }) = mend.cut {
            files.tamper(segment, |bytes| bytes[offset as usize..].fill(0));
        }
        if let Some(segment) = mend.anew {
            let start = start(segment.number, mend.next.0, Guarantee::Process);
            begin_empty(files, &WriterStart { segment, ..start }).unwrap();
        }
    }

    fn check(files: &CrashingFiles, needed: u64, all: &[Vec<u64>]) -> Option<LogMend> {
        let mend = look(files, needed)?;
        apply(files, &mend);
        assert_eq!(look(files, needed), None, "{mend:?}");
        if mend.next.0 > 0 {
            let (found, end) = read_from(&Arc::new(files.clone()), needed).unwrap();
            assert_eq!(end.next, mend.next);
            assert_eq!(found[..], all[needed as usize..mend.next.0 as usize]);
        }
        Some(mend)
    }

    #[test]
    fn a_segment_that_is_missing_or_anothers_ends_the_log_before_it() {
        for foreign in [false, true] {
            let files = CrashingFiles::new();
            let all = frames(120);
            let firsts = write_small(&files, &all, 30);
            let name = SegmentName { shard: SHARD, number: 2 };
            if foreign {
                let mut begun = Vec::new();
                let other = CrashingFiles::new();
                let start = WriterStart {
                    identity: LogIdentity(1),
                    ..start(2, firsts[2], Guarantee::Process)
                };
                begin_empty(&other, &start).unwrap();
                other.tamper(name, |bytes| begun.clone_from(bytes));
                files.tamper(name, |bytes| bytes[..64].copy_from_slice(&begun[..64]));
            } else {
                files.remove(name).unwrap();
            }
            let mend = check(&files, 0, &all).unwrap();
            assert_eq!((mend.next.0, mend.cut, mend.anew), (firsts[2], None, None));
            assert_eq!(mend.aside.len(), firsts.len() - 2 - usize::from(!foreign));
            assert_eq!(mend.lost_before, Some(EntrySequence(120)));
        }
    }

    #[test]
    fn what_is_missing_before_a_snapshot_costs_nothing_and_behind_it_all_of_the_log() {
        let all = frames(120);
        for (missing, needed, is_whole) in [(1, 100, true), (3, 100, false), (0, 20, false)] {
            let files = CrashingFiles::new();
            write_small(&files, &all, 30);
            files.remove(SegmentName { shard: SHARD, number: missing }).unwrap();
            let mend = check(&files, needed, &all);
            let begins = mend.map(|mend| (mend.next.0, mend.anew.is_some()));
            assert_eq!(begins, (!is_whole).then_some((needed, true)), "{missing} is missing");
        }
        // Without a snapshot, nothing is left of a log without its beginning.
        let files = CrashingFiles::new();
        write_small(&files, &all, 30);
        files.remove(SegmentName { shard: SHARD, number: 0 }).unwrap();
        let mend = check(&files, 0, &all).unwrap();
        assert_eq!((mend.next.0, mend.anew, mend.aside.len()), (0, None, 3));
    }

    proptest! {
        #[test]
        fn whatever_is_damaged_what_is_before_it_can_be_read_again(
            needed in 0_u64..120,
            number in 0_u64..4,
            damage in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        ) {
            let files = CrashingFiles::new();
            let all = frames(120);
            let firsts = write_small(&files, &all, 30);
            let name = SegmentName { shard: SHARD, number };
            files.tamper(name, |bytes| {
                for (at, change) in &damage {
                    let at = at.index(bytes.len());
                    bytes[at] ^= change;
                }
            });
            if let Some(mend) = check(&files, needed, &all) {
                let first = firsts[number as usize];
                let kept = if mend.anew.is_some() { needed } else { first.min(needed) };
                prop_assert!(mend.next.0 >= kept || needed == 0, "{mend:?}");
            }
        }
    }
}
