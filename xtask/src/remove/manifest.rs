//! `feature.toml`, which stands in the folder of a feature and says what belongs to it elsewhere.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The folder of features, and the name of a manifest in one of them.
pub(super) const FEATURES: &str = "src/features";
const MANIFEST: &str = "feature.toml";

/// What belongs to a feature outside its folders and the regions marked with its name. `docs/how-to/remove-a-feature.md`
/// explains each field.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// What it is for, in one line.
    pub(super) summary: String,
    /// Why it cannot be removed; unset when it can.
    pub(super) stays: Option<String>,
    /// The removable features that it uses.
    #[serde(default)]
    pub(super) needs: Vec<String>,
    /// Its migrations, without their numbers: `create_notes`.
    #[serde(default)]
    pub(super) migrations: Vec<String>,
    /// The tables that these make.
    #[serde(default)]
    pub(super) tables: Vec<String>,
    /// What no file may say afterwards, as extended regular expressions of whole words: `tests/scripts/remove` looks.
    #[serde(default)]
    pub(super) words: Vec<String>,
    /// Files and folders that go whole.
    #[serde(default)]
    pub(super) files: Vec<PathBuf>,
    /// Single lines of a file that go, by how they begin.
    #[serde(default)]
    pub(super) lines: BTreeMap<PathBuf, Vec<String>>,
    /// Parts of a file that say something else without the feature.
    #[serde(default)]
    pub(super) replace: Vec<Replacement>,
    /// Whether there is no such file, and this is what its feature follows from the conventions.
    #[serde(skip)]
    pub(super) is_worked_out: bool,
}

/// A part of a text, and what stands there without the feature.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replacement {
    pub(super) file: PathBuf,
    /// Line breaks and other space stand for each other.
    pub(super) text: String,
    pub(super) with: String,
}

/// The manifests of a project, by the names of their features.
pub(super) fn read_all(
    texts: &BTreeMap<PathBuf, String>,
) -> anyhow::Result<BTreeMap<String, Manifest>> {
    let mut manifests = BTreeMap::new();
    for (path, text) in texts {
        let Some(name) = feature_of(path).filter(|_| path.ends_with(MANIFEST)) else {
            continue;
        };
        let manifest: Manifest = toml::from_str(text)
            .with_context(|| format!("{} is no manifest of a feature", path.display()))?;
        manifests.insert(name.to_owned(), manifest);
    }
    for (name, manifest) in &manifests {
        for needed in &manifest.needs {
            let known = manifests.get(needed);
            ensure!(
                known.is_some_and(|needed| needed.stays.is_none()),
                "{FEATURES}/{name}/{MANIFEST} needs {needed}, which is no removable feature"
            );
        }
    }
    Ok(manifests)
}

/// The feature whose folder holds this file.
pub(super) fn feature_of(path: &Path) -> Option<&str> {
    let mut parts = path.strip_prefix(FEATURES).ok()?.iter();
    let name = parts.next()?.to_str()?;
    parts.next().is_some().then_some(name)
}
