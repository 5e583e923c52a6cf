//! What is to change when features go, worked out before anything is touched.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};

use super::{
    conventions, edits,
    manifest::{FEATURES, Manifest, read_all},
    marks,
    migrations::{self, Removed},
    reference, uses,
};
use crate::origin::Origin;

/// What keeps its words: the past, and what no feature may reach into.
pub(super) const UNTOUCHED: [&str; 4] = ["CHANGELOG.md", "docs/decisions", "crates", "Cargo.lock"];

/// Where the privileges on tables are listed.
const GRANTS: &str = "src/grants.rs";

/// What becomes of the migrations of a feature, and of its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Databases have applied them, and replicas of the last release read the tables: they stay.
    Stay,
    /// No database has them yet.
    WereNeverMade,
}

/// Which files go, and what the others say afterwards.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The features, those that use others first.
    pub(crate) features: Vec<String>,
    pub(crate) delete: BTreeSet<PathBuf>,
    pub(crate) write: BTreeMap<PathBuf, String>,
    /// Tables that stay.
    pub(crate) tables: Vec<String>,
    /// What nothing may say any more.
    pub(crate) words: Vec<String>,
}

/// Works out what goes with these features. `files` are all files of the project, `texts` those that are text.
pub(crate) fn plan(
    files: &[PathBuf],
    texts: &BTreeMap<PathBuf, String>,
    names: &[String],
    tables: Tables,
) -> anyhow::Result<Plan> {
    let manifests = manifests_of(names, texts)?;
    let features = in_order(names, &manifests, texts)?;
    let mut work = Work {
        files,
        texts: texts.clone(),
        deleted: BTreeSet::new(),
        complaints: Vec::new(),
    };
    let mut removed = Removed::read(texts)?;
    let (mut left, mut words) = (Vec::new(), Vec::new());
    for name in &features {
        let manifest = &manifests[name];
        work.remove_feature(name, manifest);
        words.extend(manifest.words.iter().cloned());
        if tables == Tables::WereNeverMade {
            work.remove_migrations(manifest);
        } else if !manifest.migrations.is_empty() {
            migrations::find_all(texts, &manifest.migrations)?;
            removed.add(name, manifest);
            left.extend(manifest.tables.iter().cloned());
        }
    }
    work.refuse_uses(&features);
    ensure!(
        work.complaints.is_empty(),
        "the project is not whole where it mentions {}, so nothing was changed. Mend this, or the manifest in \
         {FEATURES}/…/feature.toml:\n  {}",
        features.join(", "),
        work.complaints.join("\n  ")
    );
    removed.write(&mut work.texts);
    // What the project did not begin with, it did not leave out either.
    let began_with = |name: &&String| !manifests[*name].is_worked_out;
    let left_out: Vec<String> = features.iter().filter(began_with).cloned().collect();
    if !left_out.is_empty() {
        origin_without(&mut work.texts, &left_out)?;
    }
    work.refresh_page()?;
    let write = work
        .texts
        .into_iter()
        .filter(|(path, text)| !work.deleted.contains(path) && texts.get(path) != Some(text));
    Ok(Plan {
        features,
        write: write.collect(),
        delete: work.deleted,
        tables: left,
        words,
    })
}

/// All manifests, with those of `names` that have none worked out.
fn manifests_of(
    names: &[String],
    texts: &BTreeMap<PathBuf, String>,
) -> anyhow::Result<BTreeMap<String, Manifest>> {
    let mut manifests = read_all(texts)?;
    for name in names {
        if !manifests.contains_key(name)
            && let Some(manifest) = conventions::manifest(name, texts)?
        {
            manifests.insert(name.clone(), manifest);
        }
    }
    Ok(manifests)
}

/// The features that are to go, those that use others before those. Refuses what cannot go.
fn in_order(
    names: &[String],
    manifests: &BTreeMap<String, Manifest>,
    texts: &BTreeMap<PathBuf, String>,
) -> anyhow::Result<Vec<String>> {
    let wanted: BTreeSet<&String> = names.iter().collect();
    for name in &wanted {
        let Some(manifest) = manifests.get(*name) else {
            bail!("{}", unknown(name, manifests, texts));
        };
        if let Some(reason) = &manifest.stays {
            bail!("{name} cannot be removed: {reason}");
        }
        let users = manifests
            .iter()
            .filter(|(user, manifest)| manifest.needs.contains(name) && !wanted.contains(user));
        let users: Vec<&str> = users.map(|(user, _)| user.as_str()).collect();
        ensure!(
            users.is_empty(),
            "{} {} {name}, and nothing was changed. Remove them together: make remove FEATURE=\"{} {name}\"",
            users.join(" and "),
            if users.len() == 1 { "needs" } else { "need" },
            users.join(" ")
        );
    }
    let mut ordered: Vec<String> = Vec::new();
    while ordered.len() < wanted.len() {
        let is_free = |name: &&&String| {
            let mut others = wanted.iter().filter(|other| !ordered.contains(other));
            !ordered.contains(name) && others.all(|other| !manifests[*other].needs.contains(name))
        };
        let next = wanted.iter().find(is_free);
        let next = next.context("the manifests of features need each other in a circle")?;
        ordered.push((*next).clone());
    }
    Ok(ordered)
}

/// Why a name is that of no feature that could be removed.
fn unknown(
    name: &str,
    manifests: &BTreeMap<String, Manifest>,
    texts: &BTreeMap<PathBuf, String>,
) -> String {
    let marked = texts
        .iter()
        .filter(|(path, _)| !is_untouched(path))
        .find(|(_, text)| {
            let mut marks = text.lines().filter_map(marks::mark);
            marks.any(|mark| mark.feature == name)
        });
    if let Some((path, _)) = marked {
        return format!(
            "{name} is half removed: {FEATURES}/{name}/feature.toml is gone, and {} still has a region of it. \
             Bring the folder back (git log -- {FEATURES}/{name}), and run this again",
            path.display()
        );
    }
    let removable = manifests
        .iter()
        .filter(|(_, manifest)| manifest.stays.is_none());
    let removable: Vec<&str> = removable.map(|(name, _)| name.as_str()).collect();
    let known = if removable.is_empty() {
        "there is none left that could be removed".to_owned()
    } else {
        format!("those that can be removed are: {}", removable.join(", "))
    };
    format!("there is no feature {name}; {known}")
}

fn is_untouched(path: &Path) -> bool {
    UNTOUCHED.iter().any(|kept| path.starts_with(kept))
}

/// The files as they will be, and what stands in the way.
struct Work<'f> {
    files: &'f [PathBuf],
    texts: BTreeMap<PathBuf, String>,
    deleted: BTreeSet<PathBuf>,
    complaints: Vec<String>,
}

impl Work<'_> {
    /// Writes the page about features anew, from what is left.
    fn refresh_page(&mut self) -> anyhow::Result<()> {
        let mut left = self.texts.clone();
        left.retain(|path, _| !self.deleted.contains(path));
        if let Some(text) = self.texts.get_mut(Path::new(reference::PAGE)) {
            *text = reference::page(&left)?;
        }
        Ok(())
    }

    fn remove_feature(&mut self, name: &str, manifest: &Manifest) {
        let code = PathBuf::from(FEATURES).join(name);
        self.delete_below(&code);
        self.remove_line(
            Path::new("src/features/mod.rs"),
            &format!("pub mod {name};"),
        );
        self.remove_tests(name);
        for path in &manifest.files {
            if !self.delete_below(path) {
                self.complain(path, "it is not there");
            }
        }
        let marked: Vec<PathBuf> = self.texts.keys().cloned().collect();
        for path in marked.iter().filter(|path| !is_untouched(path)) {
            self.edit(path, |text| {
                marks::without(text, name).map_err(|problem| format!("line {problem}"))
            });
        }
        if manifest.is_worked_out {
            for path in conventions::WIRED.map(Path::new) {
                self.edit(path, |text| conventions::without(path, text, name));
            }
        }
        for (path, lines) in &manifest.lines {
            for line in lines {
                self.remove_line(path, line);
            }
        }
        for part in &manifest.replace {
            self.must_be_there(&part.file);
            self.edit(&part.file, |text| {
                edits::replaced(text, &part.text, &part.with)
            });
        }
    }

    /// `tests/api/NAME` and `tests/process/NAME`, with the lines that make them part of the two programs.
    fn remove_tests(&mut self, name: &str) {
        let module = format!("mod {name};");
        if self.delete_below(&PathBuf::from("tests/api").join(name)) {
            self.remove_line(Path::new("tests/api/main.rs"), &module);
        }
        if self.delete_below(&PathBuf::from("tests/process").join(name)) {
            let path = format!("#[path = \"process/{name}/mod.rs\"]");
            self.remove_line(Path::new("tests/process.rs"), &path);
            self.remove_line(Path::new("tests/process.rs"), &module);
        }
    }

    fn remove_migrations(&mut self, manifest: &Manifest) {
        match migrations::find_all(&self.texts, &manifest.migrations) {
            Ok(found) => {
                for migration in found {
                    self.deleted.insert(migration.step);
                    self.deleted.insert(migration.undo);
                }
            }
            Err(error) => self.complaints.push(format!("{error:#}")),
        }
        for table in &manifest.tables {
            self.remove_line(Path::new(GRANTS), &grant(table));
        }
    }

    /// Refuses code that would not compile any more: that of features which nobody has told about.
    fn refuse_uses(&mut self, features: &[String]) {
        let kept = self.texts.iter().filter(|(path, _)| {
            !self.deleted.contains(*path)
                && !is_untouched(path)
                && !path.starts_with("xtask")
                // What make feature writes, to be read: nothing compiles it.
                && !path.starts_with("examples/notes")
        });
        for (path, text) in kept.filter(|(path, _)| path.extension().is_some_and(|end| end == "rs"))
        {
            for name in features {
                let others = [format!("src/{name}.rs"), format!("src/{name}/mod.rs")];
                let is_ambiguous = others
                    .iter()
                    .any(|path| self.texts.contains_key(Path::new(path)));
                for number in uses::of(name, is_ambiguous, text) {
                    let complaint = format!("{}: line {number} uses {name}", path.display());
                    self.complaints.push(complaint);
                }
            }
        }
    }

    /// Whether there was anything.
    fn delete_below(&mut self, path: &Path) -> bool {
        let found = self.files.iter().filter(|file| file.starts_with(path));
        let before = self.deleted.len();
        self.deleted.extend(found.cloned());
        self.deleted.len() > before
    }

    fn remove_line(&mut self, path: &Path, begins: &str) {
        self.must_be_there(path);
        self.edit(path, |text| edits::without_line(text, begins));
    }

    fn must_be_there(&mut self, path: &Path) {
        if !self.texts.contains_key(path) {
            self.complain(path, "it is not there, or no text");
        }
    }

    /// Edits a file that stays.
    fn edit(&mut self, path: &Path, edit: impl Fn(&str) -> Result<String, String>) {
        if self.deleted.contains(path) {
            return;
        }
        let Some(text) = self.texts.get_mut(path) else {
            return;
        };
        match edit(text) {
            Ok(edited) => *text = edited,
            Err(problem) => self.complain(path, &problem),
        }
    }

    fn complain(&mut self, path: &Path, problem: &str) {
        self.complaints
            .push(format!("{}: {problem}", path.display()));
    }
}

/// How the line of a table begins in the list of privileges.
pub(super) fn grant(table: &str) -> String {
    format!("TableGrant::new(\"{table}\",")
}

/// A project of somebody's own keeps a list of what it left out, by which an upgrade leaves it out as well.
fn origin_without(
    texts: &mut BTreeMap<PathBuf, String>,
    features: &[String],
) -> anyhow::Result<()> {
    let Some(manifest) = texts.get_mut(Path::new("Cargo.toml")) else {
        return Ok(());
    };
    if let Some(mut origin) = Origin::of(manifest)? {
        origin.leave_out(features);
        *manifest = origin.written(manifest);
    }
    Ok(())
}
