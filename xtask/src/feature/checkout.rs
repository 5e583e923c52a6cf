//! The checkout that a feature is written into.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};

/// What a checkout of the service has at its root.
const MARK: &str = "src/features/mod.rs";

/// A checkout of the service.
pub(super) struct Checkout {
    root: PathBuf,
}

/// A migration there is: its number and what it is called.
pub(super) struct Migration {
    pub(super) version: u32,
    pub(super) stem: String,
}

impl Checkout {
    /// The one that this folder belongs to.
    pub(super) fn around(folder: &Path) -> anyhow::Result<Self> {
        let mut folders = folder.ancestors();
        let root = folders
            .find(|folder| folder.join(MARK).is_file() && folder.join("migrations").is_dir());
        let Some(root) = root else {
            bail!(
                "{} is in no checkout of the service: neither it nor a folder above it holds {MARK} and \
                 migrations/; change into the checkout and run this again",
                folder.display()
            );
        };
        let root = root.to_owned();
        Ok(Self { root })
    }

    /// What the library is called where it is used: `warp_skeleton`, until the project is renamed.
    pub(super) fn library(&self) -> anyhow::Result<String> {
        let manifest = self.read("Cargo.toml")?;
        let name = |section: &str| {
            let (_, rest) = manifest.split_once(&format!("\n[{section}]\n"))?;
            let rest = rest.split("\n[").next()?;
            let line = rest
                .lines()
                .find_map(|line| line.strip_prefix("name = \""))?;
            Some(line.trim_end_matches('"').replace('-', "_"))
        };
        name("lib").or_else(|| name("package")).context(
            "Cargo.toml does not say what the package is called: there is no name below [package]",
        )
    }

    /// Every migration, oldest first.
    pub(super) fn migrations(&self) -> anyhow::Result<Vec<Migration>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("migrations"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Some(stem) = name
                .strip_suffix(".sql")
                .filter(|stem| Path::new(stem).extension().is_none())
            else {
                continue;
            };
            let version = stem
                .strip_prefix('V')
                .and_then(|rest| rest.split_once("__"))
                .and_then(|(version, _)| version.parse().ok())
                .with_context(|| format!("migrations/{name} is not called like V0001__name.sql"))?;
            let stem = stem.to_owned();
            found.push(Migration { version, stem });
        }
        found.sort_by_key(|migration| migration.version);
        Ok(found)
    }

    /// Every file of Rust in this folder, from the root of the checkout; a folder that does not exist has none.
    pub(super) fn rust_files(&self, folder: &str) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            if !self.has(&folder) {
                continue;
            }
            for entry in fs::read_dir(self.root.join(&folder))? {
                let entry = entry?;
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if entry.file_type()?.is_dir() {
                    open.push(path);
                } else if Path::new(&path).extension() == Some(OsStr::new("rs")) {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether there is such a file or folder.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    pub(super) fn read(&self, path: &str) -> anyhow::Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("{path} cannot be read"))
    }

    /// Writes all of these or none: what was there before comes back when one of them fails.
    pub(super) fn write(&self, files: &[(String, String)]) -> anyhow::Result<()> {
        let mut undo: Vec<(&str, Option<String>)> = Vec::new();
        for (path, text) in files {
            undo.push((path, self.read(path).ok()));
            let Err(error) = self.write_one(path, text) else {
                continue;
            };
            for (path, before) in undo.into_iter().rev() {
                // A failure to undo adds nothing to the failure that is returned below.
                let _ = match before {
                    Some(text) => self.write_one(path, &text),
                    None => self.remove(path),
                };
            }
            return Err(error.context(format!("{path} cannot be written; nothing was changed")));
        }
        Ok(())
    }

    fn write_one(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(path, text)?)
    }

    /// Removes a file, and the folders that are empty without it.
    pub(super) fn remove(&self, path: &str) -> anyhow::Result<()> {
        let path = self.root.join(path);
        if path.exists() {
            fs::remove_file(&path)
                .with_context(|| format!("{} cannot be removed", path.display()))?;
        }
        let mut folder = path.parent();
        while let Some(empty) =
            folder.filter(|folder| *folder != self.root && fs::remove_dir(folder).is_ok())
        {
            folder = empty.parent();
        }
        Ok(())
    }

    /// Tells git about new files, so that a flake sees them, without staging what is in them.
    pub(super) fn intend_to_add(&self, paths: &[String]) -> anyhow::Result<()> {
        self.git(&["add", "-N", "--"], paths)
    }

    /// Takes that back for files that are gone.
    pub(super) fn forget(&self, paths: &[String]) -> anyhow::Result<()> {
        self.git(&["reset", "-q", "--"], paths)
    }

    fn git(&self, arguments: &[&str], paths: &[String]) -> anyhow::Result<()> {
        let inside = self.root.join(".git").exists();
        if !inside {
            return Ok(());
        }
        let status = Command::new("git")
            .arg("-C")
            .arg(&self.root)
            .args(arguments)
            .args(paths)
            .status()
            .context("git cannot be run; install it with your package manager")?;
        ensure!(status.success(), "git {} failed: see above", arguments[0]);
        Ok(())
    }

    /// Whether the development database has this migration. There is none where nothing was set up yet.
    ///
    /// # Errors
    ///
    /// It cannot be asked.
    pub(super) fn has_applied(&self, stem: &str) -> anyhow::Result<bool> {
        if !self.has(".env") && !self.has(".postgres") {
            return Ok(false);
        }
        let output = Command::new("cargo")
            .args(["run", "-q", "--", "migrate", "status"])
            .current_dir(&self.root)
            .output()
            .context("cargo cannot be run, so whether a database has the migration is not known")?;
        ensure!(
            output.status.success(),
            "whether the development database has {stem} is not known, and nothing was changed. make db-start starts it. \
             It said:\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let text = String::from_utf8_lossy(&output.stdout);
        let applied = format!("applied {stem} ");
        Ok(text.lines().any(|line| line.starts_with(&applied)))
    }
}

/// The text as `cargo fmt` would leave it.
pub(super) fn formatted(path: &str, text: &str) -> anyhow::Result<String> {
    if Path::new(path).extension() != Some(OsStr::new("rs")) {
        return Ok(text.to_owned());
    }
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("rustfmt cannot be run, so nothing was written; it comes with: rustup component add rustfmt")?;
    let mut input = rustfmt.stdin.take().context("its input is piped")?;
    input.write_all(text.as_bytes())?;
    drop(input);
    let output = rustfmt.wait_with_output()?;
    ensure!(
        output.status.success(),
        "rustfmt does not take {path}, so nothing was written: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_checkout_is_named() {
        let refusal = Checkout::around(Path::new("/")).err().unwrap().to_string();

        assert!(refusal.starts_with("/ is in no checkout"), "{refusal}");
    }

    #[test]
    fn this_checkout_is_found_from_below() {
        let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let checkout = Checkout::around(&below).unwrap();

        assert!(checkout.has("xtask/Cargo.toml"));
        let migrations = checkout.migrations().unwrap();
        assert_eq!(
            (migrations[0].version, migrations[0].stem.as_str()),
            (1, "V0001__create_users")
        );
        let library = checkout.library().unwrap();
        assert!(
            checkout.read("src/settings.rs").is_ok() && !library.contains('-'),
            "{library}"
        );
    }

    #[test]
    fn what_is_formatted_is_rust() {
        assert_eq!(formatted("a.rs", "fn  a( ){}").unwrap(), "fn a() {}\n");
        assert_eq!(formatted("a.sql", "SELECT  1").unwrap(), "SELECT  1");
        assert!(formatted("a.rs", "fn fn").is_err());
    }
}
