//! `init`: a fresh copy becomes somebody's own project.
//!
//! The name that is replaced is the one in Cargo.toml, and everything is worked out before a file is touched: a refusal
//! leaves the copy as it was. Cargo.toml then says where the project began, by which a second run is known.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use checkout::Checkout;
use licence::Licence;
use name::Name;
use owner::Owner;
use report::{next, report};
use rewrite::{Changes, Project};

use crate::remove::{self, Plan, Tables};

mod checkout;
mod licence;
mod lock;
mod name;
mod owner;
mod report;
mod rewrite;
mod spelling;

/// What the project is to be called.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The new name, in words joined by hyphens: acme-orders.
    name: String,

    /// The account on GitHub that it will be under; without it, the one of the remote `origin`.
    #[arg(long)]
    owner: Option<String>,

    /// Its licence; without it, the question is asked on a terminal, and elsewhere the licence stays.
    #[arg(long, value_enum, ignore_case = true)]
    license: Option<Licence>,

    /// A feature to leave out, with its migrations; docs/reference/features.md lists those that can be.
    #[arg(long = "without", value_name = "FEATURE")]
    without: Vec<String>,

    /// The copy was made this moment by a program and is not in git: there is nothing to lose.
    #[arg(long)]
    fresh: bool,
}

/// Renames the project.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let root = root()?;
    let manifest = Manifest::read(&root)?;
    manifest.refuse_second_run()?;
    let new = Name::parse(&arguments.name)?;
    if spelling::occurs(new.kebab(), &manifest.name) {
        bail!(
            "the name '{new}' has the old one in it, and no trace of that is to be left. Take another: \
             make init NAME=acme-orders"
        );
    }
    let given = arguments.owner.as_deref().map(Owner::parse).transpose()?;
    let checkout = if arguments.fresh {
        Checkout::fresh(&root)?
    } else {
        Checkout::open(&root)?
    };
    let files = texts(&root, &checkout.files)?;
    let locks = files
        .iter()
        .filter(|(path, _)| path.ends_with("Cargo.lock"));
    let crates = locks.flat_map(|(_, text)| lock::names(text)).collect();
    new.refuse_taken(&crates, &checkout.modules())?;
    require_rustfmt(&root)?;
    let left_out = match arguments.without.as_slice() {
        [] => Plan::default(),
        names => remove::plan(&checkout.files, &files, names, Tables::WereNeverMade)?,
    };

    let new_source = source(
        checkout.remote.as_deref(),
        manifest.repository.as_deref(),
        &new,
    );
    let project = Project {
        owner: owner(given, &checkout, &new)?,
        licence: licence(arguments.license)?,
        old: manifest.name,
        new,
        version: manifest.version,
        revision: checkout.revision,
        without: left_out.features.clone(),
        source: new_source,
    };
    let changes = project.changes_without(files, &left_out);
    apply(&root, &changes).context(
        "the copy is half renamed now. git stash --include-untracked puts it back as it was",
    )?;
    let other_database = adapt_settings(&root, &project)?;
    format(&root)?;
    remove::settle_lock(&root, &left_out)?;
    println!("{}", report(&project, &changes, other_database));
    println!("{}", next(&project.new, arguments.fresh));
    Ok(())
}

/// The project that the command is run in. Not the folder it was compiled in: projects may share what they build, and
/// then one would rename another.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let here = env::current_dir().context("the current folder cannot be found out")?;
    let root = here
        .ancestors()
        .find(|folder| folder.join("Cargo.toml").exists() && folder.join("xtask").exists());
    let root = root.with_context(|| {
        format!(
            "{} is in no project that could be renamed: cd into yours, and run make init there",
            here.display()
        )
    })?;
    Ok(root.to_owned())
}

/// Every file that git knows, when nothing waits to be committed.
pub(crate) fn committed_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Ok(Checkout::open(root)?.files)
}

/// Every file that git knows or would, or every one where there is no git.
pub(crate) fn files_that_are_there(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    checkout::present(root)
}

/// The account that a Cargo.toml names in the address of its repository.
pub(crate) fn owner_of(manifest: &str) -> Option<String> {
    let address = value(manifest, "package", "repository")?;
    Owner::of_remote(address).map(|owner| owner.to_string())
}

/// What Cargo.toml says before anything has changed.
struct Manifest {
    name: Name,
    version: String,
    repository: Option<String>,
    origin: Option<String>,
}

impl Manifest {
    fn read(root: &Path) -> anyhow::Result<Self> {
        let path = root.join("Cargo.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let name = value(text, "package", "name").context("Cargo.toml names no package")?;
        Ok(Self {
            name: Name::parse(name)?,
            version: value(text, "package", "version")
                .unwrap_or("0.0.0")
                .to_owned(),
            repository: value(text, "package", "repository").map(str::to_owned),
            origin: value(text, "package.metadata.skeleton", "origin").map(str::to_owned),
        })
    }

    fn refuse_second_run(&self) -> anyhow::Result<()> {
        let Some(origin) = &self.origin else {
            return Ok(());
        };
        bail!(
            "this project has its own name already, {}: Cargo.toml says that it began as {origin}. A second renaming \
             could not tell the name from words of yours. Take back the first (git log --oneline -- Cargo.toml shows \
             it, git revert undoes it) and run make init again, or begin with a fresh copy",
            self.name
        )
    }
}

/// A text in a table of a manifest: `key = "text"`.
fn value<'t>(manifest: &'t str, table: &str, key: &str) -> Option<&'t str> {
    let heading = format!("[{table}]");
    manifest
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .find_map(|line| {
            line.strip_prefix(key)?
                .trim_start()
                .strip_prefix("= \"")?
                .strip_suffix('"')
        })
}

/// Every file that is text. Links are left alone: what they lead to is renamed where it lies.
pub(crate) fn texts(root: &Path, files: &[PathBuf]) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut texts = BTreeMap::new();
    for file in files {
        let path = root.join(file);
        let is_file = path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file());
        if is_file {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            if let Ok(text) = String::from_utf8(bytes) {
                texts.insert(file.clone(), text);
            }
        }
    }
    Ok(texts)
}

fn owner(given: Option<Owner>, checkout: &Checkout, new: &Name) -> anyhow::Result<Option<Owner>> {
    if given.is_some() {
        return Ok(given);
    }
    if let Some(owner) = checkout.remote.as_deref().and_then(Owner::of_remote) {
        return Ok(Some(owner));
    }
    if !on_a_terminal() {
        return Ok(None);
    }
    let answer = ask(&format!(
        "The account on GitHub that {new} will be under (nothing: not known yet): "
    ))?;
    if answer.is_empty() {
        return Ok(None);
    }
    Owner::parse(&answer).map(Some)
}

/// Where the skeleton is had: the remote that it was cloned from, unless that is where the new project goes already, and
/// else what its Cargo.toml says.
fn source(remote: Option<&str>, repository: Option<&str>, new: &Name) -> Option<String> {
    let is_of_new = |address: &str| {
        let last = address.trim_end_matches('/').trim_end_matches(".git");
        last.rsplit(['/', ':']).next() == Some(new.kebab())
    };
    let remote = remote.filter(|address| !is_of_new(address));
    let repository = repository.filter(|address| !owner::is_missing(address));
    remote.or(repository).map(str::to_owned)
}

fn licence(given: Option<Licence>) -> anyhow::Result<Licence> {
    if let Some(licence) = given {
        return Ok(licence);
    }
    if !on_a_terminal() {
        return Ok(Licence::Unlicense);
    }
    eprintln!("The licence:");
    for (index, licence) in Licence::ALL.iter().enumerate() {
        eprintln!("  {}  {}", index + 1, licence.question());
    }
    let answer = ask("Which one? [1] ")?;
    let number = if answer.is_empty() {
        Ok(1)
    } else {
        answer.parse::<usize>()
    };
    let chosen = number
        .ok()
        .and_then(|number| Licence::ALL.get(number.checked_sub(1)?));
    chosen.copied().with_context(|| {
        format!("'{answer}' is none of the numbers, and nothing was changed. Run make init again, or add LICENSE=MIT")
    })
}

fn on_a_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn ask(question: &str) -> anyhow::Result<String> {
    eprint!("{question}");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// The packages whose sources hold the name. Not the chassis: `cargo fmt --all` would write there too, where another
/// rustfmt has another opinion.
const FORMATTED: [&str; 4] = [
    "Cargo.toml",
    "fuzz/Cargo.toml",
    "loadtest/bench/bare/Cargo.toml",
    "xtask/Cargo.toml",
];

/// A name of another length breaks lines elsewhere, so formatting belongs to renaming.
pub(crate) fn require_rustfmt(root: &Path) -> anyhow::Result<()> {
    let found = Command::new("cargo")
        .args(["fmt", "--version"])
        .current_dir(root)
        .output();
    if found.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    bail!(
        "cargo fmt does not run, and another name needs other line breaks. It is had with: rustup component add rustfmt"
    )
}

pub(crate) fn format(root: &Path) -> anyhow::Result<()> {
    for manifest in FORMATTED {
        if !root.join(manifest).exists() {
            continue;
        }
        let status = Command::new("cargo")
            .args(["fmt", "--manifest-path", manifest])
            .current_dir(root)
            .status()
            .context("cargo does not run")?;
        if !status.success() {
            bail!(
                "the project is renamed, but cargo fmt --manifest-path {manifest} failed: see above, and run it again"
            );
        }
    }
    Ok(())
}

fn apply(root: &Path, changes: &Changes) -> anyhow::Result<()> {
    for path in &changes.delete {
        remove::delete(root, path)?;
    }
    for (from, to) in &changes.rename {
        let place = root.join(to);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::rename(root.join(from), place)
            .with_context(|| format!("cannot rename {}", from.display()))?;
        // Goes when this was its last file, and otherwise stays.
        if let Some(folder) = from.parent() {
            let _ = fs::remove_dir(root.join(folder));
        }
    }
    for (path, text) in &changes.write {
        fs::write(root.join(path), text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Who tried the service before renaming it has settings that name a database. The next start makes another.
fn adapt_settings(root: &Path, project: &Project) -> anyhow::Result<bool> {
    let (old, new) = (project.old.snake(), project.new.snake());
    edit(&root.join(".env"), |line| match line.split_once('=') {
        Some((key @ ("DB_NAME" | "DB_USER"), value)) if value == old => format!("{key}={new}"),
        Some(("MIGRATE_DATABASE_URL", url)) => {
            let url = owners_url(url, &old, &new).unwrap_or_else(|| url.to_owned());
            format!("MIGRATE_DATABASE_URL={url}")
        }
        _ => line.to_owned(),
    })
}

/// The URL that `scripts/postgres` made for the role that owns the old database, for the new one.
fn owners_url(url: &str, old: &str, new: &str) -> Option<String> {
    let rest = url.strip_prefix(&format!("postgres://{old}_owner:"))?;
    let server = rest.strip_suffix(&format!("/{old}"))?;
    Some(format!("postgres://{new}_owner:{server}/{new}"))
}

fn edit(path: &Path, line: impl Fn(&str) -> String) -> anyhow::Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    let said = || {
        format!(
            "the project is renamed, but {} could not be adapted",
            path.display()
        )
    };
    // A link stays one.
    let path = &fs::canonicalize(path).with_context(said)?;
    let text = fs::read_to_string(path).with_context(said)?;
    let edited: String = text.lines().map(|text| line(text) + "\n").collect();
    if edited == text {
        return Ok(false);
    }
    // Beside and renamed: an interruption leaves the old one, which is in no repository.
    let beside = path.with_extension("new");
    fs::write(&beside, "")
        .and_then(|()| fs::set_permissions(&beside, fs::metadata(path)?.permissions()))
        .and_then(|()| fs::write(&beside, edited))
        .and_then(|()| fs::rename(&beside, path))
        .with_context(said)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_tells_name_version_and_origin() {
        let text =
            "[package]\nname = \"old-thing\"\nversion = \"1.2.3\"\n\n[[bin]]\nname = \"other\"\n";

        let manifest = Manifest::parse(text).unwrap();

        assert_eq!(manifest.name.kebab(), "old-thing");
        assert_eq!(manifest.version, "1.2.3");
        assert!(manifest.refuse_second_run().is_ok());
    }

    #[test]
    fn a_second_run_is_refused_by_the_line_of_origin() {
        let text = "[package]\nname = \"orders\"\n\n[package.metadata.skeleton]\n# Why.\norigin = \"old-thing 1.2.3\"\n";

        let said = Manifest::parse(text)
            .unwrap()
            .refuse_second_run()
            .unwrap_err()
            .to_string();

        assert!(said.contains("its own name already, orders"), "{said}");
        assert!(said.contains("began as old-thing 1.2.3"), "{said}");
        assert!(said.contains("git revert"), "{said}");
    }

    #[test]
    fn the_source_is_the_remote_unless_that_is_the_new_project() {
        let new = Name::parse("acme-orders").unwrap();
        let theirs = Some("https://github.com/them/old-thing");
        let source = |remote, repository| source(remote, repository, &new);

        assert_eq!(
            source(Some("/srv/old-thing"), theirs).as_deref(),
            Some("/srv/old-thing")
        );
        for own in [
            "git@github.com:acme/acme-orders.git",
            "https://example.com/acme-orders/",
        ] {
            assert_eq!(source(Some(own), theirs).as_deref(), theirs);
            assert_eq!(
                // In two parts, or the name of a new project's owner would be put into it.
                source(
                    Some(own),
                    Some(concat!("https://github.com", "/OWNER/old-thing"))
                ),
                None
            );
        }
    }

    #[test]
    fn only_the_url_that_was_made_for_the_owner_is_made_for_another() {
        let url = |text| owners_url(text, "old_thing", "orders");

        let ours = "postgres://old_thing_owner:s3cret@127.0.0.1:5433/old_thing";
        let renamed = "postgres://orders_owner:s3cret@127.0.0.1:5433/orders";
        assert_eq!(url(ours).as_deref(), Some(renamed));
        for other in [
            "postgres://old_thing:s3cret@127.0.0.1:5433/old_thing",
            "postgres://old_thing_owner:s3cret@127.0.0.1:5433/shop",
        ] {
            assert_eq!(url(other), None, "{other}");
        }
    }
}
