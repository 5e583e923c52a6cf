//! Every file, make target and script that a page speaks of is there.

use std::{collections::BTreeSet, path::Path};

use super::{ROOT, files, pages, quoted, read, without_blocks};

/// What begins a path of this project, where a page names one.
const FOLDERS: [&str; 13] = [
    "src/",
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

/// Pages that speak of the past, or of another place.
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
            if !Path::new(ROOT).join(path).exists() {
                missing.push(format!("{}: {path}", page.display()));
            }
        }
    }

    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
    assert!(looked_at > 60, "the pages were not read");
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let sources = ["src", "tests"].map(|folder| files(folder, ".rs"));
    let sources: String = sources.into_iter().flatten().map(read).collect();
    let mut named = 0;
    for (page, text) in pages() {
        let (prose, _) = without_blocks(&text);
        // Nothing else has a name that is a sentence, but messages of the log.
        let is_claim = |name: &&str| {
            name.matches('_').count() >= 5
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if page.starts_with("docs/reference") {
            continue;
        }
        for name in quoted(&prose).filter(is_claim) {
            named += 1;
            let there = sources.contains(&format!("fn {name}("));
            assert!(there, "{} names {name}, which is no test", page.display());
        }
    }
    assert!(named > 40, "the pages were not read");
}

/// The targets of the Makefile.
fn targets() -> BTreeSet<String> {
    let makefile = read("Makefile");
    let phony = makefile
        .lines()
        .filter_map(|line| line.strip_prefix(".PHONY: "));
    phony
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_make_target_that_a_page_names_exists() {
    let targets = targets();
    let mut named = BTreeSet::new();
    let mut missing = Vec::new();
    for (page, text) in pages() {
        let (prose, blocks) = without_blocks(&text);
        let code = quoted(&prose).map(str::to_owned).chain(blocks);
        let lines: Vec<_> = code
            .flat_map(|code| code.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for line in &lines {
            // A sentence may say "to make sure": commands begin a line, or follow an operator or settings.
            let begins = |before: &str| {
                let before = before.trim_end();
                before.is_empty()
                    || before.ends_with(['$', '|', '(', '&'])
                    || before.split_whitespace().all(|word| word.contains('='))
                    || before.ends_with("-c")
            };
            let line = line.split(" #").next().unwrap_or_default();
            for (at, _) in line.match_indices("make ") {
                if !begins(&line[..at]) {
                    continue;
                }
                let words = line[at + 5..].split_whitespace();
                // `make lint test ARGS=…`: words up to the first that is no target's name.
                for word in words.take_while(|word| {
                    word.bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
                }) {
                    named.insert(word.to_owned());
                    if !targets.contains(word) {
                        missing.push(format!("{}: make {word}", page.display()));
                    }
                }
            }
        }
    }

    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
    assert!(named.len() > 10, "the pages were not read: {named:?}");
}
