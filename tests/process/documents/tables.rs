//! The tables of README, and the collection of requests, against the program itself.

use std::collections::BTreeSet;

use chassis_http::Operation;
use warp_skeleton::{
    app::App,
    routes,
    settings::{self, Settings, catalogue},
    shared::clock::Clock,
};

use super::{cells, quoted, read, table};
use crate::support::{printed, run};

const NOWHERE: &str = "postgres://127.0.0.1:1/none";
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// What is stated about each endpoint of the service.
fn operations() -> Vec<Operation> {
    let values = settings::values([("APP_ENV", "test")]).unwrap();
    let app = App::build(&Settings::read(&values).unwrap(), Clock::system()).unwrap();
    let features = routes::features(&app);
    let endpoints = features.iter().flat_map(|feature| &feature.endpoints);
    endpoints
        .map(|endpoint| endpoint.operation().clone())
        .collect()
}

/// The endpoints of a cell such as ``GET, PATCH `/a`, POST `/b`, `/c` ``.
fn endpoints_in(cell: &str) -> Vec<String> {
    let mut methods = Vec::new();
    let mut found = Vec::new();
    let mut after_path = false;
    for word in cell.split([' ', ',']).filter(|word| !word.is_empty()) {
        if let Some(path) = word.strip_prefix('`') {
            let path = path.trim_end_matches('`');
            found.extend(methods.iter().map(|method| format!("{method} {path}")));
            after_path = true;
        } else if METHODS.contains(&word) {
            if after_path {
                methods.clear();
            }
            methods.push(word);
            after_path = false;
        }
    }
    found
}

#[tokio::test]
async fn the_table_of_endpoints_in_readme_is_what_is_served() {
    let mut written = BTreeSet::new();
    for row in table(&read("README.md"), "## Endpoints") {
        let endpoints = endpoints_in(&row[0]);
        assert!(!endpoints.is_empty(), "no endpoint in {row:?}");
        for endpoint in endpoints {
            let new = written.insert((endpoint.clone(), row[1].clone()));
            assert!(new, "README.md names {endpoint} twice");
        }
    }

    let mut missing = Vec::new();
    for operation in operations() {
        let (method, path) = (&operation.method, operation.template);
        let who = operation.access.to_string();
        if !written.remove(&(format!("{method} {path}"), who.clone())) {
            let summary = operation.summary;
            missing.push(format!("| {method} `{path}` | {who} | {summary} |"));
        }
    }

    assert!(
        missing.is_empty(),
        "README.md, section Endpoints, lacks these rows, or says something else about who:\n{}",
        missing.join("\n")
    );
    assert!(
        written.is_empty(),
        "README.md has what is not served: {written:?}"
    );
}

#[tokio::test]
async fn the_collection_of_requests_asks_every_endpoint_and_nothing_else() {
    let collection = read("docs/api.http");
    let requests = collection.lines().filter_map(|line| {
        let (method, address) = line.split_once(' ')?;
        let path = address.strip_prefix("{{host}}")?.split('?').next()?;
        // `{{id}}`, a variable of the collection, stands for `{id}`.
        METHODS.contains(&method).then(|| {
            (
                method.to_owned(),
                path.split('/').map(str::to_owned).collect::<Vec<_>>(),
            )
        })
    });
    let mut requests: Vec<_> = requests.collect();
    let all = requests.len();

    let mut missing = Vec::new();
    for operation in operations() {
        let template: Vec<_> = operation.template.split('/').collect();
        let before = requests.len();
        requests.retain(|(method, path)| {
            let fits = |(part, found): (&&str, &String)| {
                part == found || (part.starts_with('{') && !found.is_empty())
            };
            !(method == operation.method.as_str()
                && path.len() == template.len()
                && template.iter().zip(path).all(fits))
        });
        if requests.len() == before {
            missing.push(format!(
                "{} {{{{host}}}}{}",
                operation.method, operation.template
            ));
        }
    }

    assert!(
        missing.is_empty(),
        "docs/api.http lacks:\n{}",
        missing.join("\n")
    );
    assert!(
        requests.is_empty(),
        "docs/api.http asks for what is not served: {requests:?}"
    );
    assert!(all > 20, "docs/api.http was not read");
}

/// What a command's help lists below it.
fn sub_commands(command: &[&str]) -> Vec<String> {
    let help = printed(&run(NOWHERE, &[], &[command, &["--help"]].concat(), ""));
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_table_of_commands_in_readme_is_what_the_program_knows() {
    let mut known = BTreeSet::new();
    for command in sub_commands(&[]) {
        let below = sub_commands(&[&command]);
        if below.is_empty() {
            known.insert(command.clone());
        }
        known.extend(below.iter().map(|name| format!("{command} {name}")));
    }
    assert!(known.len() > 10, "{known:?}");

    let mut written = BTreeSet::new();
    for row in table(&read("README.md"), "## Commands") {
        // `user create`, `list`: the second is `user list`.
        let mut group = None;
        for phrase in quoted(&row[0]) {
            let words: Vec<_> = phrase.split(' ').collect();
            let plain: Vec<_> = words
                .iter()
                .take_while(|word| {
                    word.bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
                })
                .take_while(|word| !word.starts_with('-'))
                .copied()
                .collect();
            let command = match (plain.as_slice(), group) {
                ([first, _], _) => {
                    group = Some(*first);
                    plain.clone()
                }
                ([name], Some(group)) => vec![group, name],
                _ => plain.clone(),
            };
            let help = printed(&run(
                NOWHERE,
                &[],
                &[&command[..], &["--help"]].concat(),
                "",
            ));
            for flag in words.iter().map(|word| word.trim_matches(['[', ']'])) {
                assert!(
                    !flag.starts_with("--")
                        || help.contains(&format!("{flag} "))
                        || help.contains(&format!("{flag}\n")),
                    "README.md gives `{}` the option {flag}, which it does not have",
                    command.join(" ")
                );
            }
            written.insert(command.join(" "));
        }
    }

    assert_eq!(
        written, known,
        "README.md, section Commands, against --help"
    );
}

/// The rows of the reference, and its headings between them.
fn reference() -> Vec<(String, Vec<String>)> {
    let page = read("docs/reference/settings.md");
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut section);
        } else if line.starts_with("| `") {
            rows.push((section.clone(), cells(line)));
        }
    }
    rows
}

#[test]
fn the_table_of_settings_in_readme_says_what_the_reference_says() {
    // The reference itself is held against the program by the other test binary.
    let reference = reference();
    let mut sections = BTreeSet::new();
    let mut names = BTreeSet::new();
    for row in table(&read("README.md"), "## Settings") {
        let found = reference.iter().find(|(_, known)| known[0] == row[0]);
        let (section, known) =
            found.unwrap_or_else(|| panic!("README.md explains {}, which is no setting", row[0]));
        assert_eq!(
            &row, known,
            "README.md and docs/reference/settings.md differ"
        );
        sections.insert(section.clone());
        names.insert(quoted(&row[0]).next().unwrap().to_owned());
    }

    let all: BTreeSet<_> = catalogue()
        .sections()
        .iter()
        .map(|section| section.title.to_owned())
        .collect();
    assert_eq!(sections, all, "README.md shows something of each section");
    for setting in catalogue().settings() {
        let name = setting.name;
        assert!(
            setting.production.is_none() || names.contains(name),
            "README.md leaves out {name}, which differs in production"
        );
    }
}
