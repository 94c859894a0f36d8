//! Which windows there are, and the slices that they are made of.

use crate::limits::WINDOWS_PER_RECORD_MAX;
use crate::time::{EventTime, ParseSpanError, Span, Watermark};
use std::fmt;
use std::str::FromStr;

/// A window of event time: `start <= time < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first moment in it.
    pub start: EventTime,
    /// The first moment after it.
    pub end: EventTime,
}

/// As intervals are written: `[start, end)`, the end left out.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("[{}, {})", self.start, self.end))
    }
}

/// Which window of a [`WindowSpec`], counted from the one that starts at the offset. There are
/// windows that begin before all times and end within them, so it reaches further than a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowIndex(pub i128);

impl WindowIndex {
    /// Before all windows.
    pub(super) const NONE: Self = Self(i128::MIN);

    /// The window after.
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Which slice of a [`WindowSpec`]. Slices are numbered without gaps, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceIndex(pub i64);

/// Why there are no such windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A size of zero.
    #[error("a window of no length holds nothing; give a size above zero, 1h say")]
    ZeroSize,
    /// A slide of zero.
    #[error("windows that do not move on never end; give a slide above zero, 15m say")]
    ZeroSlide,
    /// A slide longer than the size.
    #[error(
        "a slide of {slide} is longer than the window of {size}: records between windows would \
         be lost; take a slide of at most {size}"
    )]
    SlideBeyondSize {
        /// The size.
        size: Span,
        /// The slide.
        slide: Span,
    },
    /// A slide so short beside the size that each record is in more windows than can be let out.
    #[error(
        "a window of {size} every {slide} puts each record into {windows} windows, more than \
         {max}; take a slide of at least {least}, or a shorter window",
        max = WINDOWS_PER_RECORD_MAX
    )]
    TooManyWindows {
        /// The size.
        size: Span,
        /// The slide.
        slide: Span,
        /// How many windows hold one record.
        windows: u64,
        /// A slide for that size, not much longer than the shortest.
        least: Span,
    },
}

/// Windows `[offset + k × slide, offset + k × slide + size)` for every whole `k`. Tumbling
/// windows are the case `slide = size`.
///
/// Slices are cut where windows start and where they end ("paired windows": Krishnamurthy et al.,
/// "On-the-fly sharing for streamed aggregation", SIGMOD 2006), so there are at most two a slide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    size: i64,
    slide: i64,
    offset: i64,
    /// `size mod slide`: where in a slide windows end. Zero: where they start.
    tail: i64,
}

/// As a person says it: `1h`, `1h sliding by 15m`, `1d moved by 5h`.
impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.size())?;
        if self.slide != self.size {
            write!(f, " sliding by {}", self.slide())?;
        }
        match self.offset {
            0 => Ok(()),
            offset => write!(f, " moved by {}", Span::from_nanos(offset.unsigned_abs())),
        }
    }
}

/// Why a text is not a [`WindowSpec`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSpecError {
    /// A length of time is none.
    #[error(transparent)]
    Span(#[from] ParseSpanError),
    /// There are no such windows.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// As it is displayed.
impl FromStr for WindowSpec {
    type Err = ParseSpecError;

    fn from_str(text: &str) -> Result<Self, ParseSpecError> {
        let (text, offset) = match text.split_once(" moved by ") {
            Some((text, offset)) => (text, offset.parse::<Span>()?.as_nanos()),
            None => (text, 0),
        };
        let (size, slide) = text.split_once(" sliding by ").unwrap_or((text, text));
        Ok(Self::sliding(size.parse()?, slide.parse()?)?.with_offset(offset))
    }
}

/// The times that decide about rows judged by one watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Rows before this are late for all their windows.
    pub late_before: i64,
    /// Rows before this, but not before the other, are late for some of their windows.
    pub partly_late_before: i64,
    /// The last window that is closed for these rows.
    pub closed: WindowIndex,
}

fn clamp(nanos: i128) -> i64 {
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

impl WindowSpec {
    /// Windows one after the other.
    ///
    /// # Errors
    /// When the size is zero.
    pub fn tumbling(size: Span) -> Result<Self, SpecError> {
        Self::sliding(size, size)
    }

    /// Windows of `size`, one every `slide`; the slide need not divide the size.
    ///
    /// # Errors
    /// When size or slide is zero, the slide is longer than the size, or so short that a record is
    /// in more windows than [`WINDOWS_PER_RECORD_MAX`].
    pub fn sliding(size: Span, slide: Span) -> Result<Self, SpecError> {
        let length = |span: Span| span.as_nanos().unsigned_abs();
        let windows = length(size).div_ceil(length(slide).max(1));
        match () {
            () if size.is_zero() => Err(SpecError::ZeroSize),
            () if slide.is_zero() => Err(SpecError::ZeroSlide),
            () if slide > size => Err(SpecError::SlideBeyondSize { size, slide }),
            () if windows > WINDOWS_PER_RECORD_MAX => {
                let least = Span::from_nanos(length(size).div_ceil(WINDOWS_PER_RECORD_MAX));
                let least = least.rounded_up();
                Err(SpecError::TooManyWindows { size, slide, windows, least })
            }
            () => {
                let (size, slide) = (size.as_nanos(), slide.as_nanos());
                Ok(Self { size, slide, offset: 0, tail: size % slide })
            }
        }
    }

    /// Moves every window by `offset` nanoseconds, forward or back.
    #[must_use]
    pub fn with_offset(mut self, offset_nanos: i64) -> Self {
        self.offset = offset_nanos.rem_euclid(self.slide);
        self
    }

    /// How long a window is.
    pub fn size(&self) -> Span {
        Span::from_nanos(self.size.unsigned_abs())
    }

    /// How far a window starts after the one before.
    pub fn slide(&self) -> Span {
        Span::from_nanos(self.slide.unsigned_abs())
    }

    /// Whether each window is one slice.
    #[inline]
    pub fn is_tumbling(&self) -> bool {
        self.size == self.slide
    }

    fn slices_per_slide(&self) -> i64 {
        1 + i64::from(self.tail != 0)
    }

    /// The slice that holds a time. The two values that no time has are taken for the nearest
    /// that one does, so that each slice has one after it.
    #[inline]
    pub fn slice_of(&self, nanos: i64) -> SliceIndex {
        let nanos = EventTime::from_nanos(nanos).as_nanos();
        let Some(distance) = nanos.checked_sub(self.offset) else {
            return self.slice_of_far(nanos);
        };
        let slide = distance.div_euclid(self.slide);
        if self.tail == 0 {
            return SliceIndex(slide);
        }
        let within = distance.rem_euclid(self.slide);
        SliceIndex(slide.saturating_mul(2).saturating_add(i64::from(within >= self.tail)))
    }

    #[cold]
    fn slice_of_far(&self, nanos: i64) -> SliceIndex {
        let distance = i128::from(nanos) - i128::from(self.offset);
        let slide = distance.div_euclid(i128::from(self.slide));
        let within = distance.rem_euclid(i128::from(self.slide));
        let second = i128::from(self.tail != 0 && within >= i128::from(self.tail));
        SliceIndex(clamp(slide * i128::from(self.slices_per_slide()) + second))
    }

    /// Bits of a stretch of time in which at most one slice ends, or in which it matters little
    /// that more do: half a slice where all are alike, a sixteenth of a slide where they are not.
    pub(super) fn granule_bits(&self) -> u32 {
        let parts = if self.tail == 0 { 2 } else { 16 };
        (self.slide / parts).max(1).ilog2()
    }

    /// The first moment of a slice.
    pub fn slice_start(&self, slice: SliceIndex) -> i64 {
        let (slide, second) = match self.tail {
            0 => (slice.0, 0),
            tail => (slice.0.div_euclid(2), slice.0.rem_euclid(2) * tail),
        };
        clamp(self.start_wide(i128::from(slide)) + i128::from(second))
    }

    /// The first moment after a slice.
    pub fn slice_end(&self, slice: SliceIndex) -> i64 {
        match slice.0.checked_add(1) {
            Some(next) => self.slice_start(SliceIndex(next)),
            None => i64::MAX,
        }
    }

    fn start_wide(&self, window: i128) -> i128 {
        window * i128::from(self.slide) + i128::from(self.offset)
    }

    fn end_wide(&self, window: WindowIndex) -> i128 {
        self.start_wide(window.0) + i128::from(self.size)
    }

    /// The window of an index; bounds beyond what event time can say are brought to its ends.
    pub fn window(&self, index: WindowIndex) -> Window {
        let start = EventTime::from_nanos(clamp(self.start_wide(index.0)));
        Window { start, end: EventTime::from_nanos(clamp(self.end_wide(index))) }
    }

    /// The slice of a number; one beyond all times when the number is.
    fn slice(number: i128) -> SliceIndex {
        SliceIndex(clamp(number))
    }

    fn first_slice_wide(&self, window: WindowIndex) -> i128 {
        window.0 * i128::from(self.slices_per_slide())
    }

    fn slices_per_window(&self) -> i64 {
        match self.tail {
            0 => self.size / self.slide,
            _ => self.size / self.slide * 2 + 1,
        }
    }

    /// The first slice of a window.
    pub(super) fn first_slice(&self, window: WindowIndex) -> SliceIndex {
        Self::slice(self.first_slice_wide(window))
    }

    /// The first slice after a window.
    pub(super) fn slice_after(&self, window: WindowIndex) -> SliceIndex {
        Self::slice(self.first_slice_wide(window) + i128::from(self.slices_per_window()))
    }

    /// The first window, in the order of ends, that holds a slice.
    pub(super) fn first_window_of(&self, slice: SliceIndex) -> WindowIndex {
        let before = (i128::from(slice.0) - i128::from(self.slices_per_window()))
            .div_euclid(i128::from(self.slices_per_slide()));
        WindowIndex(before + 1)
    }

    /// Whether a window ends at or before a horizon.
    pub(super) fn is_closed(&self, window: WindowIndex, horizon: i64) -> bool {
        horizon == i64::MAX || self.end_wide(window) <= i128::from(horizon)
    }

    fn last_ended(&self, moment: i64) -> WindowIndex {
        let distance = i128::from(moment) - i128::from(self.offset) - i128::from(self.size);
        WindowIndex(distance.div_euclid(i128::from(self.slide)))
    }

    /// The last window that ends at or before a horizon; none when nothing was promised yet.
    pub(super) fn last_closed(&self, horizon: i64) -> WindowIndex {
        match horizon {
            i64::MIN => WindowIndex::NONE,
            _ => self.last_ended(horizon),
        }
    }

    /// The earliest end of a window after `horizon`: where lateness changes next.
    pub fn next_end_after(&self, horizon: i64) -> i64 {
        clamp(self.end_wide(self.last_ended(horizon).next()))
    }

    /// What decides about rows that are judged by a watermark.
    pub fn thresholds(&self, watermark: Watermark, tick: Span) -> Thresholds {
        let closed = self.last_closed(watermark.horizon(tick));
        if closed == WindowIndex::NONE {
            let (late_before, partly_late_before) = (i64::MIN, i64::MIN);
            return Thresholds { late_before, partly_late_before, closed };
        }
        Thresholds {
            late_before: clamp(self.start_wide(closed.0) + i128::from(self.slide)),
            partly_late_before: clamp(self.end_wide(closed)),
            closed,
        }
    }

    /// The windows that hold a time, in their order.
    pub fn windows_of(&self, nanos: i64) -> impl Iterator<Item = WindowIndex> + use<> {
        let distance = i128::from(nanos) - i128::from(self.offset);
        let last = distance.div_euclid(i128::from(self.slide));
        (self.last_ended(nanos).next().0..=last).map(WindowIndex)
    }

    /// The end of the last window that holds a time.
    pub fn last_end_of(&self, nanos: i64) -> i64 {
        let distance = i128::from(nanos) - i128::from(self.offset);
        let slide = i128::from(self.slide);
        clamp(distance.div_euclid(slide) * slide + i128::from(self.offset) + i128::from(self.size))
    }
}
