//! The page on security names what is there.

use std::path::Path;

use super::{ROOT, files, quoted, read};

/// Every Rust source below these folders, in one text.
fn sources(folders: &[&str]) -> String {
    let files = folders.iter().flat_map(|folder| files(folder, ".rs"));
    files.map(read).collect()
}

#[test]
fn every_file_and_test_that_the_page_on_security_names_exists() {
    let page = read("docs/security.md");
    let tests = sources(&["src", "crates", "tests"]);
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

#[test]
fn every_test_that_the_page_on_asvs_names_exists() {
    let page = read("docs/reference/asvs.md");
    let tests = sources(&["src", "crates", "tests"]);
    let is_name = |name: &&str| {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        name.matches('_').count() > 1 && name.bytes().all(is_plain)
    };

    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        for test in quoted(row).filter(is_name) {
            assert!(tests.contains(&format!("fn {test}(")), "{test} is no test");
            named += 1;
        }
    }
    assert!(named > 150, "the tables were not read");
}
