//! The pages agree with the program and the checkout: tables, links, paths and quoted messages.

mod links;
mod names;
mod security;
mod tables;
mod toolchain;
mod troubleshooting;
mod units;

use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file of the project, as text.
#[track_caller]
fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder that ends like this, relative to the project.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(Path::new(ROOT).join(folder)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        let path = path.trim_start_matches("./");
        if Path::new(ROOT).join(path).is_dir() {
            // Build outputs and downloads are not pages of this project.
            if !matches!(name.as_str(), "target" | "node_modules") && !name.starts_with('.') {
                found.extend(files(path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path.into());
        }
    }
    found.sort();
    found
}

/// Every page that people read, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let root = ["README", "CONTRIBUTING", "SECURITY", "CHANGELOG", "AGENTS"];
    let root = root.map(|name| PathBuf::from(format!("{name}.md")));
    let folders = ["docs", "ops", "loadtest", "fuzz", "examples", "crates"];
    let below = folders.iter().flat_map(|folder| files(folder, ".md"));
    let pages = root.into_iter().chain(below);
    pages.map(|path| (path.clone(), read(path))).collect()
}

/// The text outside code, and the code: blocks between fences.
fn without_blocks(page: &str) -> (String, Vec<String>) {
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    let mut open = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            open = !open;
            if open {
                blocks.push(String::new());
            }
        } else if open {
            blocks.last_mut().unwrap().extend([line, "\n"]);
        } else {
            prose.extend([line, "\n"]);
        }
    }
    (prose, blocks)
}

/// Everything between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the first table below a heading, a cell each, without the table's own head.
#[track_caller]
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let after = page.split(&format!("\n{heading}\n")).nth(1);
    let after = after.unwrap_or_else(|| panic!("there is no heading {heading}"));
    let lines = after.lines().skip_while(|line| !line.starts_with('|'));
    let lines = lines.take_while(|line| line.starts_with('|')).skip(2);
    lines.map(cells).collect()
}

/// The cells of a row. `\|` is a bar in a cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.replace("\\|", "\u{1}");
    let row = row.trim().trim_start_matches('|').trim_end_matches('|');
    let cells = row.split('|');
    cells
        .map(|cell| cell.trim().replace('\u{1}', "|"))
        .collect()
}
