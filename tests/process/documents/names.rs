//! Every path that a page names exists.

use std::path::Path;

use super::{ROOT, pages, quoted, without_blocks};

/// What begins a path of this project, where a page names one.
const FOLDERS: [&str; 14] = [
    "src/",
    "crates/",
    "tests/",
    "docs/",
    "nix/",
    "ops/",
    "scripts/",
    "migrations/",
    "loadtest/",
    "fuzz/",
    "assets/",
    "xtask/",
    "examples/",
    ".github/",
];

/// What a path may hold that is only an example: placeholders, and the feature that pages write about.
const EXAMPLES: [&str; 16] = [
    "*",
    "<",
    "{",
    "…",
    "...",
    "NAME",
    "V000",
    "name",
    "notes",
    "note",
    "reports",
    "artifacts",
    "0007__",
    "weather",
    "census",
    "session_count",
];

/// Pages about earlier versions, whose paths may be gone.
fn is_history(page: &Path) -> bool {
    page.ends_with("CHANGELOG.md")
}

#[test]
fn every_path_that_a_page_names_is_there() {
    let mut missing = Vec::new();
    let mut looked_at = 0;
    for (page, text) in pages() {
        if is_history(&page) {
            continue;
        }
        let (prose, _) = without_blocks(&text);
        for path in quoted(&prose) {
            let path = path.split([' ', '#', ':']).next().unwrap_or_default();
            if !FOLDERS.iter().any(|folder| path.starts_with(folder))
                || EXAMPLES.iter().any(|example| path.contains(example))
            {
                continue;
            }
            looked_at += 1;
            // Pages of a crate name files of that crate.
            let beside = page.parent().unwrap().join(path);
            let exists = |path: &Path| Path::new(ROOT).join(path).exists();
            if !exists(Path::new(path)) && !exists(&beside) {
                missing.push(format!("{}: {path}", page.display()));
            }
        }
    }

    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
    assert!(looked_at > 60, "the pages were not read");
}
