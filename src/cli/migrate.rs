//! `migrate`: the schema's steps.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use chassis_postgres::Grants;
use tokio_postgres::Client;

use crate::{
    grants,
    migrations::{self, MIGRATIONS, advise},
    settings::Settings,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Migrate {
    /// Apply what is pending
    Up,
    /// Undo the newest
    Down {
        /// How many
        #[arg(default_value_t = 1)]
        count: usize,
    },
    /// List what is applied and what is pending
    Status,
    /// Write a new pair of files into the folder `migrations`
    Create {
        /// What it does, as in `add_notes`
        name: String,
    },
}

impl Migrate {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if matches!(self, Self::Up | Self::Down { .. }) {
            migrations::require_direct(&settings.database)?;
        }
        match self {
            Self::Up => {
                let grants = grants::of(&settings.database);
                up(&mut super::connect(settings).await?, &grants).await?;
            }
            Self::Down { count } => down(&mut super::connect(settings).await?, count).await?,
            Self::Status => status(&super::connect(settings).await?).await?,
            Self::Create { name } => create(Path::new("migrations"), &name)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn up(client: &mut Client, grants: &Grants<'_>) -> anyhow::Result<()> {
    if let Some(role) = grants.unknown_role(client).await? {
        eprintln!(
            "warning: there is no role {role}, so nothing is granted to it; DATABASE_URL or DB_USER says which role the service has"
        );
    }
    let applied = MIGRATIONS.up(client, grants).await.map_err(advise)?;
    if applied.is_empty() {
        say!("nothing to apply");
    }
    for migration in applied {
        say!("applied {migration}");
    }
    Ok(())
}

async fn down(client: &mut Client, count: usize) -> anyhow::Result<()> {
    let undone = MIGRATIONS.down(client, count).await.map_err(advise)?;
    if undone.is_empty() {
        say!("nothing to undo");
    }
    for migration in undone {
        say!("undid {migration}");
    }
    Ok(())
}

async fn status(client: &Client) -> anyhow::Result<()> {
    let status = MIGRATIONS.status(client).await.map_err(advise)?;
    for migration in &status.applied {
        say!("applied {migration} ({})", migration.applied_on);
    }
    for migration in &status.pending {
        say!("pending {migration}");
    }
    for migration in &status.newer {
        eprintln!("warning: {migration} is newer than any migration of this program");
    }
    Ok(())
}

/// Writes `V000N__name.sql` and its undo, numbered behind the newest file there is.
fn create(folder: &Path, name: &str) -> anyhow::Result<()> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    anyhow::ensure!(
        !name.is_empty() && name.bytes().all(is_word),
        "a migration's name has lower case letters, digits and underscores only, like add_notes"
    );
    let files = fs::read_dir(folder).with_context(|| {
        format!(
            "there is no folder {} here; run this in the project",
            folder.display()
        )
    })?;
    let mut newest = 0;
    for file in files {
        let file = file?.file_name();
        let number = file
            .to_str()
            .and_then(|file| file.strip_prefix('V')?.split("__").next()?.parse().ok());
        newest = newest.max(number.unwrap_or(0));
    }
    let stem = format!("V{:04}__{name}", newest + 1);
    let reason = "-- Why: \n\n";
    for (file, text) in [
        (format!("{stem}.sql"), reason),
        (format!("{stem}.down.sql"), ""),
    ] {
        let path = folder.join(file);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        file.write_all(text.as_bytes())?;
        say!("{}", path.display());
    }
    Ok(())
}
