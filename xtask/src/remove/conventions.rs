//! A feature without a manifest: what `make feature` wrote, or somebody in its style. What belongs to it is worked out
//! from where the lines of a feature stand.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    manifest::{FEATURES, Manifest, feature_of},
    migrations,
};

/// Where the lines of a feature stand, beside those that every feature has.
pub(super) const WIRED: [&str; 4] = [
    "src/app.rs",
    "src/routes.rs",
    "src/settings.rs",
    "loadtest/steps/index.js",
];

/// The manifest that the folder of a feature would have. `None` when there is no such folder.
///
/// # Errors
///
/// When a migration changes its table and another one as well: nobody knows then which part is to be undone.
pub(super) fn manifest(
    name: &str,
    texts: &BTreeMap<PathBuf, String>,
) -> anyhow::Result<Option<Manifest>> {
    if !texts.keys().any(|path| feature_of(path) == Some(name)) {
        return Ok(None);
    }
    let step = PathBuf::from(format!("loadtest/steps/{name}.js"));
    let migrations = migrations::of_table(texts, name)?;
    Ok(Some(Manifest {
        tables: if migrations.is_empty() {
            Vec::new()
        } else {
            vec![name.to_owned()]
        },
        migrations,
        files: texts
            .contains_key(&step)
            .then_some(step)
            .into_iter()
            .collect(),
        is_worked_out: true,
        ..Manifest::default()
    }))
}

/// The text without the statements that are of this feature by the way they begin.
///
/// # Errors
///
/// When what such a statement imports is used elsewhere in the file: those places, for a person to mark.
pub(super) fn without(path: &Path, text: &str, name: &str) -> Result<String, String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut kept: Vec<&str> = Vec::new();
    let mut imported: Vec<&str> = Vec::new();
    let mut import = Import::default();
    let mut index = 0;
    while let Some(line) = lines.get(index) {
        let code = line.trim();
        if !begins(code, name, import.is_of_features()) {
            import.pass(code);
            kept.push(line);
            index += 1;
            continue;
        }
        let length = length(&lines[index..]);
        let statement = &lines[index..index + length];
        if import.is_of_features() || code.starts_with("use ") {
            imported.extend(statement.iter().flat_map(|line| types(line)));
        }
        while kept
            .last()
            .is_some_and(|above| above.trim_start().starts_with("///"))
        {
            kept.pop();
        }
        index += length;
    }
    if kept.len() == lines.len() {
        return Ok(text.to_owned());
    }
    for (number, line) in kept.iter().enumerate() {
        if let Some(used) = types(line).find(|used| imported.contains(used)) {
            return Err(format!(
                "`{}` (about line {}) uses {used} of {name}. Put it between `// {name}: begin` and `// {name}: end`, or write \
                 {FEATURES}/{name}/feature.toml, and commit that",
                line.trim(),
                number + 1
            ));
        }
    }
    debug_assert!(WIRED.iter().any(|wired| path == Path::new(wired)));
    Ok(kept.join("\n") + "\n")
}

/// Where a line is within an import of several lines.
#[derive(Default)]
struct Import {
    /// How many brackets are open.
    depth: i32,
    /// How many were, outside those of `features::{`.
    features: Option<i32>,
}

impl Import {
    /// Whether names of this line are names of features.
    fn is_of_features(&self) -> bool {
        self.features.is_some()
    }

    fn pass(&mut self, code: &str) {
        if self.depth == 0 && !code.starts_with("use ") {
            return;
        }
        if code.ends_with("features::{") {
            self.features = Some(self.depth);
        }
        for sign in code.chars() {
            match sign {
                '{' => self.depth += 1,
                '}' => self.depth -= 1,
                _ => {}
            }
        }
        if self.features.is_some_and(|outside| self.depth <= outside) {
            self.features = None;
        }
    }
}

/// Whether a statement or field begins here that is the feature's.
fn begins(code: &str, name: &str, in_features: bool) -> bool {
    let own = format!("{name}::");
    let beginnings = [
        format!("use crate::features::{name}::"),
        format!("use crate::features::{name};"),
        format!("pub {name}: {own}"),
        format!("{name}: {own}"),
        format!("crate::features::{own}"),
        format!("features::{own}"),
    ];
    let is_step = code.starts_with("export {") && code.ends_with(&format!("\"./{name}.js\";"));
    let is_registration =
        code.starts_with(&own) && code.ends_with("::register(&mut handlers, &app.database);");
    let is_imported = in_features && (code.starts_with(&own) || code == format!("{name},"));
    let is_statement = beginnings
        .iter()
        .any(|beginning| code.starts_with(beginning));
    is_step || is_registration || is_imported || is_statement
}

/// How many lines it has: up to where its brackets are closed.
fn length(lines: &[&str]) -> usize {
    let mut open = 0_i32;
    for (index, line) in lines.iter().enumerate() {
        for sign in line.chars() {
            match sign {
                '(' | '[' | '{' => open += 1,
                ')' | ']' | '}' => open -= 1,
                _ => {}
            }
        }
        if open <= 0 {
            return index + 1;
        }
    }
    lines.len()
}

/// The names of types in a line.
fn types(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|sign: char| !(sign.is_alphanumeric() || sign == '_'));
    words.filter(|word| {
        word.chars().next().is_some_and(char::is_uppercase) && word.chars().any(char::is_lowercase)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(text: &str) -> Result<String, String> {
        without(Path::new("src/app.rs"), text, "notes")
    }

    #[test]
    fn statements_and_fields_go_with_their_comments() {
        let text = "\
use crate::features::notes;
use crate::{
    features::{
        identity,
        notes::{
            self, Notes,
        },
        notes_more,
    },
    notes::Other,
};
pub struct App {
    /// Accounts.
    pub auth: Auth,
    /// Notes.
    pub notes: notes::Notes,
}
        let app = Self {
            notes: notes::Notes::new(
                &database,
                &[1, 2],
            ),
            events: events.clone(),
        };
    notes::remind::register(&mut handlers, &app.database);
";
        let left = "\
use crate::{
    features::{
        identity,
        notes_more,
    },
    notes::Other,
};
pub struct App {
    /// Accounts.
    pub auth: Auth,
}
        let app = Self {
            events: events.clone(),
        };
";
        assert_eq!(app(text).unwrap(), left);
        assert_eq!(app(left).unwrap(), left);
        assert_eq!(
            without(
                Path::new("loadtest/steps/index.js"),
                "export { a } from \"./a.js\";\nexport { notes } from \"./notes.js\";\n",
                "notes"
            )
            .unwrap(),
            "export { a } from \"./a.js\";\n"
        );
    }

    #[test]
    fn what_is_imported_and_used_elsewhere_is_named() {
        let text =
            "use crate::features::notes::NoteSettings;\n    a(b)\n    .section::<NoteSettings>()\n";

        let refusal = app(text).unwrap_err();

        assert!(
            refusal.contains("`.section::<NoteSettings>()`"),
            "{refusal}"
        );
        assert!(refusal.contains("`// notes: begin`"), "{refusal}");
    }
}
