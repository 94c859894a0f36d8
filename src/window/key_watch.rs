//! When to look how many bytes the keys of panes take.

use crate::limits::RECORD_BYTES_MAX;

/// Keys come in the hot path, where nothing counts their bytes. A key is shorter than a record, so
/// so many new keys can be let pass that even of the longest the limit would not be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyWatch {
    max: usize,
    /// How many keys there may have been in all before it is to be looked again.
    until: u64,
}

impl KeyWatch {
    pub(super) fn new(max: usize) -> Self {
        Self { max, until: 0 }
    }

    /// Whether it is to be looked, now that so many keys have come in all.
    pub(super) fn is_due(&self, keys: u64) -> bool {
        keys >= self.until
    }

    /// So many keys have come, and theirs are so many bytes. Says whether that is within the limit.
    pub(super) fn look(&mut self, keys: u64, bytes: usize) -> bool {
        let room = self.max.saturating_sub(bytes) / RECORD_BYTES_MAX;
        self.until = keys + room.max(1) as u64;
        bytes <= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long_the_keys_no_limit_is_passed_unseen() {
        let max = RECORD_BYTES_MAX * 100;
        let (mut watch, mut looks) = (KeyWatch::new(max), 0);
        for keys in 0..=100 {
            let bytes = keys * RECORD_BYTES_MAX;
            if watch.is_due(keys as u64) {
                looks += 1;
                assert!(watch.look(keys as u64, bytes));
            }
        }
        assert!(looks <= 3, "{looks} looks");
        assert!(watch.is_due(101) && !watch.look(101, 101 * RECORD_BYTES_MAX));
    }
}
