//! `upgrade`: what has changed in the skeleton since the project began comes into it, as one commit.
//!
//! Two versions of the skeleton are made comparable with the project: each is checked out and initialised by its own
//! `make init`, with the answers that Cargo.toml keeps. Between the old one (the base) and the new one lies what changed there;
//! between the old one and the project, what changed here. Git merges the three. So a file that the project did not
//! change is replaced by the new one, whatever happened to it, and nothing but a file that both changed can be in conflict.
//!
//! The project's migrations are no part of that: databases have applied them. New ones of the skeleton come behind them, under
//! another number where theirs is taken, and Cargo.toml keeps which is which.

mod git;
mod initialised;
mod merge;
mod migrations;
mod report;
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use self::{
    git::Git,
    initialised::{Answers, Initialised},
    merge::Merged,
    migrations::Numbered,
    source::Version,
};
use crate::{
    init,
    origin::{Origin, without_credentials},
};

/// The names of the sides in marks of conflicts.
const OURS: &str = "upgrade/yours";
const THEIRS: &str = "upgrade/skeleton";

/// What no fork is meant to edit.
const CHASSIS: [&str; 2] = ["crates", "xtask"];

/// Which version, and from where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A tag, a branch or a revision of the skeleton; without it, the newest tag v….
    version: Option<String>,

    /// Where the skeleton is had; without it, where it was.
    #[arg(long)]
    from: Option<String>,

    /// The version that the project is at, where its Cargo.toml does not say.
    #[arg(long)]
    base: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Takes over a version.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let root = init::root()?;
    let git = Git::at(&root);
    let begun = Begun::at(&git)?;
    source::refuse_shallow(&git)?;
    let manifest = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let (name, mut origin) = project(&manifest)?;
    let (address, from, to) = versions(&git, &origin, arguments)?;

    let folder = target(&root).join("upgrade");
    let answers = Answers {
        name: &name,
        origin: &origin,
        target: &target(&root),
    };
    let base = Initialised::make(&git, &folder.join("old"), &from, &answers)?;
    let next = Initialised::make(&git, &folder.join("new"), &to, &answers)?;
    let ours = migrations::read(&root)?;
    let numbered = migrations::number(
        &ours,
        &base.migrations()?,
        &next.migrations()?,
        &origin.migrations,
    );
    base.adopt(
        &root,
        |text| Origin::copied(&manifest, text),
        &ours,
        &origin.migrations,
    )?;
    origin.began = format!("{} ({})", name_and_version(&git, &to)?, to.short());
    origin.source = Some(without_credentials(&address));
    let also = origin.leave_out(&next.left_out);
    refuse_in_use(&root, &also, &to)?;
    origin.migrations.clone_from(&numbered.renamed);
    next.adopt(
        &root,
        |text| origin.written(text),
        &numbered.steps,
        &numbered.renamed,
    )?;
    let (base, next) = (base.tree(&git)?, next.tree(&git)?);

    let edited = edited(&git, &base)?;
    begun.look_again(&git)?;
    let merged = merged(&git, &base, &next)?;
    finish(
        &git,
        &Outcome {
            from,
            to,
            numbered,
            edited,
            also,
        },
        merged,
    )
}

/// What would be left out is new: what the project has, it uses.
fn refuse_in_use(root: &Path, left_out: &[String], to: &Version) -> anyhow::Result<()> {
    for name in left_out {
        ensure!(
            !root.join("src/features").join(name).is_dir(),
            "{name} is here, and in {} it needs a feature that this project does without: its feature.toml there says which. \
             Nothing was changed",
            to.name
        );
    }
    Ok(())
}

/// What the work begins with: everything is committed, and the commit at the end can be made.
struct Begun(String);

impl Begun {
    fn at(git: &Git) -> anyhow::Result<Self> {
        init::committed_files(&git.root)?;
        for who in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
            git.run(&["var", who]).context(
                "git does not know whose the commit will be: git config user.name and user.email say so",
            )?;
        }
        git.run(&["rev-parse", "HEAD"]).map(Self)
    }

    /// The two versions take minutes, in which somebody may have gone on working.
    fn look_again(&self, git: &Git) -> anyhow::Result<()> {
        init::committed_files(&git.root)?;
        ensure!(
            git.run(&["rev-parse", "HEAD"])? == self.0,
            "there is a new commit since the upgrade began, and nothing was changed. Run it again"
        );
        Ok(())
    }
}

/// Where the skeleton is had, the version that the project is at, and the one that it gets.
fn versions(
    git: &Git,
    origin: &Origin,
    arguments: &Arguments,
) -> anyhow::Result<(String, Version, Version)> {
    let address = arguments.from.clone().or_else(|| origin.source.clone());
    let address = address.context(
        "Cargo.toml does not say where the skeleton is had. Say it once: make upgrade FROM=<address or folder of its repository>",
    )?;
    source::fetch(git, &address)?;
    let from = source::current(git, origin, arguments.base.as_deref())?;
    let to = source::wanted(git, arguments.version.as_deref())?;
    source::refuse_backwards(git, &from, &to)?;
    Ok((address, from, to))
}

/// The project's name, and where it began. What projects from before have not written down is told from the rest.
fn project(text: &str) -> anyhow::Result<(String, Origin)> {
    let manifest: Manifest = toml::from_str(text).context("Cargo.toml cannot be read")?;
    let Package { name, license, .. } = manifest.package;
    let Some(mut origin) = Origin::of(text)? else {
        bail!(
            "{name} did not get its name by make init, as Cargo.toml has no [package.metadata.skeleton]: its history is the \
             skeleton's, and git merge takes over what is new there"
        );
    };
    if origin.license.is_none() {
        origin.license = Some(license.unwrap_or_else(|| "proprietary".to_owned()));
    }
    if origin.owner.is_none() {
        origin.owner = init::owner_of(text);
    }
    Ok((name, origin))
}

/// Where the project builds, and the other versions do, too. What is there is in no repository.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo's own variable, which is no setting of the service"
)]
fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn name_and_version(git: &Git, version: &Version) -> anyhow::Result<String> {
    let text = git.text(&version.commit, "Cargo.toml")?;
    let manifest: Manifest =
        toml::from_str(&text).context("the skeleton's Cargo.toml cannot be read")?;
    Ok(format!(
        "{} {}",
        manifest.package.name, manifest.package.version
    ))
}

/// The difference between what no fork is meant to edit, and what the project has.
fn edited(git: &Git, base: &str) -> anyhow::Result<String> {
    let mut arguments = vec!["diff", base, "HEAD", "--"];
    arguments.extend(CHASSIS);
    git.run(&arguments)
}

fn merged(git: &Git, base: &str, next: &str) -> anyhow::Result<Merged> {
    let base = git.commit_tree(base, &[])?;
    let ours = git.run(&["rev-parse", "HEAD^{tree}"])?;
    for (name, tree) in [(OURS, ours.as_str()), (THEIRS, next)] {
        let commit = git.commit_tree(tree, &[&base])?;
        git.run(&["update-ref", &format!("refs/{name}"), &commit])?;
    }
    let merged = merge::merge(git, OURS, THEIRS).and_then(|mut merged| {
        merge::apply(git, &mut merged)?;
        Ok(merged)
    });
    for name in [OURS, THEIRS] {
        git.run(&["update-ref", "-d", &format!("refs/{name}")])?;
    }
    merged
}

/// What is said at the end.
struct Outcome {
    from: Version,
    to: Version,
    numbered: Numbered,
    edited: String,
    /// What is left out because it needs what the project does without.
    also: Vec<String>,
}

fn finish(git: &Git, outcome: &Outcome, merged: Merged) -> anyhow::Result<()> {
    let message = report::message(outcome, &merged);
    if !merged.conflicts().is_empty() {
        prepare(git, &message)?;
        println!("{}", report::report(outcome, &merged, &[]));
        bail!(
            "{} in conflict, in which this project and the skeleton changed the same lines",
            report::counted(merged.conflicts().len(), "file is", "files are")
        );
    }
    let failed = settle(git)?;
    // The hook lints, and what does not compile yet is for the next commit.
    let commit = ["commit", "--quiet", "--no-verify", "--message", &message];
    if let Err(error) = git.run(&commit) {
        prepare(git, &message)?;
        return Err(error.context(
            "everything is merged and staged, and git does not make the commit. The message is prepared: git commit \
             --no-verify goes on, git reset --hard takes it all back",
        ));
    }
    println!("{}", report::report(outcome, &merged, &failed));
    Ok(())
}

/// Leaves the message for `git commit`.
fn prepare(git: &Git, message: &str) -> anyhow::Result<()> {
    let place = git.run(&["rev-parse", "--git-path", "MERGE_MSG"])?;
    fs::write(git.root.join(place), message).context("cannot write the message of the commit")
}

/// Formats, completes the lock files and writes anew what programs write. Returns what did not work: the service may not compile
/// before its own code follows the chassis.
///
/// It stages what it wrote, and not what somebody saved meanwhile: writing the references takes minutes.
fn settle(git: &Git) -> anyhow::Result<Vec<String>> {
    let root = git.root.as_path();
    let mut failed = Vec::new();
    let lock = |manifest: &'static str| {
        [
            "cargo",
            "metadata",
            "--format-version",
            "1",
            "--manifest-path",
            manifest,
        ]
    };
    let mut steps: Vec<Vec<&str>> = vec![
        lock("Cargo.toml").to_vec(),
        lock("fuzz/Cargo.toml").to_vec(),
    ];
    if root.join("scripts/references").exists() {
        steps.push(vec!["scripts/references"]);
    }
    if let Err(error) = init::format(root) {
        failed.push(format!("{error:#}"));
    }
    git.run(&["add", "--update", "--", "."])?;
    for step in steps {
        let output = Command::new(step[0])
            .args(&step[1..])
            .current_dir(root)
            .stdin(std::process::Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let lines: Vec<&str> = said
                    .lines()
                    .filter(|line| line.starts_with("error"))
                    .collect();
                failed.push(format!("{}: {}", step.join(" "), lines.join("; ")));
            }
            Err(error) => failed.push(format!("{}: {error}", step.join(" "))),
        }
    }
    let mut listing = vec![
        "ls-files",
        "--",
        "Cargo.lock",
        "fuzz/Cargo.lock",
        "README.md",
    ];
    listing.extend(initialised::WRITTEN);
    let written = git.run(&listing)?;
    let mut add = vec!["add", "--"];
    add.extend(written.lines());
    git.run(&add)?;
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_down_is_told_from_the_rest() {
        let text = "[package]\nname = \"orders\"\nversion = \"0.1.0\"\nlicense = \"MIT\"\nrepository = \"https://github.com/acme/orders\"\n\n[package.metadata.skeleton]\norigin = \"old 1.0.0 (0123)\"\n";

        let (name, origin) = project(text).unwrap();

        assert_eq!(name, "orders");
        assert_eq!(origin.license.as_deref(), Some("MIT"));
        assert_eq!(origin.owner.as_deref(), Some("acme"));
        let bare = text.replace("license = \"MIT\"\n", "");
        assert_eq!(
            project(&bare).unwrap().1.license.as_deref(),
            Some("proprietary")
        );
        let (before, _) = text.split_once("\n[package.metadata").unwrap();
        assert!(
            project(before)
                .unwrap_err()
                .to_string()
                .contains("git merge")
        );
    }
}
