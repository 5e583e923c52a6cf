//! `feature` and `destroy`: the files of a new feature, written and taken back.
//!
//! Everything is rendered and checked before anything is written, and written whole or not at all. Which files a
//! feature has follows from its name and fields, and those are read again from what was written, so no record of it is
//! kept.

mod checkout;
mod collisions;
mod feature_files;
mod fields;
mod job;
mod names;
mod refused_words;
mod sql_words;
mod wiring;

use anyhow::{Context, bail, ensure};

pub(crate) use self::job::{JobArguments, write_job};
use self::{
    checkout::{Checkout, Migration, formatted},
    feature_files::File,
    fields::Field,
    names::Names,
};

/// The name of the feature and its fields.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The plural, in small letters: notes.
    name: String,
    /// Its fields: title:text! body:text? pinned:bool
    #[arg(long_help = fields::ACCEPTED)]
    fields: Vec<String>,
    /// One of them, when that does not follow from the plural.
    #[arg(long)]
    singular: Option<String>,
}

/// Which feature to take back.
#[derive(clap::Args)]
pub(crate) struct DestroyArguments {
    /// The name it was written under.
    name: String,
}

/// Writes the files of a feature.
pub(crate) fn write(arguments: &Arguments) -> anyhow::Result<()> {
    let checkout = Checkout::around(&std::env::current_dir()?)?;
    let names = Names::parse(&arguments.name, arguments.singular.as_deref())?;
    let fields = fields::parse_all(&arguments.fields)?;
    refuse_what_is_there(&checkout, &names)?;
    refuse_words(&checkout, &names, &fields)?;
    let newest = checkout
        .migrations()?
        .last()
        .map_or(0, |migration| migration.version);
    let files = feature_files::files(&names, &fields, &checkout.library()?, newest + 1)?;
    collisions::generated(&names, &fields, &files, &checkout.library()?, newest + 1)?;
    collisions::service(&checkout, &names, &files)?;
    let files = formatted_files(files)?;
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
        let text = formatted(path, &wiring::wire(path, &before, &names)?)?;
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

/// Refuses names of columns and tables that the statements could not hold.
fn refuse_words(checkout: &Checkout, names: &Names, fields: &[Field]) -> anyhow::Result<()> {
    let words = refused_words::refused_words(checkout)?;
    let all = fields.iter().map(|field| &field.name);
    for name in all.chain([&names.plural]) {
        ensure!(
            !words.hold(name),
            "{name} cannot be the name of a table or of a column: a statement that reads may not hold this word"
        );
    }
    Ok(())
}

/// Refuses a second run, and a table that was made by hand.
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
    formatted_files(feature_files::files(
        names,
        fields,
        &checkout.library()?,
        version,
    )?)
}

fn formatted_files(mut files: Vec<File>) -> anyhow::Result<Vec<File>> {
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
        println!("{path:width$}  wires it in");
    }
    let (path, plural, singular) = (names.path(), &names.plural, &names.singular);
    println!(
        "
Next:
  make migrate                             creates the table
  REWRITE=1 cargo test --test api reference   lists the endpoints in README and docs/api.http
  make lint test                           checks everything
  make dev                                 and, beside it: make token, for {path}
Then make it yours: bounds in {singular}.rs and the migration (edit it until it is merged; afterwards write another:
make migrate-create NAME=…), who may call what in endpoints/.
To take it back while it is unchanged: make feature NAME={plural} DESTROY=1"
    );
}

/// Removes the files of a feature, and the lines that wire it in.
pub(crate) fn destroy(arguments: &DestroyArguments) -> anyhow::Result<()> {
    let checkout = Checkout::around(&std::env::current_dir()?)?;
    let (names, files, migration) = written(&checkout, &arguments.name)?;
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
        match wiring::unwire(path, &before, &names) {
            Some(text) => wired.push((path.to_owned(), text)),
            None => changed.push(path),
        }
    }
    ensure!(
        changed.is_empty(),
        "{} has been changed since it was written, so it is yours, and make remove FEATURE={} removes \
         it. Changed: {}",
        names.plural,
        names.plural,
        changed.join(", ")
    );
    ensure!(
        !checkout.has_applied(&migration.stem)?,
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

/// What was written for the feature of this name.
fn written(checkout: &Checkout, name: &str) -> anyhow::Result<(Names, Vec<File>, Migration)> {
    let end = format!("__create_{name}");
    let mut migrations = checkout.migrations()?;
    let place = migrations
        .iter()
        .position(|migration| migration.stem.ends_with(&end));
    let (Some(place), true) = (
        place,
        checkout.has(&format!("src/features/{name}/endpoints/mod.rs")),
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
            "{} is newer than the table {name}, and may build on it; make remove FEATURE={name} removes a feature, and \
             its table later",
            newer.stem
        );
    }
    let not_as_written =
        || format!("{name} was not written by make feature, or has been changed since");
    let endpoints = checkout.read(&format!("src/features/{name}/endpoints/mod.rs"))?;
    let names =
        Names::parse(name, singular_in(&endpoints).as_deref()).with_context(not_as_written)?;
    let table = checkout.read(&format!("migrations/{}.sql", migration.stem))?;
    let fields = fields_in(&table);
    let files =
        render(checkout, &names, &fields, migration.version).with_context(not_as_written)?;
    Ok((names, files, migration))
}

/// The singular, as the list of endpoints has it: `mod order_line_view;`
fn singular_in(endpoints: &str) -> Option<String> {
    let mut modules = endpoints
        .lines()
        .filter_map(|line| line.strip_prefix("mod "));
    let singular = modules.find_map(|name| name.strip_suffix("_view;"))?;
    Some(singular.to_owned())
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
        let fields = fields::parse_all(&texts).unwrap();

        let files = feature_files::files(&names, &fields, "library", 4).unwrap();

        let text = |end: &str| {
            &files
                .iter()
                .find(|file| file.path.ends_with(end))
                .unwrap()
                .text
        };
        assert_eq!(
            singular_in(text("endpoints/mod.rs")).as_deref(),
            Some("datum_of_ours")
        );
        assert_eq!(fields_in(text("create_data.sql")), fields);
    }
}
