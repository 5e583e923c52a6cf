//! Tells the crate which git revision it is built from, and cargo when to look again.

use std::{env, path::Path, process::Command};

fn main() {
    // A new migration changes no Rust file, so cargo has to be told to embed the folder anew.
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-env-changed=GIT_REVISION");
    for path in files_of_the_revision() {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rustc-env=GIT_REVISION={}", revision());
}

/// `GIT_REVISION` when the builder sets it (a sandbox has no `.git`), else what git says, else `unknown`.
#[expect(
    clippy::disallowed_methods,
    reason = "a build script is told by its environment"
)]
fn revision() -> String {
    env::var("GIT_REVISION")
        .ok()
        .filter(|revision| !revision.is_empty())
        .or_else(ask_git)
        .unwrap_or_else(|| "unknown".to_owned())
}

fn ask_git() -> Option<String> {
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// What changes with the revision: HEAD, the branch it names, and the log of both, since a packed branch has no file.
///
/// git says where they are, because in a worktree `.git` is a file, and the
/// branches are in the main checkout. A path that does not exist would have
/// cargo run this script each time.
fn files_of_the_revision() -> Vec<String> {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let names = [
        Some("HEAD".to_owned()),
        branch,
        Some("logs/HEAD".to_owned()),
    ];
    let paths = names.into_iter().flatten();
    let paths = paths.filter_map(|name| git(&["rev-parse", "--git-path", &name]));
    paths.filter(|path| Path::new(path).exists()).collect()
}

/// What git prints, when there is a git and a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
