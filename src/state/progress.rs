//! How far an output has come: written whole or not at all, whatever interrupts it.

use super::StateError;

/// What is part of an output for good: so much of the file, and by then so many results and late
/// records of each shard. What a file holds beyond is of results that will come again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputProgress {
    /// Bytes of the file of results.
    pub bytes: u64,
    /// Bytes of the file of late records.
    pub late_bytes: u64,
    /// Results of each shard.
    pub results: Vec<u64>,
    /// Late records of each shard.
    pub late: Vec<u64>,
}

const MAGIC: u64 = u64::from_le_bytes(*b"TWHEELOP");

impl OutputProgress {
    /// Nothing of so many shards.
    pub fn none(shards: usize) -> Self {
        Self { results: vec![0; shards], late: vec![0; shards], ..Self::default() }
    }

    /// Results and late records of one shard.
    pub fn of(&self, shard: usize) -> (u64, u64) {
        let of = |counts: &[u64]| counts.get(shard).copied().unwrap_or(0);
        (of(&self.results), of(&self.late))
    }

    /// So many results and late records of one shard, if that is more than before.
    pub fn raise(&mut self, shard: usize, (results, late): (u64, u64)) {
        let raise = |counts: &mut Vec<u64>, count: u64| {
            counts.resize(counts.len().max(shard + 1), 0);
            counts[shard] = counts[shard].max(count);
        };
        raise(&mut self.results, results);
        raise(&mut self.late, late);
    }

    pub(super) fn render(&self) -> Vec<u8> {
        let head = [MAGIC, self.bytes, self.late_bytes, self.results.len() as u64];
        let words = [&head[..], &self.results, &self.late].concat();
        let mut bytes: Vec<u8> = bytemuck::cast_slice(&words).to_vec();
        bytes.extend_from_slice(&u64::from(crc32c::crc32c(&bytes)).to_le_bytes());
        bytes
    }

    pub(super) fn parse(path: &str, bytes: &[u8]) -> Result<Self, StateError> {
        let damaged = || StateError::Damaged {
            path: path.to_owned(),
            problem: "it does not say how far an output has come".to_owned(),
        };
        let (body, crc) = bytes.split_last_chunk::<8>().ok_or_else(damaged)?;
        let words: Vec<u64> = body
            .chunks_exact(8)
            .filter_map(|word| Some(u64::from_le_bytes(word.try_into().ok()?)))
            .collect();
        let is_whole = u64::from_le_bytes(*crc) == u64::from(crc32c::crc32c(body));
        match &words[..] {
            [MAGIC, bytes, late_bytes, shards, counts @ ..]
                if is_whole && counts.len() as u64 == shards.saturating_mul(2) =>
            {
                let (results, late) = counts.split_at(*shards as usize);
                let (bytes, late_bytes) = (*bytes, *late_bytes);
                Ok(Self { bytes, late_bytes, results: results.to_vec(), late: late.to_vec() })
            }
            _ => Err(damaged()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_is_parsed_and_every_flipped_bit_is_noticed() {
        let progress =
            OutputProgress { bytes: 7, late_bytes: 9, results: vec![1, 2], late: vec![0, 3] };
        let mut bytes = progress.render();
        assert_eq!(OutputProgress::parse("p", &bytes).unwrap(), progress);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(OutputProgress::parse("p", &bytes).is_err());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(OutputProgress::parse("p", &bytes[..3]).is_err());
    }
}
