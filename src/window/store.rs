//! The windows of one shard: rows in, results out.

mod rerouted;
mod saved;

pub use rerouted::NotTogether;

use super::combiner::SlicePartial;
use super::key_watch::KeyWatch;
use super::pane::{FROZEN, NOTED, Pane, UNWATCHED};
use super::slices::{NO_PANE, Slices, TooManySlices};
use super::sliding::Sliding;
use super::spec::{SliceIndex, Thresholds, Window, WindowIndex, WindowSpec};
use crate::aggregate::Aggregate;
use crate::frame::Frame;
use crate::limits::{KEY_BYTES_MAX, LIVE_KEYS_DEFAULT, OPEN_SLICES_MAX};
use crate::record::{KeyKind, Moment, Schema, TableHasher};
use crate::time::{EventTime, Span, Watermark};
use saved::Freeze;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// Rows that are located together before any is folded.
const BLOCK_ROWS: usize = 32;

/// What a store may hold.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Keys alive, each counted once for every slice that holds it.
    pub live_keys_max: usize,
    /// Slices open.
    pub open_slices_max: usize,
    /// Bytes that keys of no fixed width take in one slice, or together where windows slide.
    pub key_bytes_max: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            live_keys_max: LIVE_KEYS_DEFAULT,
            open_slices_max: OPEN_SLICES_MAX,
            key_bytes_max: KEY_BYTES_MAX,
        }
    }
}

/// Which limit a store has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Too many keys.
    #[error(
        "open windows hold more keys (each counted once a slice) than the {max} allowed; raise the \
         live-key limit, or take smaller windows, fewer keys or more shards"
    )]
    LiveKeys {
        /// The limit.
        max: usize,
    },
    /// Too long keys.
    #[error(
        "the keys in open windows take more than {max} bytes (each counted once a slice); take \
         more shards, shorter keys or smaller windows"
    )]
    KeyBytes {
        /// The limit.
        max: usize,
    },
    /// A slice's partial came after the watermark had passed a window that it counts in.
    #[error(
        "a source's partial of the slice at {start} ns came after its window had closed; this is \
         a fault of the engine, not of the data: please report it"
    )]
    LatePartial {
        /// The first moment of the slice.
        start: i64,
    },
    /// Too many slices.
    #[error(
        "more than {max} slices are open at a time; times are spread too far for so small a \
         slide: lower the out-of-orderness, bound the jumps in event time, or take a larger slide"
    )]
    OpenSlices {
        /// The limit.
        max: usize,
    },
}

impl From<TooManySlices> for StoreError {
    fn from(TooManySlices { max }: TooManySlices) -> Self {
        Self::OpenSlices { max }
    }
}

/// What became of a frame's rows: received = counted + late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Rows that count in at least one window.
    pub counted: u64,
    /// Rows that came after all their windows had closed.
    pub late: u64,
    /// Of those counted: rows that came after some of their windows had closed.
    pub partly_late: u64,
}

/// A row that came after all its windows had closed.
#[derive(Debug)]
pub struct LateRow<'a, Row: ?Sized> {
    /// The row.
    pub row: &'a Row,
    /// What the row points to.
    pub heap: &'a [u8],
    /// The end of the last window that it would have counted in, in nanoseconds.
    pub window_end: i64,
    /// The watermark that had passed that end.
    pub watermark: Watermark,
}

/// Why a result came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The watermark passed the window's end.
    OnTime,
    /// The input ended before the watermark passed the window's end.
    EndOfInput,
    /// The engine was stopped while the window was open: what it held until then.
    Interrupted,
}

impl Reason {
    /// As a row of results carries it.
    pub const fn to_raw(self) -> u64 {
        match self {
            Self::OnTime => 0,
            Self::EndOfInput => 1,
            Self::Interrupted => 2,
        }
    }

    /// From what a row of results carries.
    pub const fn from_raw(raw: u64) -> Self {
        match raw {
            0 => Self::OnTime,
            1 => Self::EndOfInput,
            _ => Self::Interrupted,
        }
    }

    /// In one word, for people and scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnTime => "on_time",
            Self::EndOfInput => "end_of_input",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One result, on its way out.
#[derive(Debug)]
pub struct Fired<'a, K: KeyKind, P> {
    /// The window.
    pub window: Window,
    /// The key.
    pub key: K::Ref<'a>,
    /// All that the window holds of the key.
    pub partial: &'a P,
    /// Why it came out.
    pub reason: Reason,
}

/// Whether a result was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Yes; more may come.
    Taken,
    /// No; it is to be offered again.
    Full,
}

/// How far firing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Firing {
    /// All that was due is out.
    Done,
    /// A result was not taken; call again.
    Blocked,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Slices that are open, or part of an open window.
    pub open_slices: usize,
    /// Keys alive, each counted once for every slice that holds it.
    pub live_keys: usize,
    /// Windows that have fired.
    pub windows_fired: u64,
}

/// What firing has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Quiet,
    /// Looking for what is due.
    Looking,
    /// Letting a window's results out, from the one at `next`.
    Emitting {
        window: WindowIndex,
        next: usize,
    },
}

/// A slice's pane that waits until the windows up to one have fired.
type HeldPanes<K, P> = BTreeMap<(WindowIndex, SliceIndex), Pane<K, P>>;

/// All windows of one shard.
pub struct WindowStore<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> {
    spec: WindowSpec,
    tick: Span,
    aggregate: A,
    limits: StoreLimits,
    hasher: TableHasher,
    slices: Slices<Pane<K, A::Partial>>,
    sliding: Sliding<K, A::Partial>,
    /// Partly late rows whose own watermark is ahead of the merged one: they wait until the
    /// windows that they are late for have fired.
    held: HeldPanes<K, A::Partial>,
    /// (Key, slice) pairs in open and held panes, and those that have left them or were in none.
    entries: usize,
    entries_left: u64,
    key_watch: KeyWatch,
    /// The last window that has fired, or could not have held anything.
    fired: WindowIndex,
    horizon: i64,
    /// Why windows fire that the watermark itself did not close.
    ending: Option<Reason>,
    /// Windows that end by then are on time all the same.
    on_time_until: i64,
    phase: Phase,
    windows_fired: u64,
    /// A snapshot that is on its way out, if there is one.
    freeze: Freeze,
    /// By which snapshots know panes and slices: the last one that was given.
    snapshot_numbers: u64,
    row: PhantomData<fn(&Row)>,
}

/// The rows of one frame and what decides about them.
struct Judged<'f, S> {
    schema: &'f S,
    frame: Frame<'f>,
    thresholds: Thresholds,
    watermark: Watermark,
}

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> WindowStore<K, A, Row> {
    /// An empty store. `tick` is the resolution of timestamps: a window closes when the watermark
    /// is that close to its end.
    pub fn new(spec: WindowSpec, tick: Span, aggregate: A, limits: StoreLimits) -> Self {
        Self {
            spec,
            tick,
            aggregate,
            limits,
            hasher: TableHasher::new(),
            slices: Slices::new(spec, limits.open_slices_max),
            sliding: Sliding::new(),
            held: BTreeMap::new(),
            entries: 0,
            entries_left: 0,
            key_watch: KeyWatch::new(limits.key_bytes_max),
            fired: WindowIndex::NONE,
            horizon: i64::MIN,
            ending: None,
            on_time_until: i64::MIN,
            phase: Phase::Quiet,
            windows_fired: 0,
            freeze: Freeze::default(),
            snapshot_numbers: 0,
            row: PhantomData,
        }
    }

    /// Folds a frame's rows into their slices. Rows are judged by `watermark`: what their
    /// partition's was before them. Wholly late rows go to `late`.
    ///
    /// # Errors
    /// When a limit is reached. The store is of no use then.
    ///
    /// # Panics
    /// When results are still waiting to be let out.
    pub fn add_frame<S: Schema<Row = Row, Key = K>>(
        &mut self,
        schema: &S,
        frame: Frame<'_>,
        watermark: Watermark,
        late: &mut impl FnMut(LateRow<'_, Row>),
    ) -> Result<Added, StoreError> {
        assert!(!self.is_firing(), "rows are added between firings");
        let thresholds = self.spec.thresholds(watermark, self.tick);
        let judged = Judged { schema, frame, thresholds, watermark };
        let mut added = Added::default();
        let stride = schema.stride_words();
        // Rows pay nothing for snapshots before there is one.
        let watch = match self.is_frozen() {
            true => FROZEN,
            false if self.snapshot_numbers > 0 => NOTED,
            false => UNWATCHED,
        };
        for (block, words) in frame.rows().chunks(stride * BLOCK_ROWS).enumerate() {
            let first = block * BLOCK_ROWS;
            let added = &mut added;
            match watch {
                UNWATCHED => self.add_block::<S, UNWATCHED>(&judged, first, words, added, late)?,
                NOTED => self.add_block::<S, NOTED>(&judged, first, words, added, late)?,
                _ => self.add_frozen(&judged, first, words, added, late)?,
            }
        }
        self.check_keys()?;
        Ok(added)
    }

    fn check_keys(&mut self) -> Result<(), StoreError> {
        if self.live_keys() > self.limits.live_keys_max {
            return Err(StoreError::LiveKeys { max: self.limits.live_keys_max });
        }
        let keys = self.entries as u64 + self.entries_left;
        match self.key_watch.is_due(keys) && !self.key_watch.look(keys, self.key_bytes()) {
            true => Err(StoreError::KeyBytes { max: self.limits.key_bytes_max }),
            false => Ok(()),
        }
    }

    /// Bytes of keys in the pane that has most, or in all where panes come together.
    #[cold]
    fn key_bytes(&self) -> usize {
        let panes = self.slices.iter().map(Pane::key_bytes);
        match self.spec.is_tumbling() {
            true => panes.max().unwrap_or(0),
            false => {
                let held: usize = self.held.values().map(Pane::key_bytes).sum();
                panes.sum::<usize>() + held + self.sliding.key_bytes()
            }
        }
    }

    fn live_keys(&self) -> usize {
        self.entries + self.sliding.entries()
    }

    /// The same while a snapshot is on its way.
    #[cold]
    fn add_frozen<S: Schema<Row = Row, Key = K>>(
        &mut self,
        judged: &Judged<'_, S>,
        first: usize,
        words: &[u64],
        added: &mut Added,
        late: &mut impl FnMut(LateRow<'_, Row>),
    ) -> Result<(), StoreError> {
        self.add_block::<S, FROZEN>(judged, first, words, added, late)
    }

    #[inline(always)]
    fn add_block<S: Schema<Row = Row, Key = K>, const WATCH: u8>(
        &mut self,
        judged: &Judged<'_, S>,
        first: usize,
        words: &[u64],
        added: &mut Added,
        late: &mut impl FnMut(LateRow<'_, Row>),
    ) -> Result<(), StoreError> {
        let schema = judged.schema;
        let (stride, heap) = (schema.stride_words(), judged.frame.heap());
        let mut located = [(0_u64, NO_PANE); BLOCK_ROWS];
        let mut rows = 0;
        for (row, place) in words.chunks_exact(stride).zip(&mut located) {
            let row = schema.view(row);
            let nanos = schema.event_time(row).as_nanos();
            rows += 1;
            if nanos < judged.thresholds.partly_late_before {
                self.add_late(judged, first + rows - 1, row, added, late)?;
                place.1 = NO_PANE;
                continue;
            }
            let at = self.slices.pane_at(nanos)?;
            let hash = K::table_hash(&self.hasher, schema.key(row, heap));
            let pane = self.slices.pane(at);
            if pane.is_large() {
                pane.prefetch(hash);
            }
            *place = (hash, at);
        }
        let needs_sequence = self.aggregate.needs_sequence();
        for (at, row) in words.chunks_exact(stride).enumerate() {
            let (hash, pane) = located[at];
            if pane == NO_PANE {
                continue;
            }
            let row = schema.view(row);
            let sequence = match needs_sequence {
                true => judged.frame.source_sequence(first + at),
                false => Default::default(),
            };
            let moment = Moment { time: schema.event_time(row), sequence };
            let key = schema.key(row, heap);
            let pane = self.slices.pane_mut(pane);
            let (identity, copies) = (self.aggregate.identity(), &mut self.freeze.copies);
            let (partial, new) = pane.entry::<WATCH>((hash, key), identity, copies);
            self.aggregate.fold(partial, moment, row);
            self.entries += usize::from(new);
            added.counted += 1;
        }
        Ok(())
    }

    /// Puts the partials of a frame, which a source folded, into their slices. `watermark` is
    /// the lane's.
    ///
    /// # Errors
    /// When a limit is reached, or a partial comes too late. The store is of no use then.
    ///
    /// # Panics
    /// When results are still waiting to be let out.
    pub fn add_partials(
        &mut self,
        frame: Frame<'_>,
        watermark: Watermark,
    ) -> Result<Added, StoreError> {
        assert!(!self.is_firing(), "partials are added between firings");
        let open_from = self.spec.thresholds(watermark, self.tick).partly_late_before;
        let mut added = Added::default();
        let stride = usize::from(frame.header().stride);
        for words in frame.rows().chunks(stride * BLOCK_ROWS) {
            let mut located = [(0_u64, NO_PANE); BLOCK_ROWS];
            for (row, place) in words.chunks_exact(stride).zip(&mut located) {
                let row = SlicePartial::<K, A::Partial>::read(row, frame.heap());
                if row.slice_start < open_from {
                    return Err(StoreError::LatePartial { start: row.slice_start });
                }
                let at = self.slices.pane_at(row.slice_start)?;
                let hash = K::table_hash(&self.hasher, row.key);
                if self.slices.pane(at).is_large() {
                    self.slices.pane(at).prefetch(hash);
                }
                *place = (hash, at);
            }
            for (row, (hash, pane)) in words.chunks_exact(stride).zip(located) {
                let row = SlicePartial::<K, A::Partial>::read(row, frame.heap());
                let identity = self.aggregate.identity();
                let pane = self.slices.pane_mut(pane);
                let copies = &mut self.freeze.copies;
                let (partial, new) = pane.entry::<FROZEN>((hash, row.key), identity, copies);
                self.aggregate.combine(partial, row.partial);
                self.entries += usize::from(new);
                added.counted += row.records;
            }
        }
        self.check_keys()?;
        Ok(added)
    }

    /// A row that is late for some or all of its windows.
    #[cold]
    fn add_late<S: Schema<Row = Row, Key = K>>(
        &mut self,
        judged: &Judged<'_, S>,
        index: usize,
        row: &Row,
        added: &mut Added,
        late: &mut impl FnMut(LateRow<'_, Row>),
    ) -> Result<(), StoreError> {
        let Judged { schema, frame, thresholds, watermark } = judged;
        let time = schema.event_time(row);
        if time.as_nanos() < thresholds.late_before {
            added.late += 1;
            let window_end = self.spec.last_end_of(time.as_nanos());
            late(LateRow { row, heap: frame.heap(), window_end, watermark: *watermark });
            return Ok(());
        }
        added.counted += 1;
        added.partly_late += 1;
        let key = schema.key(row, frame.heap());
        let hash = K::table_hash(&self.hasher, key);
        let moment = Moment { time, sequence: frame.source_sequence(index) };
        let slice = self.spec.slice_of(time.as_nanos());
        if thresholds.closed <= self.fired {
            let partial = self.aggregate.lift(moment, row);
            let (aggregate, copies) = (&self.aggregate, &mut self.freeze.copies);
            self.sliding.add_late(slice, (hash, key), partial, aggregate, copies);
            self.entries_left += 1;
            return Ok(());
        }
        let pane = self.held.entry((thresholds.closed, slice)).or_default();
        let (identity, copies) = (self.aggregate.identity(), &mut self.freeze.copies);
        let (partial, new) = pane.entry::<FROZEN>((hash, key), identity, copies);
        self.aggregate.fold(partial, moment, row);
        self.entries += usize::from(new);
        Ok(())
    }

    /// The merged watermark is this now: what it closes is due. [`WindowStore::fire`] lets it out.
    pub fn advance(&mut self, merged: Watermark) {
        if merged == Watermark::END {
            self.ending.get_or_insert(Reason::EndOfInput);
        }
        self.raise(merged.horizon(self.tick));
    }

    /// All open windows are due: the input has ended, and `highest` is the highest watermark that
    /// any of its partitions came to. Up to that windows are on time, whichever of them ended last.
    pub fn end_of_input(&mut self, highest: Watermark) {
        self.on_time_until = highest.horizon(self.tick);
        self.advance(Watermark::END);
    }

    /// All open windows are due, as interrupted.
    pub fn interrupt(&mut self) {
        self.ending = Some(Reason::Interrupted);
        self.raise(i64::MAX);
    }

    fn raise(&mut self, horizon: i64) {
        if horizon > self.horizon {
            self.horizon = horizon;
            if self.phase == Phase::Quiet {
                self.phase = Phase::Looking;
            }
        }
    }

    /// Forgets all that it holds: nothing further comes of it, nor of a snapshot that is not all
    /// written. Says how much that was: keys, each counted once for every slice that holds it.
    pub fn abandon(&mut self) -> usize {
        let left = self.live_keys();
        self.slices = Slices::new(self.spec, self.limits.open_slices_max);
        self.sliding = Sliding::new();
        self.held.clear();
        self.thaw();
        self.forget(self.entries);
        self.phase = Phase::Quiet;
        left
    }

    /// Windows that have fired.
    pub fn windows_fired(&self) -> u64 {
        self.windows_fired
    }

    /// Whether something may be due that is not out.
    #[inline]
    pub fn is_firing(&self) -> bool {
        self.phase != Phase::Quiet
    }

    /// Lets out what is due, window by window in the order of their ends, within a window key by
    /// key in the order in which keys were first touched.
    pub fn fire(&mut self, emit: &mut impl FnMut(Fired<'_, K, A::Partial>) -> Flow) -> Firing {
        loop {
            match self.phase {
                Phase::Quiet => return Firing::Done,
                Phase::Looking => self.look(),
                Phase::Emitting { window, next } => {
                    let next = self.emit(window, next, emit);
                    if next < self.results_of(window) {
                        self.phase = Phase::Emitting { window, next };
                        return Firing::Blocked;
                    }
                    self.finish(window);
                }
            }
        }
    }

    /// Finds the next window that is due and holds something.
    fn look(&mut self) {
        loop {
            let window = self.next_window();
            let release = self.held.keys().next().map(|(after, _)| *after);
            if let Some(after) = release
                && window.is_none_or(|window| window > after)
                && self.spec.is_closed(after, self.horizon)
            {
                self.fired = self.fired.max(after);
                self.release(after);
                continue;
            }
            match window.filter(|window| self.spec.is_closed(*window, self.horizon)) {
                Some(window) => {
                    self.gather(window);
                    self.phase = Phase::Emitting { window, next: 0 };
                }
                None => {
                    self.fired = self.fired.max(self.spec.last_closed(self.horizon));
                    self.phase = Phase::Quiet;
                }
            }
            return;
        }
    }

    /// The first window, not fired yet, that holds something.
    fn next_window(&self) -> Option<WindowIndex> {
        let open = self.slices.first();
        let oldest = match (open, self.sliding.oldest()) {
            (Some(open), Some(retained)) => open.min(retained),
            (open, retained) => open.or(retained)?,
        };
        let window = self.spec.first_window_of(oldest).max(self.fired.next());
        // What is retained may have left already; then only what is open counts.
        if self.spec.first_slice(window) <= oldest {
            return Some(window);
        }
        let later = self.first_slice_from(self.spec.first_slice(window))?;
        Some(self.spec.first_window_of(later).max(window))
    }

    fn first_slice_from(&self, first: SliceIndex) -> Option<SliceIndex> {
        let open = self.slices.first_from(first..);
        let retained = self.sliding.first_from(first);
        match (open, retained) {
            (Some(open), Some(retained)) => Some(open.min(retained)),
            (open, retained) => open.or(retained),
        }
    }

    /// Brings together the slices of a window.
    fn gather(&mut self, window: WindowIndex) {
        if self.spec.is_tumbling() {
            return;
        }
        self.evict_before(self.spec.first_slice(window));
        let end = self.spec.slice_after(window);
        while let Some(slice) = self.slices.first().filter(|slice| *slice < end) {
            let Some(pane) = self.slices.close(slice) else { break };
            let closed = self.slices.pane(pane);
            let how = (&self.hasher, &self.aggregate);
            self.sliding.push(slice, closed, how, &mut self.freeze.copies);
            self.recycle(pane);
        }
        self.sliding.settle(&self.aggregate, &mut self.freeze.copies);
    }

    fn evict_before(&mut self, first: SliceIndex) {
        let how = (&self.hasher, &self.aggregate);
        self.sliding.evict_before(first, how, &mut self.freeze.copies);
    }

    /// A pane has left its slice. It stays as it is while a snapshot lacks some of it.
    fn recycle(&mut self, at: u32) {
        self.forget(self.slices.pane(at).entries.len());
        let pane = self.slices.pane_mut(at);
        match pane.is_unsaved() {
            true => pane.leave(),
            false => self.slices.recycle(at),
        }
    }

    /// So many (key, slice) pairs have left their panes.
    fn forget(&mut self, entries: usize) {
        self.entries -= entries;
        self.entries_left += entries as u64;
    }

    /// How many results a window has that is being let out.
    fn results_of(&self, window: WindowIndex) -> usize {
        match self.spec.is_tumbling() {
            true => self.pane_of(window).map_or(0, |pane| pane.entries.len()),
            false => self.sliding.live(),
        }
    }

    fn pane_of(&self, window: WindowIndex) -> Option<&Pane<K, A::Partial>> {
        self.slices.find(self.spec.first_slice(window))
    }

    /// Lets a window's results out from the one at `next`; says which was not taken.
    fn emit(
        &mut self,
        window: WindowIndex,
        mut next: usize,
        emit: &mut impl FnMut(Fired<'_, K, A::Partial>) -> Flow,
    ) -> usize {
        let bounds = self.spec.window(window);
        let reason = match self.ending {
            Some(Reason::EndOfInput) if bounds.end.as_nanos() <= self.on_time_until => {
                Reason::OnTime
            }
            ending => ending.unwrap_or(Reason::OnTime),
        };
        if !self.spec.is_tumbling() {
            while next < self.sliding.live() {
                let (key, partial) = self.sliding.result(next, &self.aggregate);
                let fired = Fired { window: bounds, key, partial: &partial, reason };
                if emit(fired) == Flow::Full {
                    break;
                }
                next += 1;
            }
            return next;
        }
        let Some(pane) = self.pane_of(window) else {
            return next;
        };
        for entry in &pane.entries[next..] {
            let key = pane.key(entry);
            let fired = Fired { window: bounds, key, partial: &entry.partial, reason };
            if emit(fired) == Flow::Full {
                break;
            }
            next += 1;
        }
        next
    }

    /// All results of a window are out.
    fn finish(&mut self, window: WindowIndex) {
        self.fired = window;
        self.windows_fired += 1;
        self.phase = Phase::Looking;
        if self.spec.is_tumbling() {
            if let Some(pane) = self.slices.close(self.spec.first_slice(window)) {
                self.recycle(pane);
            }
        } else {
            self.evict_before(self.spec.first_slice(window.next()));
        }
    }

    /// Lets the rows count that waited until the windows up to `after` had fired.
    fn release(&mut self, after: WindowIndex) {
        while let Some(held) = self.held.first_entry()
            && held.key().0 <= after
        {
            let ((_, slice), mut pane) = held.remove_entry();
            let copies = &mut self.freeze.copies;
            pane.save_rest(copies);
            for entry in &pane.entries {
                let key = pane.key(entry);
                let key = (K::table_hash(&self.hasher, key), key);
                self.sliding.add_late(slice, key, entry.partial, &self.aggregate, copies);
            }
            self.forget(pane.entries.len());
        }
    }

    /// Windows that start before this may hold rows already; `None` where no window does.
    pub fn holds_until(&self) -> Option<EventTime> {
        let slices = self.slices.by_time().map(|(slice, _)| slice);
        let held = self.held.keys().map(|(_, slice)| *slice);
        let last = slices.chain(held).chain(self.sliding.slices_retained()).max();
        last.map(|slice| EventTime::from_nanos(self.spec.slice_end(slice)))
    }

    /// What the store holds. Costs the same however much that is: it is asked at every close.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            open_slices: self.slices.len() + self.sliding.slices(),
            live_keys: self.live_keys(),
            windows_fired: self.windows_fired,
        }
    }
}

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> std::fmt::Debug for WindowStore<K, A, Row> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowStore").field("spec", &self.spec).finish_non_exhaustive()
    }
}
