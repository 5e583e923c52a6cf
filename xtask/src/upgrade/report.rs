//! What an upgrade says: in the message of its commit, and to who runs it.

use std::fmt::Write;

use super::{Outcome, merge::Merged};

/// How many lines of a difference are shown.
const SHOWN: usize = 200;

/// `1 file is` or `3 files are`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The message of the commit.
pub(super) fn message(outcome: &Outcome, merged: &Merged) -> String {
    let Outcome { from, to, .. } = outcome;
    let mut text = format!(
        "skeleton: Upgrade to {}\n\nFrom {} to {}, by a three-way merge.\n",
        to.name,
        from.short(),
        to.short()
    );
    text += &details(outcome, merged);
    text
}

fn details(outcome: &Outcome, merged: &Merged) -> String {
    let mut text = String::new();
    let mut list = |heading: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = write!(text, "\n{heading}\n");
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        }
    };
    let new = outcome.numbered.new.iter().map(|(there, here)| {
        if there == here {
            here.clone()
        } else {
            format!("{here} (there: {there})")
        }
    });
    list("New migrations, behind those that are here:", new.collect());
    list(
        "Migrations that the skeleton changed, and that stay as databases have applied them:",
        outcome.numbered.changed.clone(),
    );
    list(
        "Left out, because they need what this project does without:",
        outcome.also.clone(),
    );
    list(
        "Both added lines at one place, and both are kept; look whether they go together:",
        merged.united.clone(),
    );
    list(
        "Deleted here and changed there; they stay deleted:",
        merged.stay_deleted.clone(),
    );
    text
}

/// What was done, and what comes next.
pub(super) fn report(outcome: &Outcome, merged: &Merged, failed: &[String]) -> String {
    let Outcome {
        from, to, edited, ..
    } = outcome;
    let mut text = format!("From {} to {} ({}).\n", from.short(), to.name, to.short());
    if edited.is_empty() {
        text += "crates/ and xtask/ were as the skeleton had them, and are replaced.\n";
    } else {
        text += "crates/ or xtask/ was edited here, and is merged. Better there than here: a change of the chassis belongs to the skeleton.\n\n";
        let lines: Vec<&str> = edited.lines().collect();
        for line in lines.iter().take(SHOWN) {
            let _ = writeln!(text, "  {line}");
        }
        if lines.len() > SHOWN {
            let _ = writeln!(text, "  … and {} lines", lines.len() - SHOWN);
        }
    }
    text += &details(outcome, merged);
    let conflicts = merged.conflicts();
    if !conflicts.is_empty() {
        text += "\nIn conflict:\n";
        for path in &conflicts {
            let _ = writeln!(text, "  {path}");
        }
        text += "
Next:
  git diff                      shows them: yours above, the skeleton's below, what both began with in between
  git add --all && git commit   once they are decided; the message is prepared
  scripts/references            writes anew what programs write
  make fmt lint test
To take it all back: git reset --hard";
        return text;
    }
    if !failed.is_empty() {
        text += "\nNot done yet, until the code here follows (CHANGELOG.md says what changed, under Chassis):\n";
        for step in failed {
            let _ = writeln!(text, "  {step}");
        }
    }
    text += "
It is one commit: git show --stat. Next:
  make migrate                  applies what is new to the database of development
  make lint test
To take it back: git reset --hard HEAD~1";
    text
}
