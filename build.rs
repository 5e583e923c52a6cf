//! Tells the crate which git revision it is built from, and cargo when to look again.

use std::{env, path::Path, process::Command};

fn main() {
    // A new migration changes no Rust file, so cargo has to be told to embed the folder anew.
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-env-changed=GIT_REVISION");
    if Path::new(".git/HEAD").exists() {
        println!("cargo::rerun-if-changed=.git/HEAD");
        println!("cargo::rerun-if-changed=.git/refs/heads");
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
    let output = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()?;
    let revision = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| revision.trim().to_owned())
}
