//! More shards: what the shards of earlier runs hold is divided among them, as snapshots from which
//! they go on. That can be where all of them have taken the same of every source: after a run that
//! ended, or was stopped.

use super::heard::Heard;
use super::step::{SavedCounts, Shard};
use crate::aggregate::Aggregate;
use crate::exchange::WatermarkMerge;
use crate::log::{EntrySequence, SegmentName, WriterStart};
use crate::record::{KeyKind, RouteHasher, Schema, ShardIndex, WordsWriter};
use crate::sink::{OutputCounts, ResultSink};
use crate::state::{RescaleRefusal, StateError};
use crate::window::WindowStore;

/// How a shard begins among more of them.
#[derive(Debug)]
pub struct RescaledShard {
    /// How its log goes on.
    pub start: WriterStart,
    /// What its snapshot holds.
    pub words: Vec<u64>,
    /// How many of these words, of the first, are no chunks.
    pub outline: usize,
}

/// Divides what these shards hold, which have taken again all that earlier runs took, among
/// `count`, which are more. `before` is what had come out of each by its last snapshot.
///
/// # Errors
/// The refusal, where they can not be divided; or when the state can not be read.
///
/// # Panics
/// When a shard has no journal.
pub fn rescale<S, A, R>(
    shards: &[Shard<S, A, R>],
    before: &[OutputCounts],
    (count, hasher): (u16, RouteHasher),
) -> Result<Result<Vec<RescaledShard>, RescaleRefusal>, StateError>
where
    S: Schema,
    A: Aggregate<S::Row>,
    R: ResultSink<S, A>,
{
    for (shard, before) in shards.iter().zip(before) {
        let journal = shard.journal.as_ref().expect("its state was kept");
        if !journal.has_arrived(shard.parts.sink.taken(), *before)? {
            return Ok(Err(RescaleRefusal::Unconfirmed));
        }
    }
    let all: Vec<&[Heard]> =
        shards.iter().filter_map(|shard| Some(shard.journal.as_ref()?.heard())).collect();
    if !(0..all[0].len()).all(|source| are_together(&all, source)) {
        return Ok(Err(RescaleRefusal::Apart));
    }
    let stores: Vec<_> = shards.iter().map(|shard| &shard.parts.store).collect();
    let owner = |key: <S::Key as KeyKind>::Ref<'_>| {
        <S::Key as KeyKind>::route(hasher, key).shard(count).index()
    };
    let Ok(stores) = WindowStore::reroute(&stores, usize::from(count), owner) else {
        return Ok(Err(RescaleRefusal::Apart));
    };
    let merges: Vec<_> = shards.iter().map(|shard| &shard.parts.merge).collect();
    let merge = WatermarkMerge::together(&merges);
    let starts: Vec<WriterStart> =
        shards.iter().filter_map(|it| Some(it.journal.as_ref()?.next_start())).collect();
    let epoch = starts.iter().map(|start| start.epoch).max().unwrap_or(0);
    let begin = |(store, index): (WindowStore<_, _, _>, u16)| {
        let at = usize::from(index);
        let start = starts.get(at).copied().unwrap_or_else(|| first_of(index, starts[0]));
        let lanes = all[0].len();
        let counts =
            shards.get(at).map_or_else(|| SavedCounts::none(lanes), |it| it.parts.counts());
        let heard = all.get(at).copied();
        let heard = (0..lanes).map(|source| {
            let rows = heard.map_or(0, |heard| heard[source].rows);
            widened(&all[0][source], rows, usize::from(count))
        });
        let (words, outline) = words(heard, &counts, &merge, store);
        RescaledShard { start: WriterStart { epoch, ..start }, words, outline }
    };
    Ok(Ok(stores.into_iter().zip(0..count).map(begin).collect()))
}

/// How the log of a new shard begins, as another one's does. Its first entry is not the first there
/// is, so that nobody takes its log for all that the shard follows from.
fn first_of(index: u16, other: WriterStart) -> WriterStart {
    let segment = SegmentName { shard: ShardIndex(index), number: 0 };
    WriterStart { segment, next: EntrySequence(1), ..other }
}

/// Whether all shards have taken the same of a source: all up to where it stood when it last said
/// so, which all have heard.
fn are_together(all: &[&[Heard]], source: usize) -> bool {
    let first = &all[0][source];
    all.iter().enumerate().all(|(shard, heard)| {
        let heard = &heard[source];
        let sent = heard.place.as_ref().map_or(Some(0), |place| place.rows_of(shard));
        heard.place == first.place && heard.ended == first.ended && sent == Some(heard.rows)
    })
}

/// What was heard of a source, by a shard among so many that has taken so many rows of it.
fn widened(heard: &Heard, rows: u64, shards: usize) -> Heard {
    let place = heard.place.clone().map(|place| place.with_lanes(shards));
    Heard { rows, place, ended: heard.ended }
}

/// What a snapshot holds, and how many words of it, of the first, are no chunks.
fn words<K: KeyKind, A: Aggregate<Row>, Row: ?Sized>(
    heard: impl Iterator<Item = Heard>,
    counts: &SavedCounts,
    merge: &WatermarkMerge,
    mut store: WindowStore<K, A, Row>,
) -> (Vec<u64>, usize) {
    let mut out = WordsWriter::default();
    heard.for_each(|heard| heard.save(&mut out));
    counts.save(&mut out);
    merge.save(&mut out);
    store.freeze(&mut out);
    let outline = out.len();
    if store.is_frozen() {
        store.save_some(&mut out, usize::MAX);
    }
    (out.written().to_vec(), outline)
}
