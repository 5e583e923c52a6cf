//! `remove`: a feature goes, with everything that belongs to it; and later, with `--drop`, the tables that it left.
//!
//! What belongs to a feature is what its `feature.toml` lists, what its folders hold and what stands between `notes: begin`
//! and `notes: end` elsewhere. Everything is worked out before a file is touched, and refused when something that
//! is listed is not there: then nobody knows what else is missing.

mod conventions;
mod edits;
mod manifest;
mod marks;
mod migrations;
mod plan;
mod reference;
mod report;
mod uses;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

pub(crate) use self::{
    plan::{Plan, Tables, plan},
    reference::Measured,
};
use crate::init;

/// Which features are to go.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Their names, as folders of src/features: parcels stamps.
    #[arg(required = true)]
    names: Vec<String>,

    /// Drop the tables that they left when they were removed with an earlier release.
    #[arg(long)]
    drop: bool,
}

/// The files of the project that the command is run in.
struct Project {
    root: PathBuf,
    files: Vec<PathBuf>,
    texts: BTreeMap<PathBuf, String>,
}

/// Those of a project in git, when nothing in it waits to be committed.
fn committed() -> anyhow::Result<Project> {
    let root = init::root()?;
    let files = init::committed_files(&root)?;
    let texts = init::texts(&root, &files)?;
    Ok(Project { root, files, texts })
}

/// Those that are there.
fn project() -> anyhow::Result<Project> {
    let root = init::root()?;
    let files = init::files_that_are_there(&root)?;
    let texts = init::texts(&root, &files)?;
    Ok(Project { root, files, texts })
}

/// Prints the page of features.
pub(crate) fn print_features(measured: &Measured) -> anyhow::Result<()> {
    print!("{}", reference::page_with(&project()?.texts, measured)?);
    Ok(())
}

/// Removes features, or drops what they left.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let project = committed()?;
    if arguments.drop {
        return drop(&project, &arguments.names);
    }
    let plan = plan(
        &project.files,
        &project.texts,
        &arguments.names,
        Tables::Stay,
    )?;
    init::require_rustfmt(&project.root)?;
    apply(&project.root, &plan).context(
        "the features are half removed now. git stash --include-untracked puts them back",
    )?;
    init::format(&project.root)?;
    settle_lock(&project.root, &plan)?;
    println!(
        "{}",
        report::report(&plan, &report::mentions(&project.root, &plan)?)
    );
    Ok(())
}

/// Writes and deletes what the plan says. Folders go with their last file.
pub(crate) fn apply(root: &Path, plan: &Plan) -> anyhow::Result<()> {
    for (path, text) in &plan.write {
        write(root, path, text)?;
    }
    for path in &plan.delete {
        delete(root, path)?;
    }
    Ok(())
}

fn write(root: &Path, path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(root.join(path), text).with_context(|| format!("cannot write {}", path.display()))
}

/// Deletes a file, and the folders of which it was the last.
pub(crate) fn delete(root: &Path, path: &Path) -> anyhow::Result<()> {
    fs::remove_file(root.join(path))
        .with_context(|| format!("cannot delete {}", path.display()))?;
    let folders = path
        .ancestors()
        .skip(1)
        .filter(|folder| *folder != Path::new(""));
    for folder in folders {
        if fs::remove_dir(root.join(folder)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Takes what nothing needs any more out of the lock files, and changes nothing else there.
pub(crate) fn settle_lock(root: &Path, plan: &Plan) -> anyhow::Result<()> {
    if !plan.write.contains_key(Path::new("Cargo.toml")) {
        return Ok(());
    }
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        if !root.join(manifest).exists() {
            continue;
        }
        // Its answer is long and not needed; the lock file is what it leaves.
        let output = Command::new("cargo")
            .args([
                "metadata",
                "--format-version",
                "1",
                "--manifest-path",
                manifest,
            ])
            .current_dir(root)
            .output()
            .context("cargo does not run")?;
        ensure!(
            output.status.success(),
            "the features are removed, but cargo could not bring the lock file of {manifest} up to date: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// Appends the migrations that drop what features left.
fn drop(project: &Project, names: &[String]) -> anyhow::Result<()> {
    let (write_all, gone) = migrations::drop(&project.texts, names)?;
    for (path, text) in &write_all {
        write(&project.root, path, text)?;
        println!("{}", path.display());
    }
    if let Some(path) = &gone {
        delete(&project.root, path)?;
        println!("{} is gone: nothing is left", path.display());
    }
    println!(
        "
The tables go when this release is deployed, with their rows; the undo makes them again, empty. It is time for it when no
replica runs any more that was built before the feature was removed.
Next:
  make migrate         drops the tables here
  make lint test
  git add --all && git commit"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
