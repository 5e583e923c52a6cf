//! A folder instead of a server: the mailbox of development and tests.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use time::OffsetDateTime;
use uuid::Uuid;

use super::stored::StoredMessage;

/// Writes a message as a file that mail programs open: `<milliseconds>-<template>-<id>.eml`, so that names sort by time.
///
/// It appears whole or not at all, and only its owner reads it: links in it change accounts.
pub(super) fn write(
    folder: &Path,
    now: OffsetDateTime,
    template: &str,
    id: Uuid,
    bytes: &[u8],
) -> io::Result<PathBuf> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
    let path = folder.join(format!("{milliseconds:014}-{template}-{id}.eml"));
    // A name of its own, should two processes write the same message.
    let draft = path.with_extension(Uuid::new_v4().to_string());
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| fs::rename(&draft, &path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&draft);
    }
    written.map(|()| path)
}

/// The newest messages of a folder, the newest first. A folder that does not exist has none.
pub(super) fn list(folder: &Path, limit: usize) -> io::Result<Vec<StoredMessage>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "eml") {
            paths.push(path);
        }
    }
    paths.sort_unstable_by(|one, other| other.cmp(one));
    paths.truncate(limit);
    let read = |path: PathBuf| Ok(StoredMessage::parse(&fs::read(&path)?, path));
    paths.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-01-02 03:04:05 UTC);

    #[test]
    fn a_message_is_for_its_owner_alone_and_the_newest_comes_first() {
        let folder = std::env::temp_dir().join(format!("mail-{}", Uuid::new_v4()));
        let inner = folder.join("a/b");
        let message = b"Subject: one\r\n\r\nx";

        let first = write(&inner, NOW, "one", Uuid::from_u128(1), message).unwrap();
        let later = NOW + time::Duration::milliseconds(1);
        let second = write(&inner, later, "two", Uuid::from_u128(1), message).unwrap();
        let again = write(&inner, later, "two", Uuid::from_u128(1), message).unwrap();
        fs::write(inner.join("half-written.0"), "").unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&first)), (0o700, 0o600));
        assert_eq!(again, second);
        let listed = list(&inner, 10).unwrap();
        let paths: Vec<_> = listed.iter().map(|message| &message.path).collect();
        assert_eq!(paths, [&second, &first]);
        assert_eq!(list(&inner, 1).unwrap().len(), 1);
        fs::remove_dir_all(&folder).unwrap();
        assert!(list(&folder, 10).unwrap().is_empty());
    }

    #[test]
    fn a_message_that_cannot_be_written_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("mail-{}", Uuid::new_v4()));
        // Where the file should be, a folder is in the way.
        let name = format!("{:014}-one-{}.eml", 1_767_323_045_000_u64, Uuid::nil());
        fs::create_dir_all(folder.join(&name).join("x")).unwrap();

        let written = write(&folder, NOW, "one", Uuid::nil(), b"x");

        assert!(written.is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
