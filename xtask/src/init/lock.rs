//! Cargo.lock under a new name. Cargo keeps packages in the order of their names, and would move them the next time.

use std::collections::BTreeSet;

use super::{name::Name, spelling};

const PACKAGE: &str = "[[package]]\n";

/// The lock file of a workspace after the project was renamed and its version set back.
pub(super) fn rename(text: &str, old: &Name, new: &Name, version: &str) -> String {
    let text = spelling::replace(text, old, new);
    let mut parts = text.split(PACKAGE);
    let head = parts.next().unwrap_or_default();
    let mut packages: Vec<String> = parts
        .map(|package| rewritten(package, new, version))
        .collect();
    packages.sort_by(|one, other| name_of(one).cmp(name_of(other)));

    let packages: Vec<String> = packages
        .into_iter()
        .map(|package| PACKAGE.to_owned() + &package)
        .collect();
    head.to_owned() + &packages.join("\n")
}

/// The names of all packages in a lock file.
pub(super) fn names(text: &str) -> BTreeSet<String> {
    text.split(PACKAGE)
        .skip(1)
        .map(|package| name_of(package).to_owned())
        .collect()
}

fn name_of(package: &str) -> &str {
    value(package.lines().next().unwrap_or_default())
}

fn value(line: &str) -> &str {
    line.split('"').nth(1).unwrap_or_default()
}

fn rewritten(package: &str, ours: &Name, version: &str) -> String {
    let is_ours = name_of(package) == ours.kebab();
    let mut lines: Vec<String> = package.trim_end().lines().map(str::to_owned).collect();
    for line in &mut lines {
        if is_ours && line.starts_with("version = ") {
            *line = format!("version = \"{version}\"");
        }
    }
    if let Some(start) = lines.iter().position(|line| line == "dependencies = [") {
        let end = lines.len() - 1;
        lines[start + 1..end].sort_by(|one, other| first_word(one).cmp(first_word(other)));
    }
    lines.join("\n") + "\n"
}

fn first_word(line: &str) -> &str {
    value(line).split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"# generated
version = 4

[[package]]
name = "aaa"
version = "1.0.0"
source = "registry"

[[package]]
name = "mmm"
version = "1.0.0"

[[package]]
name = "mmm"
version = "2.0.0"

[[package]]
name = "old-thing"
version = "3.2.1"
dependencies = [
 "aaa",
 "mmm 2.0.0",
]

[[package]]
name = "old-thing-fuzz"
version = "0.0.0"
dependencies = [
 "aaa",
 "mmm 1.0.0",
 "old-thing",
]
"#;

    const AFTER: &str = r#"# generated
version = 4

[[package]]
name = "aaa"
version = "1.0.0"
source = "registry"

[[package]]
name = "bees"
version = "0.1.0"
dependencies = [
 "aaa",
 "mmm 2.0.0",
]

[[package]]
name = "bees-fuzz"
version = "0.0.0"
dependencies = [
 "aaa",
 "bees",
 "mmm 1.0.0",
]

[[package]]
name = "mmm"
version = "1.0.0"

[[package]]
name = "mmm"
version = "2.0.0"
"#;

    #[test]
    fn packages_and_dependencies_stay_in_the_order_of_their_names() {
        let (old, new) = (
            Name::parse("old-thing").unwrap(),
            Name::parse("bees").unwrap(),
        );

        assert_eq!(rename(BEFORE, &old, &new, "0.1.0"), AFTER);
    }

    #[test]
    fn the_names_are_those_of_the_packages() {
        let expected = ["aaa", "mmm", "old-thing", "old-thing-fuzz"];

        assert!(names(BEFORE).iter().eq(expected));
    }
}
