//! `job`: a new kind of job of a feature, with its test.

use anyhow::{Context, ensure};
use minijinja::{Environment, context};

use super::{
    checkout::{Checkout, formatted},
    names::{camel, check_meaning, check_spelling, words},
};

/// Longer names do not fit the longest line of the wiring.
const LONGEST: usize = 24;

/// The line of `src/app.rs` below which kinds are registered.
const REGISTRATION: &str = "    jobs::register(&mut handlers, &app.jobs);";

/// What the job is called.
#[derive(clap::Args)]
pub(crate) struct JobArguments {
    /// The feature that it belongs to and what it does, as its kind: notes.remind.
    name: String,
}

/// Writes the files of a job, and the lines that wire it in.
pub(crate) fn write_job(arguments: &JobArguments) -> anyhow::Result<()> {
    let checkout = Checkout::around(&std::env::current_dir()?)?;
    let files = files(&checkout, &arguments.name)?;
    checkout.write(&files)?;
    let paths: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
    checkout.intend_to_add(&paths[..2])?;
    for path in &paths {
        println!("{path}");
    }
    println!(
        "
Next:
  make test ARGS=\"--test api {}\"   runs its test
Then say in {} what it is about and what it does, and enqueue it where it is needed: docs/how-to/add-a-job.md",
        arguments.name.replace('.', "::"),
        paths[0]
    );
    Ok(())
}

/// Path and text of every file that is new or changed, the new ones first.
fn files(checkout: &Checkout, name: &str) -> anyhow::Result<Vec<(String, String)>> {
    let (feature, job) = name.split_once('.').with_context(|| {
        format!("{name:?} cannot be the name of a job: write its feature and what it does, like notes.remind")
    })?;
    check_spelling("a feature", feature, LONGEST, "notes")?;
    check_spelling("a job", job, LONGEST, "remind or send_digest")?;
    check_meaning("a job", job)?;
    let folder = format!("src/features/{feature}");
    ensure!(
        checkout.has(&format!("{folder}/mod.rs")),
        "there is no feature {feature}, to which the job would belong: make feature NAME={feature} writes one"
    );
    let code = format!("{folder}/{job}.rs");
    let spec = format!("tests/api/{feature}/{job}.rs");
    for path in [&code, &spec] {
        let module = path.trim_end_matches(".rs");
        for taken in [path.clone(), format!("{module}/mod.rs")] {
            ensure!(
                !checkout.has(&taken),
                "{taken} is there already, and stays as it is: choose another name"
            );
        }
    }
    let values = context! {
        kind => name,
        feature,
        job,
        words => words(job),
        type => camel(job),
        library => checkout.library()?,
    };
    let render = |path: &str, template| -> anyhow::Result<(String, String)> {
        let text = Environment::new().render_str(template, &values)?;
        Ok((path.to_owned(), formatted(path, &text)?))
    };
    let mut all = vec![
        render(&code, include_str!("../../templates/job/job.rs.j2"))?,
        render(&spec, include_str!("../../templates/job/test.rs.j2"))?,
    ];
    let register = registration(&checkout.read("src/app.rs")?, feature, job);
    for (path, line, anchor) in [
        (
            format!("{folder}/mod.rs"),
            format!("pub mod {job};"),
            "mod ",
        ),
        (
            format!("tests/api/{feature}/mod.rs"),
            format!("mod {job};"),
            "mod ",
        ),
        ("src/app.rs".to_owned(), register, REGISTRATION),
    ] {
        let text = with_line(&checkout.read(&path)?, &line, anchor).with_context(|| {
            format!("{path} has no line that begins with `{anchor}`, below which `{line}` belongs")
        })?;
        all.push((path.clone(), formatted(&path, &text)?));
    }
    Ok(all)
}

/// The line that registers the job: by the name under which the file knows the feature already, or by its whole path.
fn registration(app: &str, feature: &str, job: &str) -> String {
    let squeezed: String = app.split_whitespace().collect();
    let is_imported = squeezed.contains(&format!("usecrate::features::{feature};"))
        || squeezed.contains(&format!("{feature}::{{self,"));
    let path = if is_imported { "" } else { "crate::features::" };
    format!("    {path}{feature}::{job}::register(&mut handlers, &app.database);")
}

/// The text with this line below the first that begins with the anchor.
fn with_line(text: &str, line: &str, anchor: &str) -> Option<String> {
    let mut all: Vec<&str> = text.lines().collect();
    let place = all.iter().position(|found| found.starts_with(anchor))?;
    all.insert(place + 1, line);
    Some(all.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn written(name: &str) -> anyhow::Result<Vec<(String, String)>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        files(&Checkout::around(root)?, name)
    }

    #[test]
    fn a_job_is_a_file_a_test_and_three_lines() {
        let files = written("identity.count_everybody").unwrap();
        let paths: Vec<_> = files.iter().map(|(path, _)| path.as_str()).collect();

        assert_eq!(
            paths,
            [
                "src/features/identity/count_everybody.rs",
                "tests/api/identity/count_everybody.rs",
                "src/features/identity/mod.rs",
                "tests/api/identity/mod.rs",
                "src/app.rs",
            ]
        );
        assert!(files[0].1.contains("pub struct CountEverybody"));
        assert!(files[0].1.contains("\"identity.count_everybody\""));
        assert!(files[2].1.contains("\npub mod count_everybody;\n"));
        assert!(files[3].1.contains("\nmod count_everybody;\n"));
        assert!(
            files[4]
                .1
                .contains("identity::count_everybody::register(&mut handlers, &app.database);")
        );
    }

    #[test]
    fn a_feature_is_called_as_it_was_imported() {
        let line = |app| registration(app, "notes", "remind");
        let own = "    notes::remind::register(&mut handlers, &app.database);";

        assert_eq!(line("use crate::features::notes;"), own);
        assert_eq!(
            line("use crate::{features::{notes::{\n    self, Notes}}};"),
            own
        );
        assert!(
            line("use crate::{features::{notes::Notes}};")
                .contains(" crate::features::notes::remind")
        );
    }

    #[test]
    fn a_refusal_names_what_it_refuses() {
        for (name, reason) in [
            ("remind", "like notes.remind"),
            ("notes.remind.now", "lower case"),
            ("identity.Remind", "lower case"),
            ("identity.match", "a keyword of Rust"),
            (
                "identity.tables",
                "src/features/identity/tables/mod.rs is there already",
            ),
            (
                "identity.error",
                "src/features/identity/error.rs is there already",
            ),
            ("nothing.remind", "there is no feature nothing"),
            ("identity.something_much_too_long_", "lower case"),
            ("identity.something_that_is_too_long", "too long"),
        ] {
            let refusal = written(name).unwrap_err().to_string();
            assert!(refusal.contains(reason), "{name}: {refusal}");
        }
    }
}
