use super::*;
use crate::text::plan::Notice;
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
    let mut input = ByteInput::open(&path, Follow::Never).unwrap();
    assert_eq!(input.bytes_total(), Some(3));
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(3));
    input.consume(2);
    assert_eq!(input.available(), b"c");
    assert!(!input.has_ended());
    assert_eq!(input.fill().unwrap(), Chunk::End);
    assert!(input.has_ended() && input.bytes_read() == 3);
}

/// What became of a followed file, as it is told.
fn told(input: &mut ByteInput) -> Option<Notice> {
    let (turn, unfinished) = input.turn().unwrap()?;
    Some(turn.notice("in".to_owned(), unfinished))
}

#[test]
fn a_followed_file_may_grow_and_is_read_again_when_it_shrank() {
    let (_folder, path) = file(b"ab");
    let mut input = ByteInput::open(&path, Follow::Name).unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(2));
    assert_eq!(input.fill().unwrap(), Chunk::Pending);
    assert_eq!(told(&mut input), None);
    let mut writer = File::options().append(true).open(&path).unwrap();
    writer.write_all(b"cd\nef").unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(5));
    assert_eq!(input.available(), b"abcd\nef");
    input.consume(5);
    writer.set_len(1).unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Pending);
    // Whatever comes meanwhile waits until it was told.
    writer.write_all(b"longer than before").unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Pending);
    let cut = Notice::Cut { name: "in".to_owned(), size: 1, read: 7, unfinished: 2 };
    assert_eq!(told(&mut input), Some(cut));
    assert_eq!(told(&mut input), None);
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(19));
    assert_eq!(input.available(), b"alonger than before");
    assert!(!input.can_seek(), "a place in it may be one in what is gone");
}

#[test]
fn a_followed_name_is_followed_to_another_file_once_the_old_one_is_read() {
    let (folder, path) = file(b"\xef\xbb\xbfold");
    let mut input = ByteInput::open(&path, Follow::Name).unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(6));
    std::fs::rename(&path, folder.path().join("in.1")).unwrap();
    for _ in 0..2 {
        assert_eq!(input.fill().unwrap(), Chunk::Pending);
        match told(&mut input) {
            Some(Notice::Gone { problem, .. }) => assert!(problem.contains("No such file")),
            other => assert_eq!(other, None, "it is told once"),
        }
    }
    let mut old = File::options().append(true).open(folder.path().join("in.1")).unwrap();
    old.write_all(b"er").unwrap();
    std::fs::write(&path, b"\xef\xbb\xbfnew").unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(2));
    assert_eq!(input.available(), b"older");
    assert_eq!(input.fill().unwrap(), Chunk::End);
    assert!(input.has_ended());
    input.consume(5);
    assert_eq!(told(&mut input), Some(Notice::Replaced { name: "in".to_owned() }));
    assert!(!input.has_ended());
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(6));
    assert_eq!(input.available(), b"new");
    // A name that was lost and found is told of when it is lost again.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Pending);
    assert!(matches!(told(&mut input), Some(Notice::Gone { .. })));
}

#[test]
fn a_file_whose_places_are_kept_may_neither_shrink_nor_be_replaced() {
    let (_folder, path) = file(b"ab");
    let mut input = ByteInput::open(&path, Follow::File).unwrap();
    assert!(input.can_seek());
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(2));
    assert_eq!(input.fill().unwrap(), Chunk::Pending);
    File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
    let error = input.fill().unwrap_err().to_string();
    assert!(error.contains("cut to 1 bytes") && error.contains("another state"), "{error}");

    let (folder, path) = file(b"ab");
    let mut input = ByteInput::open(&path, Follow::File).unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(2));
    let other = folder.path().join("other");
    std::fs::write(&other, b"abc").unwrap();
    std::fs::rename(&other, &path).unwrap();
    let error = input.fill().unwrap_err().to_string();
    assert!(error.contains("replaced by another") && error.contains("another state"), "{error}");
}

#[test]
fn a_pipe_is_pending_until_written_and_ends_when_closed() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut input =
        ByteInput::from_fd("pipe".to_owned(), reader.into(), None, Follow::Never).unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Pending);
    writer.write_all(b"x").unwrap();
    assert_eq!(input.fill().unwrap(), Chunk::Bytes(1));
    drop(writer);
    assert_eq!(input.fill().unwrap(), Chunk::End);
}

#[test]
fn what_is_no_file_is_an_error() {
    let (folder, path) = file(b"");
    assert!(ByteInput::open(folder.path(), Follow::Never).is_err());
    assert!(ByteInput::open(&path.with_extension("none"), Follow::Never).is_err());
}

#[test]
fn a_huge_record_leaves_no_huge_buffer_behind() {
    let (_folder, path) = file(&vec![b'x'; 40 * CHUNK_BYTES]);
    let mut input = ByteInput::open(&path, Follow::Never).unwrap();
    while input.available().len() < 32 * CHUNK_BYTES {
        input.fill().unwrap();
    }
    input.consume(input.available().len());
    input.fill().unwrap();
    assert!(input.buffer.len() <= 8 * CHUNK_BYTES, "{}", input.buffer.len());
}
