//! The lines in other files that wire a feature in.

use anyhow::Context;

use super::names::{Names, camel, capitalised, lower_camel, words};

/// One line, or a few that belong together, and where they go.
struct Line {
    file: &'static str,
    text: String,
    /// The line of the file that it goes to.
    anchor: &'static str,
    side: Side,
    /// Whether a file without the anchor is left alone.
    optional: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Right below the anchor; rustfmt sorts what has an order.
    Below,
    /// Above the anchor and the comments that belong to it.
    Above,
}

fn lines(names: &Names) -> Vec<Line> {
    let plural = &names.plural;
    let mut lines = vec![line(
        "src/features/mod.rs",
        format!("pub mod {plural};"),
        Side::Below,
        "pub mod identity;",
    )];
    lines.extend(composition(names));
    lines.extend([
        line(
            "src/routes.rs",
            format!("        features::{plural}::endpoints(&app.{plural}, &app.auth),"),
            Side::Above,
            "        operations,",
        ),
        line(
            "src/grants.rs",
            format!("    TableGrant::new(\"{plural}\", &[Select, Insert, Update, Delete]),"),
            Side::Below,
            "pub static TABLES",
        ),
        line(
            "tests/api/main.rs",
            format!("mod {plural};"),
            Side::Below,
            "mod support;",
        ),
        Line {
            optional: true,
            ..line(
                "loadtest/steps/index.js",
                format!(
                    "export {{ {} }} from \"./{plural}.js\";",
                    lower_camel(plural)
                ),
                Side::Below,
                "//   export {",
            )
        },
    ]);
    lines
}

/// The lines of the composition root.
fn composition(names: &Names) -> [Line; 3] {
    let (plural, kind) = (&names.plural, camel(&names.plural));
    [
        line(
            "src/app.rs",
            format!("use crate::features::{plural};"),
            Side::Above,
            "use crate::{",
        ),
        line(
            "src/app.rs",
            format!(
                "    /// {}.\n    pub {plural}: {plural}::{kind},",
                capitalised(&words(&names.plural))
            ),
            Side::Above,
            "    pub operations: Operations,",
        ),
        line(
            "src/app.rs",
            format!("            {plural}: {plural}::{kind}::new(&database, &clock),"),
            Side::Below,
            "        let app = Self {",
        ),
    ]
}

fn line(file: &'static str, text: String, side: Side, anchor: &'static str) -> Line {
    Line {
        file,
        text,
        anchor,
        side,
        optional: false,
    }
}

/// The files that are wired, each once.
pub(super) fn files() -> [&'static str; 6] {
    [
        "src/features/mod.rs",
        "src/app.rs",
        "src/routes.rs",
        "src/grants.rs",
        "tests/api/main.rs",
        "loadtest/steps/index.js",
    ]
}

/// The text of this file with the feature wired in.
pub(super) fn wire(file: &str, text: &str, names: &Names) -> anyhow::Result<String> {
    let mut all: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in lines(names).iter().filter(|line| line.file == file) {
        let starts = |found: &String| found.starts_with(line.anchor);
        let Some(place) = all.iter().position(starts) else {
            if line.optional {
                continue;
            }
            return Err(anyhow::Error::msg(line.text.trim().to_owned())).with_context(|| {
                format!(
                    "{file} has no line that begins with `{}`, where a feature is wired in; restore it, run this \
                     again, and move the new line where you want it",
                    line.anchor.trim()
                )
            });
        };
        let place = match line.side {
            Side::Below => place + 1,
            Side::Above => above_comments(&all, place),
        };
        all.splice(place..place, line.text.split('\n').map(str::to_owned));
    }
    Ok(all.join("\n") + "\n")
}

/// Where the comments begin that stand directly above this line.
fn above_comments(lines: &[String], place: usize) -> usize {
    let comments = lines[..place]
        .iter()
        .rev()
        .take_while(|line| line.trim_start().starts_with("///"));
    place - comments.count()
}

/// The text without the lines that wire the feature in. `None` when they are not there as they were written.
pub(super) fn unwire(file: &str, text: &str, names: &Names) -> Option<String> {
    let mut text = text.to_owned();
    for line in lines(names).iter().filter(|line| line.file == file) {
        let found = format!("\n{}\n", line.text);
        match text.split_once(&found) {
            Some((before, behind)) => text = format!("{before}\n{behind}"),
            None if line.optional => {}
            None => return None,
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "//! The composition root.

use crate::{
    features::{
        identity::Auth,
    },
};
pub struct App {
    /// Accounts.
    pub auth: Auth,
    /// Probes,
    /// version and metrics.
    pub operations: Operations,
}
fn build() {
        let app = Self {
            auth,
        };
}
";

    fn names(plural: &str) -> Names {
        Names::parse(plural, None).unwrap()
    }

    #[test]
    fn what_is_wired_in_can_be_taken_out_again() {
        let notes = wire("src/app.rs", APP, &names("notes")).unwrap();
        let both = wire("src/app.rs", &notes, &names("tasks")).unwrap();

        assert!(
            notes.contains("    /// Notes.\n    pub notes: notes::Notes,\n    /// Probes,\n"),
            "{notes}"
        );
        assert!(
            both.contains("        let app = Self {\n            tasks: tasks::Tasks::new("),
            "{both}"
        );
        let rest = unwire("src/app.rs", &both, &names("notes")).unwrap();
        assert_eq!(
            unwire("src/app.rs", &rest, &names("tasks")).as_deref(),
            Some(APP)
        );
    }

    #[test]
    fn lines_that_changed_are_not_taken_out() {
        let notes = wire("src/app.rs", APP, &names("notes")).unwrap();
        let changed = notes.replace("&clock", "&system");

        assert_eq!(unwire("src/app.rs", &changed, &names("notes")), None);
    }

    #[test]
    fn a_file_without_the_place_is_named() {
        let refusal = wire("src/app.rs", "struct App;\n", &names("notes")).unwrap_err();

        assert!(
            format!("{refusal:#}").contains("src/app.rs has no line"),
            "{refusal:#}"
        );
        assert!(wire("loadtest/steps/index.js", "// Mine\n", &names("notes")).is_ok());
    }

    #[test]
    fn no_line_is_longer_than_rustfmt_leaves_it() {
        let names = Names::parse("a_name_of_that_leng", Some("one")).unwrap();

        for line in lines(&names)
            .iter()
            .filter(|line| line.file.starts_with("src/"))
        {
            assert!(
                line.text.lines().all(|line| line.len() <= 100),
                "{}",
                line.text
            );
        }
    }
}
