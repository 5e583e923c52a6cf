//! The three-way merge, by git, and what can be decided without a person.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
};

use anyhow::{Context, bail};

use super::git::Git;

/// What cargo completes: the skeleton's version is taken where both changed it.
const LOCKS: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

/// One side of a file that could not be merged.
struct Stage {
    mode: String,
    object: String,
    number: u8,
}

/// What the merge came to.
#[derive(Default)]
pub(super) struct Merged {
    tree: String,
    /// By path, the sides of what is for a person to decide.
    conflicts: BTreeMap<String, Vec<Stage>>,
    /// What the project deleted, and the skeleton changed: it stays deleted.
    pub(super) stay_deleted: Vec<String>,
    /// Where both added lines at one place, and changed none: both are there now.
    pub(super) united: Vec<String>,
}

impl Merged {
    /// The files that a person has to look at.
    pub(super) fn conflicts(&self) -> BTreeSet<&str> {
        self.conflicts.keys().map(String::as_str).collect()
    }
}

/// Merges these commits, which have a common parent. The names are what the marks of conflicts say.
pub(super) fn merge(git: &Git, ours: &str, theirs: &str) -> anyhow::Result<Merged> {
    let output = git.output(&[
        "-c",
        // What a folder was renamed to there says nothing about a new file here.
        "merge.directoryRenames=false",
        "-c",
        "merge.renameLimit=10000",
        "-c",
        "merge.conflictStyle=diff3",
        "merge-tree",
        "--write-tree",
        "-z",
        "--no-messages",
        ours,
        theirs,
    ])?;
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!(
            "git merge-tree failed, which needs git 2.38 or newer: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Reads what `git merge-tree -z` prints: the tree, then `mode object stage TAB path` for each side of a conflict.
fn parse(printed: &str) -> anyhow::Result<Merged> {
    let mut parts = printed.split('\0');
    let mut merged = Merged {
        tree: parts.next().unwrap_or_default().to_owned(),
        ..Merged::default()
    };
    for part in parts.take_while(|part| !part.is_empty()) {
        let (sides, path) = part
            .split_once('\t')
            .context("git says something else than expected")?;
        let mut sides = sides.split(' ').map(str::to_owned);
        let (Some(mode), Some(object), Some(number)) = (sides.next(), sides.next(), sides.next())
        else {
            bail!("git says something else than expected: {part}");
        };
        let number = number.parse().context("git numbers a side of a conflict")?;
        let stage = Stage {
            mode,
            object,
            number,
        };
        merged
            .conflicts
            .entry(path.to_owned())
            .or_default()
            .push(stage);
    }
    Ok(merged)
}

/// Puts the result into the work tree and the index, where conflicts are as after a merge. Git refuses, with everything as it
/// was, where that would overwrite what is not committed.
pub(super) fn apply(git: &Git, merged: &mut Merged) -> anyhow::Result<()> {
    // Permissions are no change: what asks whether everything is committed does not mind them, either.
    let modes = ["-c", "core.fileMode=false"];
    git.output(&[&modes[..], &["update-index", "-q", "--refresh"]].concat())?;
    let change = ["read-tree", "-m", "-u", "HEAD", &merged.tree];
    git.run(&[&modes[..], &change].concat())?;
    let all = std::mem::take(&mut merged.conflicts);
    for (path, stages) in all {
        let has = |number| stages.iter().any(|stage| stage.number == number);
        if has(1) && !has(2) {
            git.run(&["rm", "--quiet", "--force", "--ignore-unmatch", "--", &path])?;
            merged.stay_deleted.push(path);
        } else if let (true, Some(theirs)) = (
            LOCKS.contains(&path.as_str()),
            stages.iter().find(|stage| stage.number == 3),
        ) {
            let text = git.run(&["cat-file", "blob", &theirs.object])? + "\n";
            fs::write(git.root.join(&path), text)
                .with_context(|| format!("cannot write {path}"))?;
            git.run(&["add", "--", &path])?;
        } else if has(1) && has(2) && has(3) && is_decided(git, &path, &mut merged.united)? {
            git.run(&["add", "--", &path])?;
        } else {
            let mut lines = format!("0 {}\t{path}\n", "0".repeat(theirs_length(&stages)));
            for Stage {
                mode,
                object,
                number,
            } in &stages
            {
                let _ = writeln!(lines, "{mode} {object} {number}\t{path}");
            }
            git.feed(&["update-index", "--index-info"], &lines)?;
            merged.conflicts.insert(path, stages);
        }
    }
    Ok(())
}

/// Keeps both additions of each place of a file where both sides added lines, and says whether nothing else is in conflict.
fn is_decided(git: &Git, path: &str, places: &mut Vec<String>) -> anyhow::Result<bool> {
    let place = git.root.join(path);
    let Ok(text) = fs::read_to_string(&place) else {
        return Ok(false);
    };
    let (text, united, left) = united(&text);
    if united > 0 {
        fs::write(&place, text).with_context(|| format!("cannot write {path}"))?;
        places.push(path.to_owned());
    }
    Ok(united > 0 && left == 0)
}

/// The text without the conflicts whose middle is empty; how many these were, and how many are left.
fn united(text: &str) -> (String, usize, usize) {
    let mut result = String::new();
    let (mut united, mut left) = (0, 0);
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        if !line.starts_with("<<<<<<< ") {
            result += line;
            continue;
        }
        let mut sides = [String::new(), String::new(), String::new()];
        let mut whole = line.to_owned();
        let mut side = 0;
        for line in lines.by_ref() {
            whole += line;
            match line {
                _ if line.starts_with("||||||| ") => side = 1,
                _ if line.starts_with(">>>>>>> ") => break,
                "=======\n" => side = 2,
                _ => sides[side] += line,
            }
        }
        let [ours, base, theirs] = sides;
        if base.trim().is_empty() {
            united += 1;
            result += &theirs;
            result += &ours;
        } else {
            left += 1;
            result += &whole;
        }
    }
    (result, united, left)
}

/// How many digits the names of objects have.
fn theirs_length(stages: &[Stage]) -> usize {
    stages.first().map_or(40, |stage| stage.object.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_added_at_one_place_is_kept() {
        let added = "a\n<<<<<<< us\nb\n||||||| 1\n=======\nc\n>>>>>>> them\nd\n";
        assert_eq!(united(added), ("a\nc\nb\nd\n".to_owned(), 1, 0));

        let changed = "<<<<<<< us\nb\n||||||| 1\na\n=======\nc\n>>>>>>> them\n";
        assert_eq!(united(changed), (changed.to_owned(), 0, 1));
        assert_eq!(united(&format!("{added}{changed}")).2, 1);
    }

    #[test]
    fn tree_and_conflicts_are_read() {
        let clean = parse("abc\0").unwrap();
        assert_eq!(clean.tree, "abc");
        assert!(clean.conflicts().is_empty());

        let merged =
            parse("abc\x00100644 d1 1\ta b.rs\x00100644 d2 2\ta b.rs\x00100644 d3 3\tc.rs\0\0")
                .unwrap();
        assert_eq!(merged.conflicts(), ["a b.rs", "c.rs"].into());
        assert_eq!(merged.conflicts["a b.rs"].len(), 2);
        assert!(parse("abc\0nothing\0").is_err());
    }
}
