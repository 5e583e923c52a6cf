//! What a project may be called, and why some names will not do.

use std::{collections::BTreeSet, fmt};

use anyhow::bail;

/// A test's database adds 23 characters to the name, and PostgreSQL cuts names at 63.
const LONGEST: usize = 40;

/// Names that a crate, a database, a service of a machine or a key in a file cannot have.
const RESERVED: &[(&str, &[&str])] = &[
    (
        "a keyword of Rust",
        &[
            "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
            "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen",
            "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override",
            "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
            "try", "type", "typeof", "union", "unsafe", "unsized", "use", "virtual", "where",
            "while", "yield",
        ],
    ),
    (
        "a crate that comes with Rust",
        &["alloc", "core", "proc-macro", "std", "test"],
    ),
    (
        "a folder or a target of cargo's",
        &[
            "api",
            "build",
            "debug",
            "deps",
            "doc",
            "examples",
            "incremental",
            "release",
            "target",
        ],
    ),
    (
        "a value, not a text, in YAML",
        &["n", "no", "null", "off", "on", "y", "yes"],
    ),
    (
        "a keyword of Nix",
        &["assert", "inherit", "or", "rec", "then", "with"],
    ),
    (
        "PostgreSQL's own",
        &[
            "all",
            "none",
            "postgres",
            "public",
            "replication",
            "template0",
            "template1",
        ],
    ),
    (
        "something else on many machines",
        &[
            "aux",
            "con",
            "grafana",
            "jaeger",
            "mailpit",
            "nginx",
            "nobody",
            "nul",
            "postgresql",
            "prn",
            "prometheus",
            "root",
        ],
    ),
    ("a target of log lines already", &["panic", "request"]),
    (
        "the folder of the chassis, or its name",
        &["chassis", "crates"],
    ),
];

/// A project's name: words of small letters and digits, joined by hyphens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// Takes a name that is a crate's, a host's and a database's at once.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(fault) = fault(text) {
            let proposal = proposal(text);
            bail!(
                "the name '{text}' {fault}. It becomes a crate, a host and a database, so it takes small letters, \
                 digits and single hyphens, at most {LONGEST} characters, a letter first: make init NAME={proposal}"
            );
        }
        if let Some((what, _)) = RESERVED.iter().find(|(_, names)| names.contains(&text)) {
            bail!(
                "the name '{text}' is {what}. Take one of two words or more: make init NAME=acme-{text}"
            );
        }
        if text.starts_with("pg-") {
            bail!(
                "the name '{text}' begins with pg-, and PostgreSQL keeps such roles for itself. Put another word first: \
                 make init NAME=acme-{text}"
            );
        }
        if text.starts_with("chassis-") {
            bail!(
                "the name '{text}' begins with chassis-, as the crates below crates/ do, and an upgrade may bring another \
                 of them. Put another word first: make init NAME=acme-{text}"
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// Refuses a name that something in this project has already: a crate, a file of its sources, or the project.
    pub(super) fn refuse_taken(
        &self,
        crates: &BTreeSet<String>,
        modules: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let snake = self.snake();
        if crates.iter().any(|name| name.replace('-', "_") == snake) {
            bail!(
                "the name '{self}' is that of a crate which this project is built from (Cargo.lock), and two of one \
                 name cannot be told apart. Take another: make init NAME=acme-{self}"
            );
        }
        if modules.contains(&snake) {
            bail!(
                "the name '{self}' is that of a module of this project, and paths that begin with it could mean \
                 either. Take another: make init NAME=acme-{self}"
            );
        }
        Ok(())
    }

    /// acme-orders
    pub(super) fn kebab(&self) -> &str {
        &self.0
    }

    /// `acme_orders`
    pub(super) fn snake(&self) -> String {
        self.0.replace('-', "_")
    }

    /// acme, orders
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split('-')
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("is empty")
    } else if text.len() > LONGEST {
        Some("is too long")
    } else if !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        Some("does not begin with a small letter")
    } else if !text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    {
        Some("holds other characters than names may")
    } else if text.ends_with('-') || text.contains("--") {
        Some("has a hyphen with no word after it")
    } else {
        None
    }
}

/// The nearest name that would do.
fn proposal(text: &str) -> String {
    let spaced: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' })
        .collect();
    let joined = spaced.split_whitespace().collect::<Vec<_>>().join("-");
    let started = joined.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let cut = &started[..started.len().min(LONGEST)];
    match cut.trim_end_matches('-') {
        "" => "acme-orders".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Name::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_name_is_one_to_forty_small_letters_digits_and_single_hyphens() {
        for good in ["acme-orders", "orders", "o2-b2b", "x", &"a".repeat(40)] {
            assert_eq!(Name::parse(good).unwrap().kebab(), good);
        }

        let long = "a".repeat(41);
        for bad in [
            "",
            "Acme",
            "acme_orders",
            "acme orders",
            "acme.orders",
            "-acme",
            "acme-",
            "acme--orders",
            "2acme",
            "größe",
            "a/b",
            "$(id)",
            &long,
        ] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_proposes_the_nearest_name() {
        assert!(refusal("Acme_Orders").ends_with("make init NAME=acme-orders"));
        assert!(refusal("2 Acme  Orders!").ends_with("make init NAME=acme-orders"));
        assert!(
            refusal(&"ab-".repeat(20)).ends_with(&format!("make init NAME={}a", "ab-".repeat(13)))
        );
        assert!(refusal("").ends_with("make init NAME=acme-orders"));
        assert!(refusal("---").ends_with("make init NAME=acme-orders"));
    }

    #[test]
    fn words_with_a_meaning_of_their_own_are_refused_and_the_meaning_is_said() {
        for (name, meaning) in [
            ("async", "keyword of Rust"),
            ("core", "comes with Rust"),
            ("test", "comes with Rust"),
            ("build", "cargo's"),
            ("null", "YAML"),
            ("with", "Nix"),
            ("postgres", "PostgreSQL"),
            ("pg-orders", "PostgreSQL"),
            ("nginx", "machines"),
            ("chassis", "chassis"),
            ("chassis-http", "crates/"),
            ("chassis-orders", "crates/"),
        ] {
            let said = refusal(name);
            assert!(said.contains(meaning), "{said}");
            assert!(
                said.ends_with(&format!("make init NAME=acme-{name}")),
                "{said}"
            );
        }
    }

    #[test]
    fn crates_that_we_use_and_modules_that_we_have_are_refused() {
        let crates = BTreeSet::from(["hyper-util".to_owned(), "serde_json".to_owned()]);
        let modules = BTreeSet::from(["users".to_owned(), "dropped_clients".to_owned()]);
        let refused = |name| {
            Name::parse(name)
                .unwrap()
                .refuse_taken(&crates, &modules)
                .map_err(|error| error.to_string())
        };

        assert!(refused("hyper-util").unwrap_err().contains("Cargo.lock"));
        assert!(refused("serde-json").unwrap_err().contains("Cargo.lock"));
        assert!(refused("users").unwrap_err().contains("module"));
        assert!(refused("dropped-clients").unwrap_err().contains("module"));
        assert_eq!(refused("acme-users"), Ok(()));
    }
}
