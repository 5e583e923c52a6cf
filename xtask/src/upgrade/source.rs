//! The skeleton's versions: the one that the project is at, and the one that is asked for.

use anyhow::{Context, bail, ensure};

use super::git::Git;
use crate::origin::{Origin, without_credentials};

/// Where its branches and tags are kept, apart from the project's own.
const REFS: &str = "refs/skeleton";

/// A version of the skeleton.
pub(super) struct Version {
    /// As it was asked for: a tag, a branch or a revision.
    pub(super) name: String,
    pub(super) commit: String,
}

impl Version {
    /// The commit as people write it.
    pub(super) fn short(&self) -> &str {
        self.commit.get(..12).unwrap_or(&self.commit)
    }
}

/// Fetches what the skeleton has.
pub(super) fn fetch(git: &Git, address: &str) -> anyhow::Result<()> {
    let heads = format!("+refs/heads/*:{REFS}/heads/*");
    let tags = format!("+refs/tags/*:{REFS}/tags/*");
    let output = git.output(&[
        "fetch",
        "--quiet",
        "--no-tags",
        "--prune",
        "--",
        address,
        &heads,
        &tags,
    ])?;
    ensure!(
        output.status.success(),
        "the skeleton cannot be fetched from {}. FROM=ADDRESS names another one. Git says: {}",
        without_credentials(address),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Refuses a clone that lacks a part of its history, in which versions could not be compared.
pub(super) fn refuse_shallow(git: &Git) -> anyhow::Result<()> {
    ensure!(
        git.run(&["rev-parse", "--is-shallow-repository"])? != "true",
        "this clone is shallow: git fetch --unshallow completes it"
    );
    Ok(())
}

/// The version that was asked for, or else the newest that has a tag.
pub(super) fn wanted(git: &Git, name: Option<&str>) -> anyhow::Result<Version> {
    let Some(name) = name else {
        let pattern = format!("{REFS}/tags/v*");
        let newest = git.run(&[
            "for-each-ref",
            "--sort=-version:refname",
            "--count=1",
            "--format=%(refname)",
            &pattern,
        ])?;
        ensure!(
            !newest.is_empty(),
            "the skeleton has no tag v…, so the version has to be named: make upgrade VERSION=<tag, branch or revision>"
        );
        return named(git, newest.rsplit('/').next().unwrap_or_default());
    };
    named(git, name)
}

fn named(git: &Git, name: &str) -> anyhow::Result<Version> {
    let places = [
        format!("{REFS}/tags/{name}"),
        format!("{REFS}/tags/v{name}"),
        format!("{REFS}/heads/{name}"),
        name.to_owned(),
    ];
    let is_number = name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut places = places.iter().take(if is_number { 4 } else { 3 });
    let commit = places.find_map(|place| git.commit_of(place));
    let commit = commit.with_context(|| {
        format!("the skeleton has no tag, branch or revision {name}, as far as it was fetched")
    })?;
    Ok(Version {
        name: name.to_owned(),
        commit,
    })
}

/// The version that the project is at: what was given, the commit that is written down, or the tag of the version that is.
pub(super) fn current(git: &Git, origin: &Origin, given: Option<&str>) -> anyhow::Result<Version> {
    if let Some(name) = given {
        return named(git, name);
    }
    if let Some(revision) = origin.revision() {
        let Some(commit) = git.commit_of(revision) else {
            bail!(
                "{revision}, where the project is by its Cargo.toml, is not in what was fetched. FROM=ADDRESS names another \
                 skeleton, and BASE=<tag or revision> another beginning"
            );
        };
        return Ok(Version {
            name: revision.to_owned(),
            commit,
        });
    }
    let version = origin.version().unwrap_or_default();
    named(git, version).with_context(|| {
        format!(
            "Cargo.toml says that the project began as {}, and not with which commit. Say it: BASE=<tag or revision>",
            origin.began
        )
    })
}

/// Refuses what is no step forward.
pub(super) fn refuse_backwards(git: &Git, from: &Version, to: &Version) -> anyhow::Result<()> {
    ensure!(
        from.commit != to.commit,
        "the project is at {} already, which is {}",
        to.name,
        to.short()
    );
    let is_older = git.output(&["merge-base", "--is-ancestor", &to.commit, &from.commit])?;
    ensure!(
        !is_older.status.success(),
        "{} ({}) is older than what the project is at ({})",
        to.name,
        to.short(),
        from.short()
    );
    Ok(())
}
