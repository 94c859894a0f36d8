//! The two kinds of key: fixed-width plain data, and bytes of any length.

use super::{Key, KeyHash, RouteHasher, TableHasher};
use bytemuck::{Pod, Zeroable};
use std::fmt::Debug;
use std::marker::PhantomData;

/// How keys are handed about, laid in frames and kept in tables.
///
/// A table keeps one [`KeyKind::Stored`] a key, and what does not fit it in a [`KeyKind::Heap`]
/// that the table clears as a whole.
pub trait KeyKind: Clone + Send + 'static {
    /// A key as it is passed from hand to hand.
    type Ref<'a>: Copy + Debug;
    /// A key as a table keeps it.
    type Stored: Copy + Zeroable + Send + 'static;
    /// What a table keeps beside the stored keys.
    type Heap: Default + Send + 'static;

    /// The hash that decides the shard.
    fn route(hasher: RouteHasher, key: Self::Ref<'_>) -> KeyHash;
    /// The hash for tables in memory.
    fn table_hash(hasher: &TableHasher, key: Self::Ref<'_>) -> u64;

    /// Puts a key into a table's keeping.
    fn store(heap: &mut Self::Heap, key: Self::Ref<'_>) -> Self::Stored;
    /// The key that was stored.
    fn load<'a>(heap: &'a Self::Heap, stored: &'a Self::Stored) -> Self::Ref<'a>;
    /// Whether the stored key is `key`.
    fn matches(heap: &Self::Heap, stored: &Self::Stored, key: Self::Ref<'_>) -> bool;
    /// Forgets all keys, keeps the memory.
    fn clear(heap: &mut Self::Heap);
    /// Bytes that the heap holds for live keys.
    fn heap_bytes(heap: &Self::Heap) -> usize;

    /// Words that a key takes in a row of results.
    fn words() -> usize;
    /// Bytes that a key takes in a frame's tail heap.
    fn tail_bytes(key: Self::Ref<'_>) -> usize;
    /// Lays a key into a row of results and the frame's tail heap.
    fn lay(key: Self::Ref<'_>, words: &mut [u64], tail: &mut Vec<u8>);
    /// Reads a key that was laid so.
    fn read<'a>(words: &'a [u64], tail: &'a [u8]) -> Self::Ref<'a>;
}

/// Keys of fixed width: any plain data with equality.
#[derive(Clone, Copy, Debug)]
pub struct PodKey<K>(PhantomData<K>);

impl<K: Key> KeyKind for PodKey<K> {
    type Ref<'a> = K;
    type Stored = K;
    type Heap = ();

    #[inline]
    fn route(hasher: RouteHasher, key: K) -> KeyHash {
        hasher.hash(bytemuck::bytes_of(&key))
    }

    #[inline]
    fn table_hash(hasher: &TableHasher, key: K) -> u64 {
        hasher.hash(bytemuck::bytes_of(&key))
    }

    #[inline]
    fn store((): &mut (), key: K) -> K {
        key
    }

    #[inline]
    fn load<'a>((): &'a (), stored: &'a K) -> K {
        *stored
    }

    #[inline]
    fn matches((): &(), stored: &K, key: K) -> bool {
        *stored == key
    }

    fn clear((): &mut ()) {}

    fn heap_bytes((): &()) -> usize {
        0
    }

    fn words() -> usize {
        size_of::<K>().div_ceil(8)
    }

    fn tail_bytes(_: K) -> usize {
        0
    }

    #[inline]
    fn lay(key: K, words: &mut [u64], _: &mut Vec<u8>) {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
        bytes[..size_of::<K>()].copy_from_slice(bytemuck::bytes_of(&key));
        if !size_of::<K>().is_multiple_of(8) {
            bytes[size_of::<K>()..].fill(0);
        }
    }

    #[inline]
    fn read<'a>(words: &'a [u64], _: &'a [u8]) -> K {
        let bytes: &[u8] = bytemuck::cast_slice(words);
        bytemuck::pod_read_unaligned(&bytes[..size_of::<K>()])
    }
}

/// Keys of bytes of any length: a text, or several columns with nulls among them, each part
/// written by [`push_key_part`] and read back through [`KeyParts`].
#[derive(Clone, Copy, Debug)]
pub struct BytesKey;

/// Where a stored key's bytes lie in the table's heap.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct StoredBytes {
    offset: u32,
    length: u32,
}

impl KeyKind for BytesKey {
    type Ref<'a> = &'a [u8];
    type Stored = StoredBytes;
    type Heap = Vec<u8>;

    #[inline]
    fn route(hasher: RouteHasher, key: &[u8]) -> KeyHash {
        hasher.hash(key)
    }

    #[inline]
    fn table_hash(hasher: &TableHasher, key: &[u8]) -> u64 {
        hasher.hash(key)
    }

    #[inline]
    fn store(heap: &mut Vec<u8>, key: &[u8]) -> StoredBytes {
        let offset = u32::try_from(heap.len()).expect("a table's key heap stays under 4 GiB");
        let length = u32::try_from(key.len()).expect("a key is shorter than a record");
        heap.extend_from_slice(key);
        StoredBytes { offset, length }
    }

    #[inline]
    fn load<'a>(heap: &'a Vec<u8>, stored: &'a StoredBytes) -> &'a [u8] {
        &heap[stored.offset as usize..][..stored.length as usize]
    }

    #[inline]
    fn matches(heap: &Vec<u8>, stored: &StoredBytes, key: &[u8]) -> bool {
        Self::load(heap, stored) == key
    }

    fn clear(heap: &mut Vec<u8>) {
        heap.clear();
    }

    fn heap_bytes(heap: &Vec<u8>) -> usize {
        heap.len()
    }

    fn words() -> usize {
        1
    }

    fn tail_bytes(key: &[u8]) -> usize {
        key.len()
    }

    #[inline]
    fn lay(key: &[u8], words: &mut [u64], tail: &mut Vec<u8>) {
        words[0] = super::HeapRef::push(tail, key).to_raw();
    }

    #[inline]
    fn read<'a>(words: &'a [u64], tail: &'a [u8]) -> &'a [u8] {
        super::HeapRef::from_raw(words[0]).bytes(tail)
    }
}

const NULL_PART: u32 = u32::MAX;
/// Beside the length of a part that is no text.
const BARE: u32 = 1 << 31;

fn part_length(part: &[u8]) -> u32 {
    let length = u32::try_from(part.len()).ok().filter(|length| length & BARE == 0);
    length.expect("a key part is shorter than a record")
}

/// Appends one part of a composite key that is no text, but a number or a truth value as JSON
/// spells it: another key than the text of the same bytes.
pub fn push_bare_key_part(key: &mut Vec<u8>, part: &[u8]) {
    key.extend_from_slice(&(part_length(part) | BARE).to_le_bytes());
    key.extend_from_slice(part);
}

/// Appends one part of a composite key: its length and its bytes, or the mark of a null.
pub fn push_key_part(key: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        Some(bytes) => {
            key.extend_from_slice(&part_length(bytes).to_le_bytes());
            key.extend_from_slice(bytes);
        }
        None => key.extend_from_slice(&NULL_PART.to_le_bytes()),
    }
}

/// The parts of a composite key, in order; `None` is a null.
#[derive(Clone, Debug)]
pub struct KeyParts<'a> {
    rest: &'a [u8],
}

impl<'a> KeyParts<'a> {
    /// Reads what [`push_key_part`] wrote.
    pub const fn new(key: &'a [u8]) -> Self {
        Self { rest: key }
    }

    /// Whether the next part is one that [`push_bare_key_part`] wrote.
    pub fn is_next_bare(&self) -> bool {
        let length = self.rest.first_chunk::<4>().map(|length| u32::from_le_bytes(*length));
        length.is_some_and(|length| length != NULL_PART && length & BARE != 0)
    }
}

impl<'a> Iterator for KeyParts<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if length == NULL_PART {
            self.rest = rest;
            return Some(None);
        }
        let (part, rest) = rest.split_at_checked((length & !BARE) as usize)?;
        self.rest = rest;
        Some(Some(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_keys_do_not_run_into_each_other() {
        let key = |parts: &[Option<&[u8]>]| {
            let mut key = Vec::new();
            parts.iter().for_each(|part| push_key_part(&mut key, *part));
            key
        };
        assert_ne!(key(&[Some(b"ab"), Some(b"c")]), key(&[Some(b"a"), Some(b"bc")]));
        assert_ne!(key(&[Some(b""), None]), key(&[None, Some(b"")]));
        let parts: [Option<&[u8]>; 3] = [Some(b"007"), None, Some(b"")];
        assert!(KeyParts::new(&key(&parts)).eq(parts));
    }

    #[test]
    fn a_number_is_another_key_than_the_text_of_its_digits() {
        let (mut bare, mut text) = (Vec::new(), Vec::new());
        push_bare_key_part(&mut bare, b"7");
        push_key_part(&mut text, Some(b"7"));
        assert_ne!(bare, text);
        push_key_part(&mut bare, None);
        push_key_part(&mut bare, Some(b"x"));
        let mut parts = KeyParts::new(&bare);
        for (is_bare, part) in [(true, Some(&b"7"[..])), (false, None), (false, Some(b"x"))] {
            assert_eq!((parts.is_next_bare(), parts.next()), (is_bare, Some(part)));
        }
        assert!(!parts.is_next_bare() && parts.next().is_none());
    }

    #[test]
    fn keys_come_back_from_words_and_tail() {
        let (mut words, mut tail) = ([0; 2], vec![9]);
        PodKey::<[u8; 12]>::lay([7; 12], &mut words, &mut tail);
        assert_eq!(PodKey::<[u8; 12]>::read(&words, &tail), [7; 12]);
        BytesKey::lay(b"JFK", &mut words[..1], &mut tail);
        assert_eq!(BytesKey::read(&words[..1], &tail), b"JFK");
    }
}
