//! README's tables of commands and settings against the program itself.

use std::collections::BTreeSet;

use warp_skeleton::settings::catalogue;

use super::{cells, quoted, read, table};
use crate::support::{printed, run};

const NOWHERE: &str = "postgres://127.0.0.1:1/none";

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
