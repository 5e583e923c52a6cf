//! `feature` and `destroy`: a room in house style, written and taken back.
//!
//! Everything is rendered before anything is written, and written whole or
//! not at all. What a feature consists of is known from its name and fields,
//! and those are read again from what was written, so nothing is kept beside it.

mod checkout;
mod fields;
mod names;
mod feature_files;
mod wiring;

use anyhow::{Context, bail, ensure};

use self::{
    checkout::{Checkout, Migration, formatted},
    fields::Field,
    names::Names,
    feature_files::File,
};

/// What the feature is to be called and what it keeps.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The plural, in small letters: notes.
    name: String,
    /// What it keeps: title:text! body:text? pinned:bool
    #[arg(long_help = fields::ACCEPTED)]
    fields: Vec<String>,
    /// What one of them is called, when the plural does not tell.
    #[arg(long)]
    singular: Option<String>,
}

/// Which feature is to go.
#[derive(clap::Args)]
pub(crate) struct DestroyArguments {
    /// The name it was written under.
    name: String,
}

/// Writes the files of a feature.
pub(crate) fn write(arguments: &Arguments) -> anyhow::Result<()> {
    let checkout = Checkout::around(&std::env::current_dir()?)?;
    let names = Names::parse(&arguments.name, arguments.singular.as_deref())?;
    let fields = fields::parse_all(&arguments.fields, &names)?;
    refuse_what_is_there(&checkout, &names)?;
    let newest = checkout
        .migrations()?
        .last()
        .map_or(0, |migration| migration.version);
    let files = render(&checkout, &names, &fields, newest + 1)?;
    if let Some(file) = files.iter().find(|file| checkout.has(&file.path)) {
        bail!(
            "{} is there already, and stays as it is: move it away first",
            file.path
        );
    }
    let mut all: Vec<(String, String)> = Vec::new();
    for file in &files {
        all.push((file.path.clone(), file.text.clone()));
    }
    let mut wired = Vec::new();
    for path in wiring::files() {
        let Ok(before) = checkout.read(path) else {
            continue;
        };
        let text = formatted(path, &wiring::wire(path, &before, &names, &fields)?)?;
        if text != before {
            all.push((path.to_owned(), text));
            wired.push(path);
        }
    }
    checkout.write(&all)?;
    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    checkout.intend_to_add(&paths)?;
    explain(&names, &files, &wired);
    Ok(())
}

/// A second run, or a table that somebody made by hand.
fn refuse_what_is_there(checkout: &Checkout, names: &Names) -> anyhow::Result<()> {
    let plural = &names.plural;
    for folder in [
        format!("src/features/{plural}"),
        format!("tests/api/{plural}"),
    ] {
        ensure!(
            !checkout.has(&folder),
            "{folder} is there already, so {plural} was written before; choose another name, or take it back \
             first: make feature NAME={plural} DESTROY=1"
        );
    }
    for Migration { stem, .. } in checkout.migrations()? {
        let text = checkout.read(&format!("migrations/{stem}.sql"))?;
        let made = text.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("CREATE")
                && words.any(|word| word.trim_end_matches('(') == *plural)
        });
        ensure!(
            !made,
            "migrations/{stem}.sql makes a table {plural} already; choose another name"
        );
    }
    Ok(())
}

/// Every file of the feature, formatted.
fn render(
    checkout: &Checkout,
    names: &Names,
    fields: &[Field],
    version: u32,
) -> anyhow::Result<Vec<File>> {
    let mut files = feature_files::files(names, fields, &checkout.library()?, version)?;
    for file in &mut files {
        file.text = formatted(&file.path, &file.text)?;
    }
    Ok(files)
}

fn explain(names: &Names, files: &[File], wired: &[&str]) {
    let width = files.iter().map(|file| file.path.len()).max().unwrap_or(0);
    for file in files {
        println!("{:width$}  {}", file.path, file.about);
    }
    for path in wired {
        println!("{path:width$}  lets it in");
    }
    let (path, plural) = (names.path(), &names.plural);
    println!(
        "
Next:
  make migrate && make lint test   the table, then proof that all of it works
  make dev                         and, beside it: make token, for {path}
Then make it yours: bounds in domain.rs and the migration (edit it until it is merged; afterwards write another:
make migrate-create NAME=…), who may call what in routes.rs.
To take it back while it is unchanged: make feature NAME={plural} DESTROY=1"
    );
}

/// Takes them back.
pub(crate) fn destroy(arguments: &DestroyArguments) -> anyhow::Result<()> {
    let checkout = Checkout::around(&std::env::current_dir()?)?;
    let (names, fields, files, migration) = written(&checkout, &arguments.name)?;
    let mut changed: Vec<&str> = Vec::new();
    for file in &files {
        if checkout.read(&file.path).ok().as_ref() != Some(&file.text) {
            changed.push(&file.path);
        }
    }
    let mut wired = Vec::new();
    for path in wiring::files() {
        let Ok(before) = checkout.read(path) else {
            continue;
        };
        match wiring::unwire(path, &before, &names, &fields) {
            Some(text) => wired.push((path.to_owned(), text)),
            None => changed.push(path),
        }
    }
    ensure!(
        changed.is_empty(),
        "{} has been changed since it was written, so it is yours to remove: docs/how-to/remove-a-feature.md says \
         how. Changed: {}",
        names.plural,
        changed.join(", ")
    );
    ensure!(
        !checkout.has_applied(&migration.stem),
        "{} is applied to the development database, and what undoes it is about to go; run make \
         migrate-downgrade first",
        migration.stem
    );
    checkout.write(&wired)?;
    for file in &files {
        checkout.remove(&file.path)?;
        println!("removed {}", file.path);
    }
    for (path, _) in &wired {
        println!("took it out of {path}");
    }
    let paths: Vec<String> = files.into_iter().map(|file| file.path).collect();
    checkout.forget(&paths)
}

/// What was written for the feature of this name, as it was then.
fn written(
    checkout: &Checkout,
    name: &str,
) -> anyhow::Result<(Names, Vec<Field>, Vec<File>, Migration)> {
    let end = format!("__create_{name}");
    let mut migrations = checkout.migrations()?;
    let place = migrations
        .iter()
        .position(|migration| migration.stem.ends_with(&end));
    let (Some(place), true) = (
        place,
        checkout.has(&format!("src/features/{name}/domain.rs")),
    ) else {
        bail!(
            "no feature {name} was written here: there are no migrations/V…{end}.sql and src/features/{name}; \
             ls src/features shows what there is"
        );
    };
    let migration = migrations.swap_remove(place);
    let newer = migrations
        .iter()
        .find(|other| other.version > migration.version);
    if let Some(newer) = newer {
        bail!(
            "{} is newer than the table {name}, and migrations have no gaps; docs/how-to/remove-a-feature.md says \
             how to remove what other migrations follow",
            newer.stem
        );
    }
    let not_as_written =
        || format!("{name} was not written by make feature, or has been changed since");
    let domain = checkout.read(&format!("src/features/{name}/domain.rs"))?;
    let names = Names::parse(name, singular_in(&domain).as_deref()).with_context(not_as_written)?;
    let table = checkout.read(&format!("migrations/{}.sql", migration.stem))?;
    let fields = fields_in(&table);
    let files =
        render(checkout, &names, &fields, migration.version).with_context(not_as_written)?;
    Ok((names, fields, files, migration))
}

/// What the domain calls one of them: `/// The id of an order line.`
fn singular_in(domain: &str) -> Option<String> {
    let line = domain
        .lines()
        .find_map(|line| line.trim().strip_prefix("/// The id of "))?;
    let (_, words) = line.trim_end_matches('.').split_once(' ')?;
    Some(words.replace(' ', "_"))
}

/// The fields among the columns of a migration.
fn fields_in(table: &str) -> Vec<Field> {
    let columns = table
        .lines()
        .skip_while(|line| !line.starts_with("    user_id uuid"))
        .skip(1)
        .take_while(|line| !line.starts_with("    created_at"));
    columns.filter_map(Field::of_column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_fields_are_read_again_from_what_was_written() {
        let names = Names::parse("data", Some("datum_of_ours")).unwrap();
        let texts = [
            "a:text!", "b:text?", "c:bool", "d:bool!", "e:time?", "f:int!",
        ]
        .map(str::to_owned);
        let fields = fields::parse_all(&texts, &names).unwrap();

        let files = feature_files::files(&names, &fields, "library", 4).unwrap();

        let text = |end: &str| {
            &files
                .iter()
                .find(|file| file.path.ends_with(end))
                .unwrap()
                .text
        };
        assert_eq!(
            singular_in(text("data/domain.rs")).as_deref(),
            Some("datum_of_ours")
        );
        assert_eq!(fields_in(text("create_data.sql")), fields);
    }
}
