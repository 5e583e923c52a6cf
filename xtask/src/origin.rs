//! Where a project began: the table `package.metadata.skeleton` of its Cargo.toml. `init` writes it, `remove` adds what goes,
//! and `upgrade` reads it and writes where the project is now.

use std::{collections::BTreeMap, fmt::Write};

use anyhow::Context;
use serde::Deserialize;

const HEADING: &str = "[package.metadata.skeleton]";
const PURPOSE: &str = "# Where this project began and what it has taken over, for make upgrade: docs/how-to/upgrade-from-the-skeleton.md.";
const MAP: &str = "# Migrations that have another number here: their name there, and here.";

/// What is written down about the skeleton.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Origin {
    /// Its name and version, and the commit where that is known: `old-thing 1.4.0 (0123456789ab)`.
    #[serde(rename = "origin")]
    pub(crate) began: String,
    /// Where it is had.
    pub(crate) source: Option<String>,
    /// Whose the project is, where that was said.
    pub(crate) owner: Option<String>,
    /// Its licence, as `init` takes it.
    pub(crate) license: Option<String>,
    /// The features that it was made without, or lost since.
    #[serde(default)]
    pub(crate) without: Vec<String>,
    /// The skeleton's migrations that have another number here.
    #[serde(default)]
    pub(crate) migrations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    skeleton: Option<Origin>,
}

impl Origin {
    /// What a Cargo.toml says. `None` in the skeleton itself.
    pub(crate) fn of(manifest: &str) -> anyhow::Result<Option<Self>> {
        let manifest: Manifest = toml::from_str(manifest)
            .with_context(|| format!("{HEADING} of Cargo.toml is damaged"))?;
        Ok(manifest.package.metadata.skeleton)
    }

    /// The commit, where it is known.
    pub(crate) fn revision(&self) -> Option<&str> {
        self.began.rsplit_once('(')?.1.strip_suffix(')')
    }

    /// The version.
    pub(crate) fn version(&self) -> Option<&str> {
        self.began.split(' ').nth(1)
    }

    /// Adds features that the project does without, and says which are new among these.
    pub(crate) fn leave_out(&mut self, features: &[String]) -> Vec<String> {
        let mut new = features.to_vec();
        new.retain(|name| !self.without.contains(name));
        self.without.extend(new.iter().cloned());
        self.without.sort();
        self.without.dedup();
        new
    }

    /// The Cargo.toml that says this.
    pub(crate) fn written(&self, manifest: &str) -> String {
        with_section(manifest, &self.section())
    }

    /// The Cargo.toml with what another one says, to the letter.
    pub(crate) fn copied(from: &str, manifest: &str) -> String {
        let section = range(from).map_or("", |(begin, end)| &from[begin..end]);
        with_section(manifest, section)
    }

    fn section(&self) -> String {
        let quoted =
            |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut text = format!("{HEADING}\n{PURPOSE}\norigin = {}\n", quoted(&self.began));
        for (key, value) in [
            ("source", &self.source),
            ("owner", &self.owner),
            ("license", &self.license),
        ] {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {}", quoted(value));
            }
        }
        if !self.without.is_empty() {
            let names: Vec<String> = self.without.iter().map(|name| quoted(name)).collect();
            let _ = writeln!(text, "without = [{}]", names.join(", "));
        }
        if !self.migrations.is_empty() {
            let _ = write!(text, "\n[package.metadata.skeleton.migrations]\n{MAP}\n");
            for (there, here) in &self.migrations {
                let _ = writeln!(text, "{there} = {}", quoted(here));
            }
        }
        text
    }
}

/// An address without what signs in there, since it is going to be committed: user and password of http and https, the password
/// of others, whose user belongs to the address (`git@`).
pub(crate) fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) if scheme.starts_with("http") => format!("{scheme}://{host}{path}"),
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{path}")
        }
        None => address.to_owned(),
    }
}

/// The manifest with this section in the place of the one that it has, or above `[lib]`.
fn with_section(manifest: &str, section: &str) -> String {
    let (before, after) = match range(manifest) {
        Some((from, to)) => (&manifest[..from], manifest[to..].to_owned()),
        None => match manifest.find("[lib]\n") {
            Some(place) => (&manifest[..place], format!("\n{}", &manifest[place..])),
            None => (manifest, String::new()),
        },
    };
    let gap = if before.ends_with("\n\n") { "" } else { "\n" };
    format!("{before}{gap}{section}{after}")
}

/// From where to where the table reaches, without the gap below it.
fn range(manifest: &str) -> Option<(usize, usize)> {
    let from = manifest.find(&format!("{HEADING}\n"))?;
    let mut place = from;
    let mut to = from;
    for line in manifest[from..].split_inclusive('\n') {
        if line.starts_with('[') && !line.starts_with(HEADING.trim_end_matches(']')) {
            break;
        }
        place += line.len();
        if !line.trim().is_empty() {
            to = place;
        }
    }
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "[package]\nname = \"own\"\n\n[lib]\nname = \"own\"\n";

    #[test]
    fn an_address_is_kept_without_what_signs_in() {
        for (address, kept) in [
            (
                "https://user:ghp_s3cret@host/acme/x.git",
                "https://host/acme/x.git",
            ),
            ("https://ghp_s3cret@host/x", "https://host/x"),
            ("https://a:b@c@host:8443/x@y", "https://host:8443/x@y"),
            ("https://token@host", "https://host"),
            ("https://host/x@y", "https://host/x@y"),
            ("ssh://git:s3cret@host/x", "ssh://git@host/x"),
            ("ssh://git@host/x", "ssh://git@host/x"),
            ("git@host:acme/x.git", "git@host:acme/x.git"),
            ("/srv/x", "/srv/x"),
        ] {
            assert_eq!(without_credentials(address), kept);
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_the_rest_stays() {
        let mut origin = Origin {
            began: "old-thing 1.4.0 (0123456789ab)".to_owned(),
            ..Origin::default()
        };
        let first = origin.written(BARE);
        assert_eq!(Origin::of(BARE).unwrap(), None);
        assert_eq!(Origin::of(&first).unwrap().as_ref(), Some(&origin));
        assert!(
            first.starts_with("[package]\nname = \"own\"\n\n[package.metadata.skeleton]\n# Where"),
            "{first}"
        );
        assert!(
            first.ends_with("(0123456789ab)\"\n\n[lib]\nname = \"own\"\n"),
            "{first}"
        );

        origin.source = Some("https://example.com/a \"b\"".to_owned());
        origin.owner = Some("acme".to_owned());
        origin.license = Some("MIT".to_owned());
        origin.leave_out(&["stamps".to_owned(), "parcels".to_owned()]);
        origin.leave_out(&["parcels".to_owned()]);
        origin
            .migrations
            .insert("V0009__a".to_owned(), "V0012__a".to_owned());
        let second = origin.written(&first);
        assert_eq!(Origin::of(&second).unwrap(), Some(origin.clone()));
        assert!(
            second.contains("\nwithout = [\"parcels\", \"stamps\"]\n"),
            "{second}"
        );
        assert!(
            second.ends_with("V0009__a = \"V0012__a\"\n\n[lib]\nname = \"own\"\n"),
            "{second}"
        );
        assert_eq!(origin.written(&second), second);
        assert_eq!(Origin::copied(&second, &first), second);
        assert_eq!(Origin::copied(&second, BARE), second);
    }

    #[test]
    fn version_and_revision_are_told_apart() {
        let of = |text: &str| {
            let origin = Origin {
                began: text.to_owned(),
                ..Origin::default()
            };
            (
                origin.version().map(str::to_owned),
                origin.revision().map(str::to_owned),
            )
        };
        assert_eq!(
            of("old 1.2.3 (0123)"),
            (Some("1.2.3".to_owned()), Some("0123".to_owned()))
        );
        assert_eq!(of("old 1.2.3"), (Some("1.2.3".to_owned()), None));
    }
}
