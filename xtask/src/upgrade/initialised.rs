//! A version of the skeleton as it would be under the project's name: initialised by its own `make init`. Not by make, which
//! also has the program compiled to write its references: those are made after the merge.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use super::{git::Git, migrations, source::Version};
use crate::{init, origin::Origin};

/// What the program writes about itself: it is written anew after the merge, and stays as it is in the project until then.
pub(super) const WRITTEN: [&str; 5] = [
    ".env.example",
    "docs/api.http",
    "docs/reference/features.md",
    "docs/reference/metrics.md",
    "docs/reference/settings.md",
];

/// How the table of endpoints begins, which the program writes into README.
const ENDPOINTS: &str = "| method and path | who | what |\n";

/// A checkout that goes when it is dropped.
pub(super) struct Initialised {
    git: Git,
    /// The features that were left out: those that the project does without, and what cannot do without these.
    pub(super) left_out: Vec<String>,
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
        project.run(&[
            "clone",
            "--quiet",
            "--shared",
            "--no-checkout",
            "--origin",
            "origin",
            ".",
            &place,
        ])?;
        let mut this = Self {
            git: Git::at(folder),
            left_out: Vec::new(),
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
        this.left_out = this.closure(&answers.origin.without)?;
        this.init(version, answers)?;
        Ok(this)
    }

    fn init(&self, version: &Version, answers: &Answers<'_>) -> anyhow::Result<()> {
        let Answers {
            name,
            origin,
            target,
        } = answers;
        self.forget_other_tools(target);
        let mut tool = Command::new("cargo");
        tool.args(["run", "--quiet", "--locked", "--package", "xtask", "--"]);
        tool.args(["init", name]);
        for (option, value) in [("--owner", &origin.owner), ("--license", &origin.license)] {
            if let Some(value) = value {
                tool.args([option, value.as_str()]);
            }
        }
        for feature in &self.left_out {
            tool.args(["--without", feature]);
        }
        eprintln!(
            "initialising {} ({}) as {name}",
            version.name,
            version.short()
        );
        let output = tool
            .current_dir(&self.git.root)
            .env("CARGO_TARGET_DIR", target)
            .stdin(std::process::Stdio::null())
            .output()
            .context("cargo does not run")?;
        if output.status.success() {
            return Ok(());
        }
        bail!(
            "init of {} ({}) failed: {}",
            version.name,
            version.short(),
            String::from_utf8_lossy(&output.stderr).trim()
        )
    }

    /// Deletes what was built of the tool of another version. This folder lies below the one that cargo builds in, and there cargo looks
    /// at the sources that it built from and not at these, which have the same name and version.
    fn forget_other_tools(&self, target: &Path) {
        let mut clean = Command::new("cargo");
        clean.args(["clean", "--quiet", "--locked", "--package", "xtask"]);
        clean.current_dir(&self.git.root);
        // Where it fails, the next command says why.
        let _ = clean.env("CARGO_TARGET_DIR", target).output();
    }

    /// Those of these features that this version has and can leave out, and every one that needs one of them. What it cannot
    /// leave out, the project removed by itself.
    fn closure(&self, features: &[String]) -> anyhow::Result<Vec<String>> {
        let mut needs = BTreeMap::new();
        let folder = self.git.root.join("src/features");
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry?;
            let Ok(text) = fs::read_to_string(entry.path().join("feature.toml")) else {
                continue;
            };
            let manifest: Manifest = toml::from_str(&text)
                .with_context(|| format!("{} has no manifest", entry.path().display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            needs.insert(name, manifest.needs);
        }
        Ok(without(&needs, features))
    }

    /// Its migrations: name without ending, and the texts of step and undo.
    pub(super) fn migrations(&self) -> anyhow::Result<migrations::Steps> {
        migrations::read(&self.git.root)
    }

    /// Makes it comparable: what is the project's own, its line of origin, its migrations and what its program writes, is in it
    /// as in the project.
    pub(super) fn adopt(
        &self,
        project: &Path,
        origin: impl Fn(&str) -> String,
        steps: &migrations::Steps,
        renamed: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let root = &self.git.root;
        let listing = ["ls-files", "--cached", "--others", "--exclude-standard"];
        let files = self.git.run(&listing)?;
        let files = files.lines().map(PathBuf::from);
        let files: Vec<PathBuf> = files.filter(|file| root.join(file).exists()).collect();
        for (path, text) in init::texts(root, &files)? {
            if path.starts_with("crates") || path.starts_with("migrations") {
                continue;
            }
            let mut new = text.clone();
            for (there, here) in renamed {
                new = new.replace(there, here);
            }
            let ours = fs::read_to_string(project.join(&path));
            if path == Path::new("Cargo.toml") {
                new = origin(&new);
            } else if let (true, Ok(ours)) =
                (WRITTEN.iter().any(|file| path == Path::new(file)), &ours)
            {
                new.clone_from(ours);
            } else if let (true, Ok(ours)) = (path == Path::new("README.md"), &ours) {
                new = with_table(&new, ours);
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

/// What is read of a feature's manifest, which may be of a version that says more there.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    needs: Vec<String>,
}

/// Those of these features that are there, and every one that needs one of them.
fn without(needs: &BTreeMap<String, Vec<String>>, features: &[String]) -> Vec<String> {
    let mut left_out: BTreeSet<&String> = needs
        .keys()
        .filter(|name| features.contains(name))
        .collect();
    loop {
        let before = left_out.len();
        let users = needs
            .iter()
            .filter(|(_, needed)| needed.iter().any(|name| left_out.contains(name)));
        let users: Vec<&String> = users.map(|(name, _)| name).collect();
        left_out.extend(users);
        if left_out.len() == before {
            return left_out.into_iter().cloned().collect();
        }
    }
}

/// The page with the table of endpoints of another one. As it is, when one of them has none.
fn with_table(page: &str, other: &str) -> String {
    let parts = |text: &str| {
        let from = text.find(ENDPOINTS)?;
        let length = text[from..].find("\n\n")?;
        Some((from, from + length))
    };
    match (parts(page), parts(other)) {
        (Some((from, to)), Some((begin, end))) => {
            format!("{}{}{}", &page[..from], &other[begin..end], &page[to..])
        }
        _ => page.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_feature_goes_with_it() {
        let features = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let needs = [
            ("invitations", features(&["letters"])),
            ("letters", features(&["queue"])),
            ("orders", features(&[])),
            ("queue", features(&[])),
        ]
        .map(|(name, needed): (&str, Vec<String>)| (name.to_owned(), needed))
        .into();

        let without = |names: &[&str]| without(&needs, &features(names)).join(" ");
        assert_eq!(without(&["letters", "stamps"]), "invitations letters");
        assert_eq!(without(&["queue"]), "invitations letters queue");
        assert_eq!(without(&[]), "");
    }

    #[test]
    fn the_table_of_endpoints_is_the_others() {
        let page = |rows: &str| format!("a\n\n{ENDPOINTS}| --- |\n{rows}\n\nb\n");

        assert_eq!(with_table(&page("| 1 |"), &page("| 2 |")), page("| 2 |"));
        assert_eq!(with_table("a\n", &page("| 2 |")), "a\n");
        assert_eq!(with_table(&page("| 1 |"), "a\n"), page("| 1 |"));
    }
}
