//! What is said at the end: what was done, and what is left.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use super::plan::{Plan, UNTOUCHED};

/// What may go on to name a feature whose tables are still there, or that once was.
const KEPT: [&str; 4] = [
    "migrations",
    "src/features/removed.toml",
    "src/grants.rs",
    "Cargo.toml",
];

/// What is written anew by the program, and workflows, which have words of their own.
const OTHERS: [&str; 6] = [
    ".env.example",
    ".github",
    "docs/api.http",
    "docs/reference/features.md",
    "docs/reference/metrics.md",
    "docs/reference/settings.md",
];

/// The lines of files in git that still name what is gone: file, number and text.
pub(super) fn mentions(root: &Path, plan: &Plan) -> anyhow::Result<Vec<String>> {
    if plan.words.is_empty() {
        return Ok(Vec::new());
    }
    let mut grep = Command::new("git");
    grep.arg("-C").arg(root).args(["grep", "-nIwE"]);
    for word in &plan.words {
        grep.args(["-e", word]);
    }
    grep.args(["--", "."]);
    for path in UNTOUCHED.iter().chain(&KEPT).chain(&OTHERS) {
        grep.arg(format!(":!{path}"));
    }
    let output = grep.output().context("git does not run")?;
    // 1: nothing was found.
    ensure!(
        matches!(output.status.code(), Some(0 | 1)),
        "git grep failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let found = String::from_utf8_lossy(&output.stdout);
    // README's example of leaving features out names some.
    let is_example = |line: &&str| line.contains("make init ") && line.contains("WITHOUT=");
    let lines = found.lines().filter(|line| !is_example(line));
    Ok(lines.map(str::to_owned).collect())
}

/// What was done, and what comes next.
pub(super) fn report(plan: &Plan, mentions: &[String]) -> String {
    let names = plan.features.join(", ");
    let places: BTreeSet<PathBuf> = plan.delete.iter().map(|path| place(path)).collect();
    let mut lines = vec![format!(
        "Removed {names}. {} files are gone:",
        plan.delete.len()
    )];
    lines.extend(places.iter().map(|place| format!("  {}", place.display())));
    lines.push(format!("{} files are changed:", plan.write.len()));
    lines.extend(
        plan.write
            .keys()
            .map(|path| format!("  {}", path.display())),
    );
    if !mentions.is_empty() {
        lines.push("\nStill mentioned, and yours to reword:".to_owned());
        lines.extend(mentions.iter().map(|line| format!("  {line}")));
    }
    if !plan.tables.is_empty() {
        let wanted = plan.features.join(" ");
        let wanted = if plan.features.len() > 1 {
            format!("\"{wanted}\"")
        } else {
            wanted
        };
        lines.push(format!(
            "\nThe migrations stay, because databases have applied them, and so do the tables ({}) and their privileges: \
             replicas of the last release read them. When none of those runs any more, the next release drops them:\n  \
             make remove FEATURE={wanted} STEP=drop",
            plan.tables.join(", ")
        ));
    }
    lines.push(
        "\nNext:\n  scripts/references         make remove calls it now: what the program writes about itself\n  \
         make lint test             checks what is left\n  git add --all && git commit\n\
         Take it back: git stash --include-untracked"
            .to_owned(),
    );
    lines.join("\n")
}

/// The folder of a feature, or the file.
fn place(path: &Path) -> PathBuf {
    let is_code = [
        "src/features",
        "tests/api",
        "tests/process",
        "xtask/templates",
    ];
    if is_code.iter().any(|folder| path.starts_with(folder)) {
        return path.iter().take(3).collect();
    }
    path.to_owned()
}
