//! What is to change, worked out before anything is touched.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{origin::Origin, remove::Plan};

use super::{licence::Licence, lock, name::Name, owner, owner::Owner, spelling};

/// Only the skeleton needs them: ways to copy it, and the test of this command.
const SKELETON_ONLY: &[&str] = &[
    "cargo-generate.toml",
    "nix/template.nix",
    "docs/newcomer.md",
    "tests/scripts/init",
    "tests/scripts/newcomer",
    "tests/scripts/template",
    "tests/scripts/upgrade",
    "xtask/cargo-generate.rhai",
];

/// The chassis, which knows no service: its crates stay byte for byte what they are, so that an upgrade replaces the folder.
const CHASSIS: &str = "crates";

/// Lines that hold one of these and nothing else enclose what only the skeleton needs of a file.
const BEGIN: &[&str] = &["# until init", "<!-- until init -->"];
const END: &[&str] = &["# end until init", "<!-- end until init -->"];

/// What the skeleton says it is, and what a project of one's own may say instead until somebody knows better.
const SKELETON: &str = "A production-ready web service to fork";
const SERVICE: &str = "A web service";

/// Where the new project's versions begin.
const VERSION: &str = "0.1.0";

/// The new project.
pub(super) struct Project {
    pub(super) old: Name,
    pub(super) new: Name,
    pub(super) owner: Option<Owner>,
    pub(super) licence: Licence,
    /// The version that is being copied, and its commit where that is known.
    pub(super) version: String,
    pub(super) revision: Option<String>,
    /// The features that are left out.
    pub(super) without: Vec<String>,
    /// The address that the skeleton was copied from.
    pub(super) source: Option<String>,
}

/// What happens to which file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) delete: Vec<PathBuf>,
    pub(super) rename: Vec<(PathBuf, PathBuf)>,
    /// By the path after renaming.
    pub(super) write: BTreeMap<PathBuf, String>,
    /// Files that still wait for an account.
    pub(super) without_owner: Vec<PathBuf>,
}

impl Project {
    /// The same for what is left when features are left out.
    pub(super) fn changes_without(
        &self,
        mut files: BTreeMap<PathBuf, String>,
        left_out: &Plan,
    ) -> Changes {
        files.retain(|path, _| !left_out.delete.contains(path));
        files.extend(left_out.write.clone());
        let mut changes = self.changes(&files);
        for (path, text) in &left_out.write {
            if !changes.delete.contains(path) {
                let place = self.renamed(path);
                changes.write.entry(place).or_insert_with(|| text.clone());
            }
        }
        changes.delete.extend(left_out.delete.iter().cloned());
        changes
    }

    /// Works through the files: all that are text, by their paths.
    pub(super) fn changes(&self, files: &BTreeMap<PathBuf, String>) -> Changes {
        let mut changes = Changes::default();
        for (path, text) in files {
            if path.starts_with(CHASSIS) {
                continue;
            }
            if self.goes(path) {
                changes.delete.push(path.clone());
                continue;
            }
            let place = self.renamed(path);
            if place != *path {
                changes.rename.push((path.clone(), place.clone()));
            }
            let rewritten = self.rewritten(path, text);
            if !is_history(path) && owner::is_missing(&rewritten) {
                changes.without_owner.push(place.clone());
            }
            if rewritten != *text {
                changes.write.insert(place, rewritten);
            }
        }
        changes
    }

    /// Cargo.toml's line about where the project began.
    fn origin(&self) -> String {
        let Self { old, version, .. } = self;
        match &self.revision {
            Some(revision) => format!("{old} {version} ({revision})"),
            None => format!("{old} {version}"),
        }
    }

    fn goes(&self, path: &Path) -> bool {
        let unlicensed = self.licence == Licence::Proprietary && path == Path::new("LICENSE");
        unlicensed || SKELETON_ONLY.iter().any(|only| path == Path::new(only))
    }

    fn renamed(&self, path: &Path) -> PathBuf {
        match path.to_str() {
            Some(text) => PathBuf::from(spelling::replace(text, &self.old, &self.new)),
            None => path.to_owned(),
        }
    }

    fn rewritten(&self, path: &Path, text: &str) -> String {
        if path == Path::new("CHANGELOG.md") {
            return self.changelog(text);
        }
        if is_history(path) {
            return text.to_owned();
        }
        if path.ends_with("Cargo.lock") {
            return lock::rename(text, &self.old, &self.new, VERSION);
        }

        let text = without_marked(text).replace(SKELETON, SERVICE);
        let text = spelling::replace(&text, &self.old, &self.new);
        let text = match &self.owner {
            Some(owner) => owner.fill(&text),
            None => text,
        };
        match path.to_str() {
            Some("Cargo.toml") => self.manifest(&text),
            Some("LICENSE") => self.licence.text(&self.new).unwrap_or(text),
            Some("README.md") => self.readme(&text),
            Some("nix/package.nix") => self.nix_licence(&text),
            Some("nix/docker.nix") => self.image_licence(&text),
            _ => text,
        }
    }

    fn manifest(&self, text: &str) -> String {
        let text = text.replace(", \"skeleton\", \"template\"]", "]");
        let text = set_line(
            &text,
            "version = ",
            Some(&format!("version = \"{VERSION}\"")),
        );
        let licence = self
            .licence
            .identifier()
            .map(|name| format!("license = \"{name}\""));
        let text = set_line(&text, "license = ", licence.as_deref());
        let mut origin = Origin {
            began: self.origin(),
            source: self.source.clone(),
            owner: self.owner.as_ref().map(ToString::to_string),
            license: Some(self.licence.to_string()),
            ..Origin::default()
        };
        origin.leave_out(&self.without);
        origin.written(&text)
    }

    fn readme(&self, text: &str) -> String {
        let text = text.replace(Licence::Unlicense.sentence(), self.licence.sentence());
        let first = format!(
            "{SERVICE} on [warp](https://docs.rs/warp) and PostgreSQL. What it does, and for whom, is to be said here."
        );
        replace_paragraph(&text, 1, &first)
    }

    fn nix_licence(&self, text: &str) -> String {
        let licence = self
            .licence
            .in_nixpkgs()
            .map(|name| format!("license = lib.licenses.{name};"));
        set_line(text, "license = lib.licenses.", licence.as_deref())
    }

    fn image_licence(&self, text: &str) -> String {
        let key = "\"org.opencontainers.image.licenses\" = ";
        let label = self
            .licence
            .identifier()
            .map(|name| format!("{key}\"{name}\";"));
        set_line(text, key, label.as_deref())
    }

    /// The skeleton's changes are where this project comes from: they stay, under its name, below ours.
    fn changelog(&self, text: &str) -> String {
        let theirs: String = text
            .lines()
            .map(|line| match line.strip_prefix("## ") {
                Some("Unreleased") => format!("## {}, unreleased\n", self.old),
                Some(version) => format!("## {} {version}\n", self.old),
                None => format!("{line}\n"),
            })
            .collect();
        let ours = format!(
            "\n## Unreleased\n\n### Added\n\n- Everything below, from {}.\n",
            self.origin()
        );
        match theirs.find("\n## ") {
            Some(place) => format!("{}{ours}{}", &theirs[..place], &theirs[place..]),
            None => theirs + &ours,
        }
    }
}

/// What tells of the past goes on to call the skeleton by its name.
fn is_history(path: &Path) -> bool {
    path == Path::new("CHANGELOG.md") || path.starts_with("docs/decisions")
}

/// Without what only the skeleton needs, and without two empty lines where it was.
fn without_marked(text: &str) -> String {
    if !text.lines().any(|line| BEGIN.contains(&line.trim())) {
        return text.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut inside = false;
    let mut after_gap = false;
    for line in text.lines() {
        if BEGIN.contains(&line.trim()) {
            inside = true;
            after_gap = kept.last().is_none_or(|last| last.is_empty());
        } else if END.contains(&line.trim()) {
            inside = false;
        } else if !inside {
            if !(after_gap && line.is_empty()) {
                kept.push(line);
            }
            after_gap = false;
        }
    }
    kept.join("\n").trim_end().to_owned() + "\n"
}

/// The text with its first line that begins so, indentation aside, replaced or left out.
fn set_line(text: &str, begins: &str, with: Option<&str>) -> String {
    let mut done = false;
    let mut lines = String::with_capacity(text.len());
    for line in text.lines() {
        let content = line.trim_start();
        if !done && content.starts_with(begins) {
            done = true;
            if let Some(with) = with {
                lines.push_str(&line[..line.len() - content.len()]);
                lines.push_str(with);
                lines.push('\n');
            }
        } else {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    lines
}

fn replace_paragraph(text: &str, index: usize, with: &str) -> String {
    let mut paragraphs: Vec<&str> = text.split("\n\n").collect();
    if let Some(paragraph) = paragraphs.get_mut(index) {
        *paragraph = with;
    }
    paragraphs.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"[workspace]
members = ["xtask"]

[package]
name = "old-thing"
version = "1.4.0"
description = "A production-ready web service to fork: with a database"
license = "Unlicense"
keywords = ["web", "skeleton", "template"]
publish = false

[lib]
name = "old_thing"

[dependencies]
other = { version = "1" }
"#;

    fn project(licence: Licence) -> Project {
        Project {
            old: Name::parse("old-thing").unwrap(),
            new: Name::parse("acme-orders").unwrap(),
            owner: Owner::parse("acme").ok(),
            licence,
            version: "1.4.0".to_owned(),
            revision: Some("0123456789ab".to_owned()),
            without: Vec::new(),
            source: Some("https://example.com/old-thing".to_owned()),
        }
    }

    fn rewritten(licence: Licence, path: &str, text: &str) -> String {
        project(licence).rewritten(Path::new(path), text)
    }

    #[test]
    fn the_manifest_gets_name_version_licence_and_the_line_of_origin() {
        let expected = r#"[workspace]
members = ["xtask"]

[package]
name = "acme-orders"
version = "0.1.0"
description = "A web service: with a database"
license = "MIT"
keywords = ["web"]
publish = false

[package.metadata.skeleton]
# Where this project began and what it has taken over, for make upgrade: docs/how-to/upgrade-from-the-skeleton.md.
origin = "old-thing 1.4.0 (0123456789ab)"
source = "https://example.com/old-thing"
owner = "acme"
license = "MIT"

[lib]
name = "acme_orders"

[dependencies]
other = { version = "1" }
"#;

        assert_eq!(rewritten(Licence::Mit, "Cargo.toml", MANIFEST), expected);
        let proprietary = rewritten(Licence::Proprietary, "Cargo.toml", MANIFEST);
        assert_eq!(proprietary.matches("license").count(), 1, "{proprietary}");
        assert!(proprietary.contains("license = \"proprietary\"\n\n[lib]"));
    }

    #[test]
    fn what_is_left_out_goes_is_written_down_and_leaves_the_rest_renamed() {
        let files = [
            ("Cargo.toml", MANIFEST),
            ("src/features/parcels/mod.rs", "old_thing\n"),
            ("src/plain.rs", "parcels\n"),
            ("src/lib.rs", "parcels old_thing\n"),
        ]
        .map(|(path, text)| (PathBuf::from(path), text.to_owned()));
        let left_out = Plan {
            features: vec!["parcels".to_owned()],
            delete: [PathBuf::from("src/features/parcels/mod.rs")].into(),
            write: [("src/plain.rs", "plain\n"), ("src/lib.rs", "old_thing\n")]
                .map(|(path, text)| (PathBuf::from(path), text.to_owned()))
                .into(),
            ..Plan::default()
        };
        let mut project = project(Licence::Mit);
        project.without.clone_from(&left_out.features);

        let changes = project.changes_without(files.into(), &left_out);

        assert_eq!(
            changes.delete,
            [PathBuf::from("src/features/parcels/mod.rs")]
        );
        let text = |path: &str| changes.write[Path::new(path)].as_str();
        assert_eq!(text("src/plain.rs"), "plain\n");
        assert_eq!(text("src/lib.rs"), "acme_orders\n");
        assert!(text("Cargo.toml").contains("license = \"MIT\"\nwithout = [\"parcels\"]\n\n[lib]"));
    }

    #[test]
    fn history_keeps_the_old_name() {
        let decision = "# Why old-thing has no ORM\n";
        assert_eq!(
            rewritten(Licence::Mit, "docs/decisions/0001-x.md", decision),
            decision
        );

        let before =
            "# Changelog\n\nIntro.\n\n## Unreleased\n\n- New.\n\n## 1.4.0 - 2026-01-01\n\n- Old.\n";
        let after = "# Changelog\n\nIntro.\n\n## Unreleased\n\n### Added\n\n\
                     - Everything below, from old-thing 1.4.0 (0123456789ab).\n\n\
                     ## old-thing, unreleased\n\n- New.\n\n## old-thing 1.4.0 - 2026-01-01\n\n- Old.\n";
        assert_eq!(rewritten(Licence::Mit, "CHANGELOG.md", before), after);
    }

    #[test]
    fn what_only_the_skeleton_needs_goes() {
        let text = "a\n\n  # until init\nb\n\nc\n  # end until init\n\nd\n";
        assert_eq!(rewritten(Licence::Unlicense, "ci.yml", text), "a\n\nd\n");
        let text = "a\n# until init\nb\n# end until init\nc\n";
        assert_eq!(rewritten(Licence::Unlicense, "ci.yml", text), "a\nc\n");
        let text = "a\n\n<!-- until init -->\nb\n<!-- end until init -->\n";
        assert_eq!(rewritten(Licence::Unlicense, "x.md", text), "a\n");

        let files = SKELETON_ONLY
            .iter()
            .chain(&["LICENSE"])
            .map(|path| (PathBuf::from(path), String::new()));
        let files = files.collect();
        assert_eq!(
            project(Licence::Unlicense).changes(&files).delete.len(),
            SKELETON_ONLY.len()
        );
        assert_eq!(
            project(Licence::Proprietary).changes(&files).delete.len(),
            SKELETON_ONLY.len() + 1
        );
    }

    #[test]
    fn the_readme_gets_a_title_a_first_paragraph_and_the_licence() {
        let before = "# old-thing\n\nTo fork.\nNot for you.\n\n## More\n\nold_thing\n\n## Licence\n\n\
                      [Unlicense](LICENSE): do as you like. The pages are others'.\n";
        let after = rewritten(Licence::Apache, "README.md", before);

        assert!(
            after.starts_with("# acme-orders\n\nA web service on [warp]"),
            "{after}"
        );
        assert!(after.ends_with("## More\n\nacme_orders\n\n## Licence\n\n[Apache-2.0](LICENSE). The pages are others'.\n"));
    }

    #[test]
    fn packages_and_images_name_the_licence() {
        let nix = "  meta = {\n    license = lib.licenses.unlicense;\n  };\n";
        assert!(
            rewritten(Licence::Apache, "nix/package.nix", nix)
                .contains("    license = lib.licenses.asl20;\n")
        );
        assert!(!rewritten(Licence::Proprietary, "nix/package.nix", nix).contains("license"));

        let label = "\"org.opencontainers.image.licenses\" = \"Unlicense\";\n";
        let mit = rewritten(Licence::Mit, "nix/docker.nix", label);
        assert_eq!(mit, "\"org.opencontainers.image.licenses\" = \"MIT\";\n");
    }

    #[test]
    fn the_chassis_is_left_as_it_is() {
        let texts = [
            (
                "crates/chassis-http/README.md",
                "old-thing, github.com/OWNER\n",
            ),
            (
                "crates/old-thing/src/lib.rs",
                "// until init\n# until init\nold_thing\n# end until init\n",
            ),
        ];
        let files = texts
            .map(|(path, text)| (PathBuf::from(path), text.to_owned()))
            .into();

        assert_eq!(project(Licence::Mit).changes(&files), Changes::default());
    }

    #[test]
    fn files_are_renamed_with_what_they_hold_and_the_rest_is_left() {
        let texts = [
            ("ops/old-thing/old_thing.yml", "name: Old Thing\n"),
            ("ops/plain.yml", "nothing\n"),
        ];
        let files = texts
            .map(|(path, text)| (PathBuf::from(path), text.to_owned()))
            .into();

        let changes = project(Licence::Unlicense).changes(&files);

        let place = PathBuf::from("ops/acme-orders/acme_orders.yml");
        assert_eq!(
            changes.rename,
            [(PathBuf::from("ops/old-thing/old_thing.yml"), place.clone())]
        );
        assert_eq!(
            changes.write,
            BTreeMap::from([(place, "name: Acme Orders\n".to_owned())])
        );
        assert_eq!(changes.delete, Vec::<PathBuf>::new());
    }
}
