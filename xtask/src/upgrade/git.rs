//! Git, which does the merging.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, bail};

/// Commits of ours that nobody keeps. Somebody's own identity and signature are for the one that stays.
const AUTHOR: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "upgrade"),
    ("GIT_AUTHOR_EMAIL", "upgrade@localhost"),
    ("GIT_COMMITTER_NAME", "upgrade"),
    ("GIT_COMMITTER_EMAIL", "upgrade@localhost"),
];

/// A repository.
pub(super) struct Git {
    pub(super) root: PathBuf,
}

impl Git {
    pub(super) fn at(root: &Path) -> Self {
        let root = root.to_owned();
        Self { root }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root).args(arguments);
        for variable in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
            command.env_remove(variable);
        }
        command
    }

    /// What it prints.
    pub(super) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            bail!(
                "git {} failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned())
    }

    /// What it prints and how it ended.
    pub(super) fn output(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.command(arguments).output().context("git does not run")
    }

    /// Gives it this to read.
    pub(super) fn feed(&self, arguments: &[&str], input: &str) -> anyhow::Result<()> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .context("git does not run")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(input.as_bytes())
                .context("git does not read")?;
        }
        let status = child.wait()?;
        anyhow::ensure!(status.success(), "git {} failed", arguments.join(" "));
        Ok(())
    }

    /// The commit that a name stands for.
    pub(super) fn commit_of(&self, name: &str) -> Option<String> {
        let name = format!("{name}^{{commit}}");
        self.run(&[
            "rev-parse",
            "--quiet",
            "--verify",
            "--end-of-options",
            &name,
        ])
        .ok()
    }

    /// A commit of this tree that no branch has.
    pub(super) fn commit_tree(&self, tree: &str, parents: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command(&["commit-tree", tree, "-m", "upgrade"]);
        for parent in parents {
            command.args(["-p", parent]);
        }
        let output = command.envs(AUTHOR).output().context("git does not run")?;
        anyhow::ensure!(
            output.status.success(),
            "git commit-tree failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The text of a file in a commit.
    pub(super) fn text(&self, commit: &str, path: &str) -> anyhow::Result<String> {
        self.run(&["show", &format!("{commit}:{path}")])
    }
}
