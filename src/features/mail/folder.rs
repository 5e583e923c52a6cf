//! A folder instead of a server: the mailbox of development and tests.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use time::OffsetDateTime;
use uuid::Uuid;

/// Writes a message as a file that mail programs open: `<milliseconds>-<template>-<id>.eml`, so that names sort by time.
///
/// It appears whole or not at all, and only its owner reads it: it holds links that sign in.
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
    let draft = path.with_extension("draft");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    fs::rename(&draft, &path)?;
    Ok(path)
}
