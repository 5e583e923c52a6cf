//! The copy that is to be renamed: which files it has, and whether something in it could be lost.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::origin::without_credentials;

/// What git knows of the copy.
pub(super) struct Checkout {
    /// Every file, relative to the project's folder.
    pub(super) files: Vec<PathBuf>,
    /// The commit it began from, where the history reaches back to it.
    pub(super) revision: Option<String>,
    /// The address that `origin` has.
    pub(super) remote: Option<String>,
}

impl Checkout {
    /// Looks at the copy through git, and refuses it when a change there is not in git yet.
    pub(super) fn open(root: &Path) -> anyhow::Result<Self> {
        if git(root, &["rev-parse", "--is-inside-work-tree"])?.is_none() {
            bail!(
                "{} is not in git, so nothing could be compared or taken back afterwards. Put it there: \
                 git init && git add --all && git commit -m 'Begin'",
                root.display()
            );
        }
        // Without permissions: a copy that lost them gets them back on the way here (scripts/executable), which loses nothing.
        let status = git(
            root,
            &[
                "-c",
                "core.fileMode=false",
                "status",
                "--porcelain",
                // Whatever somebody's git is told to hide.
                "--untracked-files=normal",
                "--",
                ".",
            ],
        )?
        .context(
            "git status failed, so whether anything would be lost is not known: see what it says",
        )?;
        refuse_changes(&status)?;
        let folder = git(root, &["rev-parse", "--absolute-git-dir"])?
            .context("git does not say where it keeps this repository: see what it says")?;
        refuse_unfinished(|file| Path::new(folder.trim_end()).join(file).exists())?;

        let listing =
            git(root, &["ls-files", "-z"])?.context("git ls-files failed: see what it says")?;
        let files: Vec<PathBuf> = listing.split_terminator('\0').map(PathBuf::from).collect();
        if files.is_empty() {
            bail!(
                "git knows no file in {}: a folder above it is in git, and ignores this one. Give it a git of its own: \
                 git init && git add --all && git commit -m 'Begin'",
                root.display()
            );
        }
        Ok(Self {
            files,
            revision: revision(root)?,
            remote: git(root, &["remote", "get-url", "origin"])?
                .map(|address| without_credentials(address.trim())),
        })
    }

    /// The same for a copy that a program has just made, and that nobody has touched.
    pub(super) fn fresh(root: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        walk(root, Path::new(""), &mut files)
            .with_context(|| format!("cannot list {}", root.display()))?;
        Ok(Self {
            files,
            revision: None,
            remote: None,
        })
    }

    /// The names that files of the sources and tests give to modules.
    pub(super) fn modules(&self) -> BTreeSet<String> {
        self.files
            .iter()
            .filter(|file| file.starts_with("src") || file.starts_with("tests"))
            .flat_map(|file| file.iter().skip(1))
            .filter_map(|part| part.to_str())
            .map(|part| part.strip_suffix(".rs").unwrap_or(part).to_owned())
            .collect()
    }
}

/// Every file that git knows or would add; where there is no git, every file.
pub(super) fn present(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listing = git(
        root,
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    )?;
    let Some(listing) = listing else {
        return Ok(Checkout::fresh(root)?.files);
    };
    let files = listing.split_terminator('\0').map(PathBuf::from);
    Ok(files.filter(|file| root.join(file).exists()).collect())
}

fn refuse_changes(status: &str) -> anyhow::Result<()> {
    let changed: Vec<&str> = status.lines().filter_map(|line| line.get(3..)).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let some = changed[..changed.len().min(5)].join(", ");
    let more = if changed.len() > 5 { " and others" } else { "" };
    bail!(
        "not everything is committed ({some}{more}), and it could not be told apart from what this changes. \
         Commit it, or put it aside with git stash --include-untracked: git add --all && git commit -m 'Begin'"
    )
}

/// What git keeps while something takes several commands, and what that is.
const UNFINISHED: [(&str, &str); 5] = [
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
];

/// The next commit would be its end, though nothing waits to be committed.
fn refuse_unfinished(exists: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let unfinished = UNFINISHED.iter().find(|(file, _)| exists(file));
    if let Some((_, what)) = unfinished {
        bail!(
            "a {what} is not finished, and nothing was changed. End it first: git {what} --continue, or --abort"
        );
    }
    Ok(())
}

/// A commit of our own means nothing to those who look for where this began. It is one when it is the only commit: then
/// the copy was put into git by hand, or by a button of the code host.
fn revision(root: &Path) -> anyhow::Result<Option<String>> {
    let commits = git(root, &["rev-list", "--count", "--max-count=2", "HEAD"])?.unwrap_or_default();
    let shallow = git(root, &["rev-parse", "--is-shallow-repository"])?.unwrap_or_default();
    if commits.trim() != "2" && shallow.trim() != "true" {
        return Ok(None);
    }
    Ok(git(root, &["rev-parse", "--short=12", "HEAD"])?.map(|revision| revision.trim().to_owned()))
}

/// What git prints, or nothing where it fails.
fn git(root: &Path, arguments: &[&str]) -> anyhow::Result<Option<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .context("git does not run, and without it nothing could be taken back. Install it with your package manager")?;
    if output.status.success() {
        return Ok(Some(
            String::from_utf8(output.stdout).context("git printed what is not UTF-8")?,
        ));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // A repository of somebody else's is not the same as none, and git says what to do about it.
    if said.contains("dubious ownership") {
        bail!("{}", said.trim());
    }
    Ok(None)
}

fn walk(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            let built = path == Path::new("target") || path == Path::new(".git");
            if !built {
                walk(root, &path, files)?;
            }
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_not_committed_is_refused_and_named() {
        assert!(refuse_changes("").is_ok());

        let said = refuse_changes(" M README.md\n?? notes.txt\n")
            .unwrap_err()
            .to_string();
        assert!(said.contains("(README.md, notes.txt)"), "{said}");
        assert!(said.contains("git add --all && git commit"), "{said}");

        let many = " M file\n".repeat(6);
        assert!(
            refuse_changes(&many)
                .unwrap_err()
                .to_string()
                .contains("and others")
        );
    }

    #[test]
    fn a_merge_that_is_not_finished_is_refused() {
        assert!(refuse_unfinished(|_| false).is_ok());

        let said = refuse_unfinished(|file| file == "MERGE_HEAD")
            .unwrap_err()
            .to_string();
        assert!(said.contains("a merge is not finished"), "{said}");
    }

    #[test]
    fn modules_are_files_and_folders_of_sources_and_tests() {
        let checkout = Checkout {
            files: [
                "src/shared/site.rs",
                "tests/api/main.rs",
                "docs/security.md",
            ]
            .map(PathBuf::from)
            .to_vec(),
            revision: None,
            remote: None,
        };

        let expected = ["api", "main", "shared", "site"];
        assert!(checkout.modules().iter().eq(expected));
    }
}
