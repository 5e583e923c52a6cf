//! What is written about the project is true of it.

use std::{fs, path::Path};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Everything between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every Rust source below a folder, in one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    text
}

#[test]
fn every_file_and_test_that_the_page_on_security_names_exists() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/security.md")).unwrap();
    let tests = ["src", "tests"].map(|folder| sources(&Path::new(ROOT).join(folder)));
    let tests = tests.concat();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let rows = rows.filter(|line| !line.starts_with("| promise") && !line.starts_with("| ---"));

    let mut named = 0;
    for row in rows {
        let cells: Vec<_> = row.split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        for path in quoted(cells[1]) {
            assert!(Path::new(ROOT).join(path).exists(), "{path} is not there");
        }
        for test in quoted(cells[2]).filter(|name| !name.contains([' ', '/'])) {
            assert!(tests.contains(&format!("fn {test}(")), "{test} is no test");
            named += 1;
        }
    }
    assert!(named > 40, "the tables were not read");
}
