//! Names of segments' files: written and read in this one place.

use crate::record::ShardIndex;
use std::fmt;
use std::str::FromStr;

/// A segment of a shard's log, and the name of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The shard whose log it is part of.
    pub shard: ShardIndex,
    /// Its place among the shard's segments, from 0.
    pub number: u64,
}

impl SegmentName {
    /// The segment after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{:03}-{:016}.log", self.shard.0, self.number)
    }
}

/// The text names no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a log segment (s003-0000000000000012.log, say)")]
pub struct NotASegment;

impl FromStr for SegmentName {
    type Err = NotASegment;

    fn from_str(text: &str) -> Result<Self, NotASegment> {
        let parse = || -> Option<Self> {
            let (shard, number) = text.strip_prefix('s')?.strip_suffix(".log")?.split_once('-')?;
            let shard = ShardIndex(shard.parse().ok()?);
            Some(Self { shard, number: number.parse().ok()? })
        };
        // Only what we would have written ourselves: no sign, no missing zero.
        parse().filter(|name| name.to_string() == text).ok_or(NotASegment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_displayed_is_parsed(shard in any::<u16>(), number in any::<u64>()) {
            let name = SegmentName { shard: ShardIndex(shard), number };
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn what_is_parsed_is_displayed(text in "s[0-9+]{1,4}-[0-9+]{15,18}\\.log") {
            if let Ok(name) = text.parse::<SegmentName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
