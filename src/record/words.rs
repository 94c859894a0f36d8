//! State as words: what is written in an order is read back in the same.

use super::KeyKind;
use bytemuck::Pod;

/// What was read is not what is written so: another version's, or another pipeline's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what it holds is not what this version writes")]
pub struct NotSaved;

/// Words on their way out.
#[derive(Clone, Debug, Default)]
pub struct WordsWriter {
    words: Vec<u64>,
}

impl WordsWriter {
    /// A writer that has memory for so many words, and takes more.
    pub fn with_room(words: usize) -> Self {
        Self { words: Vec::with_capacity(words) }
    }

    /// Writes one word.
    pub fn word(&mut self, word: u64) {
        self.words.push(word);
    }

    /// Writes words, and how many they are.
    pub fn words(&mut self, words: &[u64]) {
        self.word(words.len() as u64);
        self.words.extend_from_slice(words);
    }

    /// Writes a number of two words.
    pub fn wide(&mut self, number: i128) {
        let bits = number.cast_unsigned();
        self.words.extend([bits as u64, (bits >> 64) as u64]);
    }

    /// Writes a value, filled up to whole words.
    pub fn pod(&mut self, value: &impl Pod) {
        self.filled(bytemuck::bytes_of(value));
    }

    /// Writes bytes, and how many they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        self.filled(bytes);
    }

    /// Writes a key, whose bytes of no fixed width go to `tail`.
    pub fn key<K: KeyKind>(&mut self, key: K::Ref<'_>, tail: &mut Vec<u8>) {
        K::lay(key, self.room(K::words()), tail);
    }

    fn filled(&mut self, bytes: &[u8]) {
        let room: &mut [u8] = bytemuck::cast_slice_mut(self.room(bytes.len().div_ceil(8)));
        room[..bytes.len()].copy_from_slice(bytes);
    }

    /// Writes so many words, all zero, which are to be filled.
    pub fn room(&mut self, words: usize) -> &mut [u64] {
        let start = self.words.len();
        self.words.resize(start + words, 0);
        &mut self.words[start..]
    }

    /// Words written.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// What was written.
    pub fn written(&self) -> &[u64] {
        &self.words
    }

    /// Forgets what was written, keeps the memory.
    pub fn clear(&mut self) {
        self.words.clear();
    }
}

/// Words on their way in.
#[derive(Clone, Debug)]
pub struct WordsReader<'a> {
    rest: &'a [u64],
}

impl<'a> WordsReader<'a> {
    /// Reads what [`WordsWriter::written`] gave.
    pub const fn new(words: &'a [u64]) -> Self {
        Self { rest: words }
    }

    /// Reads a word.
    ///
    /// # Errors
    /// When there is none.
    pub fn word(&mut self) -> Result<u64, NotSaved> {
        let (word, rest) = self.rest.split_first().ok_or(NotSaved)?;
        self.rest = rest;
        Ok(*word)
    }

    /// Reads a word that says how many of something there are, each of at least so many words.
    ///
    /// # Errors
    /// When there can not be so many.
    pub fn count(&mut self, words_each: usize) -> Result<usize, NotSaved> {
        let count = usize::try_from(self.word()?).map_err(|_| NotSaved)?;
        self.holds(count, words_each)?;
        Ok(count)
    }

    /// Says that so many of something can still come, each of at least so many words.
    ///
    /// # Errors
    /// When they can not.
    pub fn holds(&self, count: usize, words_each: usize) -> Result<(), NotSaved> {
        let words = count.checked_mul(words_each).ok_or(NotSaved)?;
        (words <= self.rest.len()).then_some(()).ok_or(NotSaved)
    }

    /// Reads so many words.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn take(&mut self, words: usize) -> Result<&'a [u64], NotSaved> {
        let (taken, rest) = self.rest.split_at_checked(words).ok_or(NotSaved)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads words that were written with how many they are.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn words(&mut self) -> Result<&'a [u64], NotSaved> {
        let count = self.count(1)?;
        self.take(count)
    }

    /// Reads a number of two words.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn wide(&mut self) -> Result<i128, NotSaved> {
        let (low, high) = (self.word()?, self.word()?);
        Ok((u128::from(high) << 64 | u128::from(low)).cast_signed())
    }

    /// Reads a value.
    ///
    /// # Errors
    /// When there is less than one.
    pub fn pod<T: Pod>(&mut self) -> Result<T, NotSaved> {
        let bytes: &[u8] = bytemuck::cast_slice(self.take(size_of::<T>().div_ceil(8))?);
        Ok(bytemuck::pod_read_unaligned(&bytes[..size_of::<T>()]))
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn bytes(&mut self) -> Result<&'a [u8], NotSaved> {
        let length = usize::try_from(self.word()?).map_err(|_| NotSaved)?;
        let bytes: &[u8] = bytemuck::cast_slice(self.take(length.div_ceil(8))?);
        Ok(&bytes[..length])
    }

    /// Says that nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub fn end(&self) -> Result<(), NotSaved> {
        self.rest.is_empty().then_some(()).ok_or(NotSaved)
    }
}

#[cfg(test)]
mod tests {
    use super::super::BytesKey;
    use super::*;

    #[test]
    fn what_is_written_is_read_and_less_is_refused() {
        let (mut out, mut tail) = (WordsWriter::default(), Vec::new());
        out.word(7);
        out.wide(-5);
        out.pod(&[1_u8, 2, 3]);
        out.key::<BytesKey>(b"JFK", &mut tail);
        out.words(&[8, 9]);
        out.bytes(&tail);
        let words = out.written();
        let read = |words: &[u64]| -> Result<(), NotSaved> {
            let mut from = WordsReader::new(words);
            assert_eq!(from.word()?, 7);
            assert_eq!(from.wide()?, -5);
            assert_eq!(from.pod::<[u8; 3]>()?, [1, 2, 3]);
            let key = from.take(1)?;
            assert_eq!(from.words()?, [8, 9]);
            let tail = from.bytes()?;
            assert_eq!(BytesKey::read(key, tail), b"JFK");
            from.end()
        };
        assert_eq!(read(words), Ok(()));
        for length in 0..words.len() {
            assert_eq!(read(&words[..length]), Err(NotSaved));
        }
        assert_eq!(read(&[words, &[0]].concat()), Err(NotSaved));
        out.clear();
        assert!(out.is_empty());
    }
}
