//! What is said at the end: what was done, and what is left.

use super::{
    name::Name,
    rewrite::{Changes, Project},
};

/// What was done.
pub(super) fn report(project: &Project, changes: &Changes, other_database: bool) -> String {
    let Project { old, new, .. } = project;
    let mut lines = vec![format!(
        "{old} is {new} now: {} files were changed, {} renamed, {} deleted.",
        changes.write.len(),
        changes.rename.len(),
        changes.delete.len()
    )];
    lines.push(match &project.owner {
        Some(owner) => format!(
            "Links lead to github.com/{owner}/{new}. If that is wrong, begin again (below) with OWNER=... added."
        ),
        None => format!(
            "The account on GitHub is not known, and OWNER stands for it in {} files. To fill it in, begin again \
             (below) with OWNER=... added.",
            changes.without_owner.len()
        ),
    });
    lines.push(match project.licence.identifier() {
        Some(licence) => format!("The licence is {licence}."),
        None => "There is no licence: all rights are reserved.".to_owned(),
    });
    if !project.without.is_empty() {
        lines.push(format!(
            "Left out, with their migrations: {}.",
            project.without.join(", ")
        ));
    }
    if other_database {
        lines.push(format!(
            "In .env, database and roles are called after {} now: make dev begins with an empty database.",
            new.snake()
        ));
    }
    lines.join("\n")
}

/// What is left to do by hand, and how to go on or back.
pub(super) fn next(new: &Name, fresh: bool) -> String {
    let again = if fresh {
        "delete the copy, and make another"
    } else {
        "git stash --include-untracked, and make init once more"
    };
    format!(
        "\nLeft to do by hand:\n\
         \x20 README.md           what the service is for, in its first paragraph\n\
         \x20 Cargo.toml          description and keywords; the description of flake.nix too\n\
         \x20 SECURITY.md         where reports go, and what you promise to those who send them\n\
         \x20 fly.toml            the region, if you deploy to Fly.io\n\
         \n\
         See whether all is well:  make lint test\n\
         Keep it:                  git add --all && git commit -m 'Rename to {new}'\n\
         Begin again:              {again}"
    )
}
