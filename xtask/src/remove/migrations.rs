//! The migrations of features that go, and the one that drops what they made.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use super::{manifest::Manifest, plan::grant};

const FOLDER: &str = "migrations";
const UNDO: &str = ".down.sql";

/// Where it is kept which tables are left of features that are gone.
const REMOVED: &str = "src/features/removed.toml";

const INTRODUCTION: &str = "# Features that were removed, and whose tables are still there.
# make remove FEATURE=… STEP=drop writes the migration that drops them, and takes the feature out of here.
";

/// A step and its undo.
pub(super) struct Files {
    pub(super) step: PathBuf,
    pub(super) undo: PathBuf,
}

/// What is left of a feature that is gone.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Left {
    #[serde(default)]
    needs: Vec<String>,
    migrations: Vec<String>,
    #[serde(default)]
    tables: Vec<String>,
}

/// The features that are gone, and whose tables are still there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Removed(BTreeMap<String, Left>);

impl Removed {
    pub(super) fn read(texts: &BTreeMap<PathBuf, String>) -> anyhow::Result<Self> {
        let Some(text) = texts.get(Path::new(REMOVED)) else {
            return Ok(Self::default());
        };
        let all = toml::from_str(text).with_context(|| format!("{REMOVED} is damaged"))?;
        Ok(Self(all))
    }

    pub(super) fn add(&mut self, name: &str, manifest: &Manifest) {
        let left = Left {
            needs: manifest.needs.clone(),
            migrations: manifest.migrations.clone(),
            tables: manifest.tables.clone(),
        };
        self.0.insert(name.to_owned(), left);
    }

    /// Puts the file among the texts. It is empty, and to be deleted, when nothing is left.
    pub(super) fn write(&self, texts: &mut BTreeMap<PathBuf, String>) {
        let path = PathBuf::from(REMOVED);
        if self.0.is_empty() {
            texts.remove(&path);
            return;
        }
        let list = |names: &[String]| {
            let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            format!("[{}]", names.join(", "))
        };
        let mut text = INTRODUCTION.to_owned();
        for (name, left) in &self.0 {
            text.extend(["\n[", name, "]\n"]);
            if !left.needs.is_empty() {
                text.extend(["needs = ", &list(&left.needs), "\n"]);
            }
            text.extend(["migrations = ", &list(&left.migrations), "\n"]);
            text.extend(["tables = ", &list(&left.tables), "\n"]);
        }
        texts.insert(path, text);
    }

    /// Takes out a feature whose tables are to be dropped.
    fn take(&mut self, name: &str) -> anyhow::Result<Left> {
        let Some(left) = self.0.remove(name) else {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                format!("{REMOVED} lists none")
            } else {
                format!("{REMOVED} lists {}", known.join(", "))
            };
            bail!(
                "no removed feature {name} has left tables ({known}). A feature is removed first, and dropped with a \
                 later release: make remove FEATURE={name}"
            );
        };
        let needing = self
            .0
            .iter()
            .find(|(_, other)| other.needs.iter().any(|one| one == name));
        if let Some((other, _)) = needing {
            bail!(
                "the tables of {other} may refer to those of {name}: drop {other} first, or both: FEATURE=\"{other} {name}\""
            );
        }
        Ok(left)
    }
}

/// The files of these migrations, in the order of their numbers.
pub(super) fn find_all(
    texts: &BTreeMap<PathBuf, String>,
    names: &[String],
) -> anyhow::Result<Vec<Files>> {
    let mut found = Vec::new();
    for name in names {
        let is_it = |path: &&PathBuf| step(path).is_some_and(|(_, step)| step == name);
        let steps: Vec<&PathBuf> = texts.keys().filter(is_it).collect();
        let [path] = steps.as_slice() else {
            bail!(
                "{FOLDER}/V…__{name}.sql is there {} times, and once is right",
                steps.len()
            );
        };
        let undo = PathBuf::from(format!(
            "{}{UNDO}",
            path.display().to_string().trim_end_matches(".sql")
        ));
        ensure!(
            texts.contains_key(&undo),
            "{} is missing, which undoes {}",
            undo.display(),
            path.display()
        );
        found.push(Files {
            step: (*path).clone(),
            undo,
        });
    }
    found.sort_by_key(|files| step(&files.step).map(|(version, _)| version));
    Ok(found)
}

/// The names of the migrations that make or change this table, oldest first.
///
/// # Errors
///
/// When one of them changes another table as well.
pub(super) fn of_table(
    texts: &BTreeMap<PathBuf, String>,
    table: &str,
) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for (path, text) in texts {
        let Some((version, name)) = step(path) else {
            continue;
        };
        let changed = changed_tables(text);
        if !changed.iter().any(|changed| changed == table) {
            continue;
        }
        if let Some(other) = changed.iter().find(|changed| *changed != table) {
            bail!(
                "{} changes {table}, and {other} as well: say in src/features/{table}/feature.toml which migrations are \
                 the feature's",
                path.display()
            );
        }
        found.push((version, name.to_owned()));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

/// The tables that the statements of a migration make, alter or index.
fn changed_tables(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    let code = code.join("\n");
    let words: Vec<&str> = code
        .split(|sign: char| !(sign.is_alphanumeric() || sign == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let is_filler = |word: &&&str| {
        ["IF", "NOT", "EXISTS", "ONLY"].contains(&word.to_ascii_uppercase().as_str())
    };
    let mut tables = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let rest = &words[index + 1..];
        let table = match word.to_ascii_uppercase().as_str() {
            "TABLE" => rest.iter().find(|word| !is_filler(word)),
            "INDEX" => {
                let on = rest.iter().take(6).position(|word| *word == "ON");
                on.and_then(|on| rest[on + 1..].iter().find(|word| !is_filler(word)))
            }
            _ => None,
        };
        tables.extend(table.map(|table| (*table).to_owned()));
    }
    tables
}

/// Number and name of a migration; nothing for an undo, or another file.
fn step(path: &Path) -> Option<(u32, &str)> {
    let name = path.strip_prefix(FOLDER).ok()?.to_str()?;
    let stem = name
        .strip_suffix(".sql")
        .filter(|_| !name.ends_with(UNDO))?;
    let (version, name) = stem.strip_prefix('V')?.split_once("__")?;
    Some((version.parse().ok()?, name))
}

/// The files that are new or different when what these features left is dropped, and whether the list of removed features
/// goes.
pub(super) fn drop(
    texts: &BTreeMap<PathBuf, String>,
    names: &[String],
) -> anyhow::Result<(BTreeMap<PathBuf, String>, Option<PathBuf>)> {
    let mut removed = Removed::read(texts)?;
    let mut after = texts.clone();
    for name in ordered(&removed, names) {
        let left = removed.take(name)?;
        let files = find_all(texts, &left.migrations)?;
        let newest = after
            .keys()
            .filter_map(|path| step(path))
            .map(|(version, _)| version)
            .max();
        let stem = format!("{FOLDER}/V{:04}__drop_{name}", newest.unwrap_or(0) + 1);
        let undos: Vec<&str> = files
            .iter()
            .rev()
            .map(|files| body(&texts[&files.undo]))
            .collect();
        let steps: Vec<&str> = files
            .iter()
            .map(|files| body(&texts[&files.step]))
            .collect();
        after.insert(
            PathBuf::from(format!("{stem}.sql")),
            format!(
                "-- The feature {name} was removed with an earlier release, so nothing reads this any more.\n\n{}\n",
                undos.join("\n\n")
            ),
        );
        after.insert(
            PathBuf::from(format!("{stem}{UNDO}")),
            format!(
                "-- Makes again what was dropped. The rows are gone.\n\n{}\n",
                steps.join("\n\n")
            ),
        );
        if let Some(grants) = after.get_mut(Path::new("src/grants.rs")) {
            for table in &left.tables {
                if let Ok(text) = super::edits::without_line(grants, &grant(table)) {
                    *grants = text;
                }
            }
        }
    }
    removed.write(&mut after);
    let gone = texts
        .keys()
        .find(|path| !after.contains_key(*path))
        .cloned();
    after.retain(|path, text| texts.get(path) != Some(text));
    Ok((after, gone))
}

/// Those that need others first.
fn ordered<'n>(removed: &Removed, names: &'n [String]) -> Vec<&'n String> {
    let mut ordered: Vec<&String> = Vec::new();
    let mut waiting: Vec<&String> = names.iter().collect();
    while !waiting.is_empty() {
        let is_needed = |name: &String| {
            waiting.iter().any(|other| {
                let left = removed.0.get(*other);
                left.is_some_and(|left| left.needs.contains(name))
            })
        };
        let place = waiting
            .iter()
            .position(|name| !is_needed(name))
            .unwrap_or(0);
        ordered.push(waiting.remove(place));
    }
    ordered
}

fn body(text: &str) -> &str {
    text.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_of_a_table_make_alter_or_index_it() {
        let mut texts: BTreeMap<PathBuf, String> = [
            ("V0001__create_notes.sql", "-- TABLE parcels\nCREATE TABLE notes (\n    id uuid\n);\nCREATE INDEX notes_at_idx ON notes (at);\n"),
            ("V0001__create_notes.down.sql", "DROP TABLE notes;\n"),
            ("V0002__create_parcels.sql", "CREATE TABLE parcels (id uuid REFERENCES notes (id));\n"),
            ("V0003__add_colour.sql", "ALTER TABLE IF EXISTS notes ADD COLUMN colour text;\n"),
        ]
        .map(|(name, text)| (Path::new(FOLDER).join(name), text.to_owned()))
        .into();

        assert_eq!(
            of_table(&texts, "notes").unwrap(),
            ["create_notes", "add_colour"]
        );
        assert_eq!(of_table(&texts, "words").unwrap(), [""; 0]);

        let both = "ALTER TABLE notes ADD a text;\nCREATE INDEX ON parcels (a);\n";
        texts.insert(Path::new(FOLDER).join("V0004__both.sql"), both.to_owned());
        let refusal = of_table(&texts, "notes").unwrap_err().to_string();
        assert!(
            refusal.contains("V0004__both.sql changes notes, and parcels as well"),
            "{refusal}"
        );
    }
}
