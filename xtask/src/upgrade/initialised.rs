//! A version of the skeleton as it would be under the project's name: initialised by its own `make init`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};

use super::{git::Git, migrations, source::Version};
use crate::{init, origin::Origin};

/// A checkout that goes when it is dropped.
pub(super) struct Initialised {
    git: Git,
}

impl Drop for Initialised {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.git.root);
    }
}

/// What the project was made with.
pub(super) struct Answers<'a> {
    pub(super) name: &'a str,
    pub(super) origin: &'a Origin,
    /// Where it builds.
    pub(super) target: &'a Path,
}

impl Initialised {
    /// Makes it in this folder, which is new.
    pub(super) fn make(
        project: &Git,
        folder: &Path,
        version: &Version,
        answers: &Answers<'_>,
    ) -> anyhow::Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)
                .with_context(|| format!("cannot delete {}", folder.display()))?;
        }
        let place = folder.display().to_string();
        // Not a work tree of the project: the tool would take the project's remote for that of the skeleton.
        project.run(&["clone", "--quiet", "--shared", "--no-checkout", ".", &place])?;
        let this = Self {
            git: Git::at(folder),
        };
        this.git.run(&["remote", "remove", "origin"])?;
        this.git.run(&[
            "-c",
            "advice.detachedHead=false",
            "checkout",
            "--quiet",
            "--detach",
            &version.commit,
        ])?;
        ensure!(
            folder.join("xtask/src/init").is_dir(),
            "{} ({}) has no make init yet, by which it would be made comparable. Begin with the first version that has one",
            version.name,
            version.short()
        );
        this.init(version, answers)?;
        Ok(this)
    }

    fn init(&self, version: &Version, answers: &Answers<'_>) -> anyhow::Result<()> {
        let Answers {
            name,
            origin,
            target,
        } = answers;
        let mut make = Command::new("make");
        make.args(["-s", "init", &format!("NAME={name}")]);
        for (key, value) in [("OWNER", &origin.owner), ("LICENSE", &origin.license)] {
            if let Some(value) = value {
                make.arg(format!("{key}={value}"));
            }
        }
        let left_out = self.left_out(&origin.without);
        if !left_out.is_empty() {
            make.arg(format!("WITHOUT={}", left_out.join(" ")));
        }
        eprintln!(
            "initialising {} ({}) as {name}",
            version.name,
            version.short()
        );
        let output = make
            .current_dir(&self.git.root)
            .env("CARGO_TARGET_DIR", target)
            .stdin(std::process::Stdio::null())
            .output()
            .context("make does not run")?;
        if output.status.success() {
            return Ok(());
        }
        bail!(
            "make init of {} ({}) failed: {}",
            version.name,
            version.short(),
            String::from_utf8_lossy(&output.stderr).trim()
        )
    }

    /// Those that this version has, and can leave out. What it cannot leave out, the project removed by itself.
    fn left_out<'f>(&self, features: &'f [String]) -> Vec<&'f str> {
        let has = |name: &&String| {
            let manifest = format!("src/features/{name}/feature.toml");
            self.git.root.join(manifest).exists()
        };
        features.iter().filter(has).map(String::as_str).collect()
    }

    /// Its migrations: name without ending, and the texts of step and undo.
    pub(super) fn migrations(&self) -> anyhow::Result<migrations::Steps> {
        migrations::read(&self.git.root)
    }

    /// Makes it comparable: what is the project's own, its line of origin and its migrations, is in it as in the project.
    pub(super) fn adopt(
        &self,
        origin: impl Fn(&str) -> String,
        steps: &migrations::Steps,
        renamed: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let root = &self.git.root;
        let files = self
            .git
            .run(&["ls-files", "--cached", "--others", "--exclude-standard"])?;
        let files: Vec<PathBuf> = files.lines().map(PathBuf::from).collect();
        let files: Vec<PathBuf> = files
            .into_iter()
            .filter(|file| root.join(file).exists())
            .collect();
        for (path, text) in init::texts(root, &files)? {
            if path.starts_with("crates") || path.starts_with("migrations") {
                continue;
            }
            let mut new = text.clone();
            for (there, here) in renamed {
                new = new.replace(there, here);
            }
            if path == Path::new("Cargo.toml") {
                new = origin(&new);
            }
            if new != text {
                fs::write(root.join(&path), new)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        migrations::write(root, steps)
    }

    /// Its tree, which the project gets.
    pub(super) fn tree(&self, project: &Git) -> anyhow::Result<String> {
        self.git.run(&["add", "--all"])?;
        let tree = self.git.run(&["write-tree"])?;
        let commit = self.git.commit_tree(&tree, &[])?;
        self.git
            .run(&["update-ref", "refs/heads/initialised", &commit])?;
        let place = self.git.root.display().to_string();
        project.run(&[
            "fetch",
            "--quiet",
            "--no-tags",
            "--",
            &place,
            "refs/heads/initialised",
        ])?;
        Ok(tree)
    }
}
