//! `docs/reference/features.md`: what each feature adds, counted in the files of the project, or measured by
//! `scripts/features` and kept until that runs again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Deserialize;

use super::{
    manifest::{FEATURES, Manifest, read_all},
    marks,
};

pub(super) const PAGE: &str = "docs/reference/features.md";

const INTRODUCTION: &str = "# Features

What can be taken out, and what it adds: [how to remove a feature](../how-to/remove-a-feature.md).

Written by `scripts/references`. Lines are those of Rust in `src/`, tests in the
same file included, in hundreds; crates are those that nothing else needs. What a program has to be built for is measured by
`scripts/features`, each night: endpoints, and MiB of the release build, for a feature of which nothing that uses it is there.

";

/// Where what is measured stands in a row.
const MIB: usize = 6;
const ENDPOINTS: usize = 7;
const SMALLEST: &str = "## The smallest service";

const HEAD: &str =
    "| feature | what it is for | uses | lines | crates | MiB | endpoints | settings | migrations |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |
";

/// What was measured.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Measured {
    /// What a feature adds: `notes=1.25/3`, MiB and endpoints.
    #[arg(long = "feature", value_name = "NAME=MIB/ENDPOINTS")]
    features: Vec<String>,

    /// What is said of a service without any of them.
    #[arg(long)]
    smallest: Option<String>,
}

impl Measured {
    /// MiB and endpoints of a feature.
    fn of(&self, name: &str) -> Option<(String, String)> {
        let mut all = self.features.iter().filter_map(|text| text.split_once('='));
        let (_, text) = all.find(|(feature, _)| *feature == name)?;
        let (mib, endpoints) = text.split_once('/')?;
        Some((mib.to_owned(), endpoints.to_owned()))
    }

    /// What the page says that is there.
    fn read(page: &str) -> Self {
        let rows = page.lines().filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let name = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
            let (mib, endpoints) = (cells.get(MIB)?, cells.get(ENDPOINTS)?);
            // A page of before has other columns there.
            (cells.len() == 11).then(|| format!("{name}={mib}/{endpoints}"))
        });
        let (_, smallest) = page.split_once(SMALLEST).unwrap_or_default();
        Self {
            features: rows.collect(),
            smallest: Some(smallest.trim().to_owned()).filter(|text| !text.is_empty()),
        }
    }
}

/// The page, for the files of this project, with what was measured before.
pub(super) fn page(texts: &BTreeMap<PathBuf, String>) -> anyhow::Result<String> {
    page_with(texts, &Measured::default())
}

/// The page with what was measured now, as far as it was.
pub(super) fn page_with(
    texts: &BTreeMap<PathBuf, String>,
    now: &Measured,
) -> anyhow::Result<String> {
    let before = texts.get(Path::new(PAGE)).map_or("", String::as_str);
    let before = Measured::read(before);
    let manifests = read_all(texts)?;
    let mut page = INTRODUCTION.to_owned();
    let removable = || {
        manifests
            .iter()
            .filter(|(_, manifest)| manifest.stays.is_none())
    };
    if removable().count() == 0 {
        page += "None: every feature that could be removed was.\n";
    } else {
        page += HEAD;
    }
    for (name, manifest) in removable() {
        let measured = now.of(name).or_else(|| before.of(name));
        writeln!(page, "{}", row(name, manifest, texts, measured)?)?;
    }
    page += "\nThese stay, because others rest on them:\n\n| feature | what it is for | why it stays |\n| --- | --- | --- |\n";
    for (name, manifest) in &manifests {
        if let Some(reason) = &manifest.stays {
            writeln!(page, "| `{name}` | {} | {reason} |", manifest.summary)?;
        }
    }
    if let Some(text) = now.smallest.as_ref().or(before.smallest.as_ref()) {
        write!(page, "\n{SMALLEST}\n\n{text}\n")?;
    }
    Ok(page)
}

fn row(
    name: &str,
    manifest: &Manifest,
    texts: &BTreeMap<PathBuf, String>,
    measured: Option<(String, String)>,
) -> anyhow::Result<String> {
    let quoted = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let code: Vec<&String> = sources(name, manifest, texts).collect();
    let lines: usize = code.iter().map(|text| text.lines().count()).sum();
    let counted = || code.iter().map(|text| endpoints(text)).sum::<usize>();
    let (mib, endpoints) = measured.unwrap_or_else(|| ("?".to_owned(), counted().to_string()));
    Ok(format!(
        "| `{name}` | {} | {} | {} | {} | {mib} | {endpoints} | {} | {} |",
        manifest.summary,
        quoted(&manifest.needs),
        lines.div_ceil(100) * 100,
        crates(name, texts)?,
        code.iter().map(|text| settings(text)).sum::<usize>(),
        quoted(&manifest.migrations),
    ))
}

/// The Rust of the service that goes whole.
fn sources<'t>(
    name: &str,
    manifest: &'t Manifest,
    texts: &'t BTreeMap<PathBuf, String>,
) -> impl Iterator<Item = &'t String> {
    let folder = PathBuf::from(FEATURES).join(name);
    let files = texts.iter().filter(move |(path, _)| {
        let mut others = manifest.files.iter().filter(|path| path.starts_with("src"));
        let goes = path.starts_with(&folder) || others.any(|other| path.starts_with(other));
        goes && path.extension().is_some_and(|end| end == "rs")
    });
    files.map(|(_, text)| text)
}

/// How many endpoints a file defines: calls like `post("/notes", …)`.
fn endpoints(text: &str) -> usize {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let squeezed: String = code.split_whitespace().collect();
    let calls = METHODS.map(|method| {
        let call = format!("{method}(\"/");
        let found = squeezed.match_indices(&call);
        found
            .filter(|(place, _)| {
                let before = squeezed[..*place].chars().next_back();
                !before.is_some_and(|before| before.is_alphanumeric() || "_.".contains(before))
            })
            .count()
    });
    calls.iter().sum()
}

/// How many settings a file declares with `settings!`.
fn settings(text: &str) -> usize {
    let lines = text
        .lines()
        .skip_while(|line| *line != "settings! {")
        .skip(1);
    let lines = lines.take_while(|line| *line != "}");
    let names = lines.filter_map(|line| line.trim_start().split_once(": "));
    let is_name = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    names.filter(|(name, _)| is_name(name)).count()
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// How many packages of the lock file only this feature needs.
fn crates(name: &str, texts: &BTreeMap<PathBuf, String>) -> anyhow::Result<usize> {
    let manifest = texts
        .get(Path::new("Cargo.toml"))
        .context("Cargo.toml is missing")?;
    let without = marks::without(manifest, name)
        .map_err(|problem| anyhow::anyhow!("Cargo.toml: line {problem}"))?;
    let (all, left) = (dependencies(manifest)?, dependencies(&without)?);
    let gone: BTreeSet<&String> = all.difference(&left).collect();
    let Some(lock) = texts
        .get(Path::new("Cargo.lock"))
        .filter(|_| !gone.is_empty())
    else {
        return Ok(0);
    };
    let lock: Lock = toml::from_str(lock).context("Cargo.lock cannot be read")?;
    let parsed: toml::Table = toml::from_str(manifest)?;
    let own = parsed["package"]["name"].as_str().unwrap_or_default();
    let reached = |skipped: &BTreeSet<&String>| reached(&lock, own, skipped);
    Ok(reached(&BTreeSet::new()) - reached(&gone))
}

/// The packages that a manifest depends on, by their own names.
fn dependencies(manifest: &str) -> anyhow::Result<BTreeSet<String>> {
    let table: toml::Table = toml::from_str(manifest).context("Cargo.toml cannot be read")?;
    let found = table.get("dependencies").and_then(toml::Value::as_table);
    let names = found.into_iter().flatten().map(|(key, value)| {
        let package = value.get("package").and_then(toml::Value::as_str);
        package.unwrap_or(key).to_owned()
    });
    Ok(names.collect())
}

/// How many packages are reached from this one, when it does not depend on those that are skipped.
fn reached(lock: &Lock, from: &str, skipped: &BTreeSet<&String>) -> usize {
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut open: Vec<(&str, Option<&str>)> = vec![(from, None)];
    while let Some((name, version)) = open.pop() {
        let is_it = |package: &&Package| {
            package.name == name && version.is_none_or(|version| package.version == version)
        };
        let Some(package) = lock.package.iter().find(is_it) else {
            continue;
        };
        if !seen.insert((&package.name, &package.version)) {
            continue;
        }
        for dependency in &package.dependencies {
            let mut words = dependency.split(' ');
            let dependency = words.next().unwrap_or_default();
            if name != from || !skipped.iter().any(|skipped| *skipped == dependency) {
                open.push((dependency, words.next()));
            }
        }
    }
    seen.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_settings_are_counted() {
        let code = "// post(\"/no\")\n    post(\n        \"/parcels/verify\", x)\n    .get(\"/no\")\n get(\"/parcels\")\n";
        assert_eq!(endpoints(code), 2);

        let code = "settings! {\n    /// why: because\n    PARCEL_FROM: String, text();\n\n    PARCEL_URL: Option<Url>, x;\n}\nOTHER: u8\n";
        assert_eq!(settings(code), 2);
    }

    #[test]
    fn crates_are_those_that_nothing_else_needs() {
        let manifest = "[package]\nname = \"own\"\n[dependencies]\na = \"1\"\n# parcels: begin\nb = \"1\"\n# parcels: end\n";
        let lock = "
[[package]]
name = \"own\"
version = \"0\"
dependencies = [\"a\", \"b\"]
[[package]]
name = \"a\"
version = \"1\"
dependencies = [\"shared\"]
[[package]]
name = \"b\"
version = \"1\"
dependencies = [\"shared\", \"only\"]
[[package]]
name = \"shared\"
version = \"1\"
[[package]]
name = \"only\"
version = \"1\"
";
        let texts = [("Cargo.toml", manifest), ("Cargo.lock", lock)]
            .map(|(path, text)| (PathBuf::from(path), text.to_owned()))
            .into();

        assert_eq!(crates("parcels", &texts).unwrap(), 2);
        assert_eq!(crates("notes", &texts).unwrap(), 0);
    }

    #[test]
    fn what_was_measured_stays_until_it_is_measured_again() {
        let manifest = "summary = \"to send\"\n";
        let mut texts: BTreeMap<PathBuf, String> = [
            ("Cargo.toml", "[package]\nname = \"own\"\n"),
            ("src/features/parcels/feature.toml", manifest),
        ]
        .map(|(path, text)| (PathBuf::from(path), text.to_owned()))
        .into();
        let row = |page: &str| {
            page.lines()
                .find(|line| line.starts_with("| `parcels`"))
                .unwrap()
                .to_owned()
        };

        let first = page(&texts).unwrap();
        assert_eq!(
            row(&first),
            "| `parcels` | to send |  | 0 | 0 | ? | 0 | 0 |  |"
        );
        assert!(!first.contains(SMALLEST));

        let now = Measured {
            features: vec!["parcels=0.31/4".to_owned()],
            smallest: Some("It is small.".to_owned()),
        };
        let second = page_with(&texts, &now).unwrap();
        assert_eq!(
            row(&second),
            "| `parcels` | to send |  | 0 | 0 | 0.31 | 4 | 0 |  |"
        );
        assert!(
            second.ends_with("## The smallest service\n\nIt is small.\n"),
            "{second}"
        );

        texts.insert(PathBuf::from(PAGE), second.clone());
        assert_eq!(page(&texts).unwrap(), second);
    }

    #[test]
    fn the_page_is_current() {
        let project = super::super::project().unwrap();
        let written = &project.texts[Path::new(PAGE)];
        let text = page(&project.texts).unwrap();

        // Lines may differ by some, or every edit would have the page written anew.
        let cells = |page: &str| -> Vec<Vec<String>> {
            let rows = page
                .lines()
                .map(|line| line.split('|').map(|cell| cell.trim().to_owned()));
            rows.map(Iterator::collect).collect()
        };
        let (written, text) = (cells(written), cells(&text));
        assert_eq!(written.len(), text.len(), "another number of rows: {HOW}");
        for (mut is, mut expected) in written.into_iter().zip(text) {
            if let (Some(is), Some(expected)) = (number(&mut is), number(&mut expected)) {
                assert!(
                    is.abs_diff(expected) * 4 <= expected,
                    "{is} lines are {expected}: {HOW}"
                );
            }
            assert_eq!(is, expected, "{HOW}");
        }
    }

    /// Takes the number of lines out of a row.
    fn number(cells: &mut [String]) -> Option<usize> {
        std::mem::take(cells.get_mut(4)?).parse().ok()
    }

    const HOW: &str = "write it anew: scripts/references";
}
