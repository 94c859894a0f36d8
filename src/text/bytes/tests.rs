use super::*;
use std::fs::File;
use std::io::Write;

fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn a_file_ends_and_knows_how_long_it_is() {
    let (_folder, path) = file(b"abc");
    let mut input = ByteInput::open(&path, false).unwrap();
    assert_eq!(input.bytes_total(), Some(3));
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(3));
    input.consume(2);
    assert_eq!(input.available(), b"c");
    assert!(!input.has_ended());
    assert_eq!(input.fill().unwrap(), Chunk::End);
    assert!(input.has_ended() && input.bytes_read() == 3);
}

#[test]
fn a_followed_file_may_grow_and_may_not_shrink() {
    let (_folder, path) = file(b"ab");
    let mut input = ByteInput::open(&path, true).unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(2));
    assert_eq!(input.fill().unwrap(), Chunk::Pending);
    let mut writer = File::options().append(true).open(&path).unwrap();
    writer.write_all(b"cd").unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(2));
    assert_eq!(input.available(), b"abcd");
    writer.set_len(1).unwrap();
    let error = input.fill().unwrap_err().to_string();
    assert!(error.contains("cut to 1 bytes"), "{error}");
}

#[test]
fn a_pipe_is_pending_until_written_and_ends_when_closed() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut input = ByteInput::from_fd("pipe".to_owned(), reader.into(), false).unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Pending);
    writer.write_all(b"x").unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(1));
    drop(writer);
    assert_eq!(input.fill().unwrap(), Chunk::End);
}

#[test]
fn what_is_no_file_is_an_error() {
    let (folder, path) = file(b"");
    assert!(ByteInput::open(folder.path(), false).is_err());
    assert!(ByteInput::open(&path.with_extension("none"), false).is_err());
}

#[test]
fn a_huge_record_leaves_no_huge_buffer_behind() {
    let (_folder, path) = file(&vec![b'x'; 40 * CHUNK_BYTES]);
    let mut input = ByteInput::open(&path, false).unwrap();
    while input.available().len() < 32 * CHUNK_BYTES {
        input.fill().unwrap();
    }
    input.consume(input.available().len());
    input.fill().unwrap();
    assert!(input.buffer.len() <= 8 * CHUNK_BYTES, "{}", input.buffer.len());
}
