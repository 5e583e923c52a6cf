//! README's table of endpoints: the rows between the heading and the paragraph below it are written here.

use std::fmt::Write;

use chassis_http::Operation;
use warp_skeleton::{
    app::App,
    routes,
    settings::{self, Settings},
    shared::clock::Clock,
};

use super::assert_current;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const HEAD: &str = "| method and path | who | what |\n| --- | --- | --- |\n";

/// The service with its default settings, connected to nothing.
pub(super) fn app() -> App {
    let values = settings::values([("APP_ENV", "test")]).unwrap();
    App::build(&Settings::read(&values).unwrap(), Clock::system()).unwrap()
}

/// The definitions of all endpoints, in the order of `routes.rs`.
pub(super) fn operations(app: &App) -> Vec<Operation> {
    let features = routes::features(app);
    let endpoints = features.iter().flat_map(|feature| &feature.endpoints);
    endpoints
        .map(|endpoint| endpoint.operation().clone())
        .collect()
}

#[tokio::test]
async fn the_table_of_endpoints_in_readme_is_current() {
    let readme = std::fs::read_to_string(README).unwrap();
    let (before, rest) = readme
        .split_once(HEAD)
        .expect("README has a table of endpoints");
    let (_, after) = rest
        .split_once("\n\n")
        .expect("a paragraph follows the table");

    let rows = rows(&operations(&app()));

    assert_current(README, &format!("{before}{HEAD}{rows}\n{after}"));
}

/// A row for each path and each access: methods with the same path and access share one.
fn rows(operations: &[Operation]) -> String {
    let shares_row =
        |a: &Operation, b: &Operation| a.template == b.template && a.access == b.access;
    let mut rows = String::new();
    for row in operations.chunk_by(shares_row) {
        let methods: Vec<_> = row.iter().map(|one| one.method.as_str()).collect();
        let summaries: Vec<_> = row.iter().map(|one| one.summary).collect();
        let (methods, summaries) = (methods.join(", "), summaries.join("; "));
        let (path, who) = (row[0].template, row[0].access);
        writeln!(rows, "| {methods} `{path}` | {who} | {summaries} |").unwrap();
    }
    rows
}
