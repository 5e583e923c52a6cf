//! Numbers of migrations. The project's are applied to databases and stay as they are; the skeleton's new ones come after them.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;

const FOLDER: &str = "migrations";
const UNDO: &str = ".down.sql";

/// Files of migrations by their names in the folder.
pub(super) type Steps = BTreeMap<String, Vec<u8>>;

/// Those of a checkout.
pub(super) fn read(root: &Path) -> anyhow::Result<Steps> {
    let folder = root.join(FOLDER);
    let mut steps = Steps::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        steps.insert(name, fs::read(entry.path())?);
    }
    Ok(steps)
}

/// Makes these the only ones of a checkout.
pub(super) fn write(root: &Path, steps: &Steps) -> anyhow::Result<()> {
    let folder = root.join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for (name, text) in steps {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// What becomes of the skeleton's migrations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Numbered {
    /// The project's, and behind them the new ones.
    pub(super) steps: Steps,
    /// Names there and here, where they differ: those known before and the new ones.
    pub(super) renamed: BTreeMap<String, String>,
    /// Names there and here of the new ones.
    pub(super) new: Vec<(String, String)>,
    /// Those that the skeleton says otherwise than before, although they were applied.
    pub(super) changed: Vec<String>,
}

/// Numbers what is new in `theirs`, compared with `base`, after the newest of `ours`.
pub(super) fn number(
    ours: &Steps,
    base: &Steps,
    theirs: &Steps,
    known: &BTreeMap<String, String>,
) -> Numbered {
    let mut numbered = Numbered {
        steps: ours.clone(),
        renamed: known.clone(),
        ..Numbered::default()
    };
    let mut newest = ours
        .keys()
        .filter_map(|file| version(file))
        .max()
        .unwrap_or(0);
    for (file, text) in theirs {
        let Some(stem) = file.strip_suffix(".sql").filter(|_| !file.ends_with(UNDO)) else {
            continue;
        };
        let undo = format!("{stem}{UNDO}");
        if let Some(before) = base.get(file) {
            let is_same = before == text && base.get(&undo) == theirs.get(&undo);
            if !is_same {
                numbered.changed.push(stem.to_owned());
            }
            continue;
        }
        if known.contains_key(stem) || ours.get(file) == Some(text) {
            continue;
        }
        let (number, name) = (
            version(file).unwrap_or(0),
            stem.split_once("__").map_or(stem, |(_, name)| name),
        );
        newest = number.max(newest + 1);
        let here = format!("V{newest:04}__{name}");
        numbered.steps.insert(format!("{here}.sql"), text.clone());
        if let Some(text) = theirs.get(&undo) {
            numbered.steps.insert(format!("{here}{UNDO}"), text.clone());
        }
        if here != stem {
            numbered.renamed.insert(stem.to_owned(), here.clone());
        }
        numbered.new.push((stem.to_owned(), here));
    }
    numbered
}

fn version(file: &str) -> Option<u32> {
    file.strip_prefix('V')?.split_once("__")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(all: &[(&str, &str)]) -> Steps {
        let files = all.iter().flat_map(|(stem, text)| {
            [
                (format!("{stem}.sql"), *text),
                (format!("{stem}.down.sql"), "undo"),
            ]
        });
        files
            .map(|(name, text)| (name, text.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn what_is_new_comes_after_what_the_project_has() {
        let base = steps(&[("V0001__users", "u")]);
        let ours = steps(&[
            ("V0001__users", "u"),
            ("V0002__notes", "n"),
            ("V0003__tags", "t"),
        ]);
        let theirs = steps(&[
            ("V0001__users", "u"),
            ("V0002__jobs", "j"),
            ("V0009__mail", "m"),
        ]);

        let numbered = number(&ours, &base, &theirs, &BTreeMap::new());

        let names: Vec<&String> = numbered
            .steps
            .keys()
            .filter(|name| !name.ends_with(UNDO))
            .collect();
        assert_eq!(
            names,
            [
                "V0001__users.sql",
                "V0002__notes.sql",
                "V0003__tags.sql",
                "V0004__jobs.sql",
                "V0009__mail.sql"
            ]
        );
        assert_eq!(numbered.steps["V0004__jobs.sql"], b"j");
        assert_eq!(numbered.steps["V0004__jobs.down.sql"], b"undo");
        assert_eq!(
            numbered.renamed,
            [("V0002__jobs".to_owned(), "V0004__jobs".to_owned())].into()
        );
        assert_eq!(numbered.new.len(), 2);

        // The next time, it is known by its other name, and a number that is taken by then is another's.
        let ours = numbered.steps;
        let next = steps(&[
            ("V0001__users", "u"),
            ("V0002__jobs", "j"),
            ("V0003__keys", "k"),
            ("V0009__mail", "m"),
        ]);
        let again = number(&ours, &theirs, &next, &numbered.renamed);
        assert_eq!(
            again.new,
            [("V0003__keys".to_owned(), "V0010__keys".to_owned())]
        );
        assert_eq!(again.steps["V0003__tags.sql"], b"t");
    }

    #[test]
    fn a_migration_that_changed_there_stays_here_and_is_named() {
        let ours = steps(&[("V0001__users", "u")]);
        let theirs = steps(&[("V0001__users", "other")]);

        let numbered = number(&ours, &ours, &theirs, &BTreeMap::new());

        assert_eq!(numbered.changed, ["V0001__users"]);
        assert_eq!(numbered.steps, ours);
    }
}
