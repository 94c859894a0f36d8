//! Bringing back what an earlier run left: the state directory is opened, each shard's log is read
//! through once, and from that follows what each shard has taken and where each source goes on.

use super::OpenError;
use crate::frame::FrameKind;
use crate::log::{Guarantee, LogReader, MappedFiles, SegmentName, WriterStart};
use crate::record::ShardIndex;
use crate::shard::{IntakePlace, Journal, JournalParts};
use crate::state::{State, StateDirectory, StateError};
use std::sync::Arc;

/// What an engine with state begins with.
pub(super) struct Durable {
    pub(super) directory: Arc<StateDirectory>,
    /// One a shard.
    pub(super) journals: Vec<Journal>,
    /// One a source.
    pub(super) sources: Vec<Resumption>,
}

/// Where a source goes on.
#[derive(Clone, Debug)]
pub(super) struct Resumption {
    pub(super) place: IntakePlace,
    /// Whether all shards have heard of its end.
    pub(super) ended: bool,
}

/// What the log of one shard says of a source.
#[derive(Clone, Debug, Default)]
struct Heard {
    rows: u64,
    place: Option<IntakePlace>,
    ended: bool,
}

impl Durable {
    /// Opens a state directory for so many shards and sources.
    pub(super) fn bring_back(
        state: State,
        described: Vec<(String, String)>,
        (shards, sources): (usize, usize),
    ) -> Result<Self, OpenError> {
        let directory = Arc::new(StateDirectory::open(state, described)?);
        let files = Arc::new(MappedFiles::new(directory.folder()));
        let (mut logs, mut all) = (Vec::new(), Vec::new());
        for shard in 0..shards {
            let shard = ShardIndex(u16::try_from(shard).expect("shards are counted in 16 bits"));
            let (parts, heard) = look_through(&directory, &files, shard, sources)?;
            logs.push(parts);
            all.push(heard);
        }
        let sources: Vec<_> = (0..sources).map(|source| resumption(&all, source)).collect();
        let closed: Vec<bool> = sources.iter().map(|source| source.ended).collect();
        let journals = logs
            .into_iter()
            .map(|parts| Journal::open(JournalParts { closed: closed.clone(), ..parts }))
            .collect::<Result<_, _>>()
            .map_err(StateError::from)?;
        Ok(Self { directory, journals, sources })
    }
}

/// Reads a shard's log through: all of it is checked before any of it is believed.
fn look_through(
    directory: &StateDirectory,
    files: &Arc<MappedFiles>,
    shard: ShardIndex,
    sources: usize,
) -> Result<(JournalParts, Vec<Heard>), StateError> {
    let identity = directory.identity();
    let mut reader = LogReader::open(Arc::clone(files), shard, Some(identity))?;
    let mut heard = vec![Heard::default(); sources];
    while let Some(entry) = reader.read()? {
        let header = entry.frame.header();
        let Some(source) = heard.get_mut(usize::from(header.partition)) else { continue };
        match header.kind() {
            Some(FrameKind::Records) => {
                source.rows = header.lane_sequence + u64::from(header.count);
            }
            Some(FrameKind::Position) => {
                let place = IntakePlace::of(entry.frame);
                // A run that went on from an earlier place says so again.
                source.place = match (source.place.take(), place) {
                    (Some(known), Some(place)) if place.is_before(&known) => Some(known),
                    (known, place) => place.or(known),
                };
            }
            Some(FrameKind::End) => source.ended = true,
            _ => {}
        }
    }
    let end = reader.into_end();
    let epoch = end.epoch.map_or(0, |epoch| epoch + 1);
    let (segment, guarantee) = (SegmentName { shard, number: 0 }, Guarantee::Process);
    let start = WriterStart { segment, next: end.next, identity, guarantee, epoch };
    let taken = heard.iter().map(|source| source.rows).collect();
    let (files, closed) = (Arc::clone(files), Vec::new());
    Ok((JournalParts { files, end, start, taken, closed }, heard))
}

/// A source goes on where the shard stood that had heard least: the others know what they have.
fn resumption(shards: &[Vec<Heard>], source: usize) -> Resumption {
    let heard = || shards.iter().map(|shard| &shard[source]);
    let ended = heard().all(|heard| heard.ended);
    let mut least =
        heard().map(|heard| heard.place.clone().unwrap_or_default()).reduce(|least, place| {
            match place.is_before(&least) {
                true => place,
                false => least,
            }
        });
    Resumption { place: least.take().unwrap_or_default(), ended }
}
