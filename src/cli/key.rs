//! `key`: keys of machines, administered from the shell.

use std::process::ExitCode;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    app::App,
    features::{
        api_keys::{self, KeyName, KeyRecord, NewKey, Scopes},
        identity::{self, ApiKeyId, Email},
    },
    routes,
    settings::Settings,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Key {
    /// Make a key for an account, and print it: it is shown this once
    Create {
        /// The address of the account that it acts for
        #[arg(long, value_parser = Email::parse)]
        email: Email,
        /// What to call it
        #[arg(long, value_parser = KeyName::parse)]
        name: KeyName,
        /// What it is good for; once for each scope
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// For how many days; without it, until it is revoked
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=3650))]
        days: Option<i64>,
        /// Print the key alone
        #[arg(long)]
        quiet: bool,
    },
    /// List the live keys of an account
    List {
        /// Its address
        #[arg(long, value_parser = Email::parse)]
        email: Email,
    },
    /// End a key
    Revoke {
        /// Its id, as `key list` shows it
        id: ApiKeyId,
    },
}

impl Key {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let app = super::connected(settings).await?;
        match self {
            Self::Create {
                email,
                name,
                scopes,
                days,
                quiet,
            } => {
                let new = NewKey {
                    name,
                    scopes: Scopes::parse(&scopes, &routes::scopes(&app))?,
                    lifetime: days.map(time::Duration::days),
                };
                create(&app, &email, new, quiet).await?;
            }
            Self::List { email } => {
                let user = find(&app, &email).await?;
                for key in app.keys.list(user.id).await? {
                    say!("{}", line_of(&key));
                }
            }
            Self::Revoke { id } => {
                match app.keys.revoke_for_operator(&app.auth, id).await {
                    Err(api_keys::Error::NotFound) => anyhow::bail!("there is no live key {id}"),
                    revoked => revoked?,
                }
                say!("revoked {id}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn create(app: &App, email: &Email, new: NewKey, quiet: bool) -> anyhow::Result<()> {
    let user = find(app, email).await?;
    let created = app.keys.create_for_operator(&app.auth, user.id, new);
    let (record, key) = created.await?;
    if !quiet {
        say!("{}", line_of(&record));
    }
    say!("{}", key.expose());
    Ok(())
}

async fn find(app: &App, email: &Email) -> anyhow::Result<identity::User> {
    match app.auth.find_by_email(email).await {
        Err(identity::Error::NotFound) => {
            anyhow::bail!("no account has the address {}", email.as_str())
        }
        other => Ok(other?),
    }
}

fn line_of(key: &KeyRecord) -> String {
    let date = |at: Option<OffsetDateTime>| {
        let text = at.and_then(|at| at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok());
        text.unwrap_or_else(|| "never".to_owned())
    };
    format!(
        "{}  {}…  expires {:20}  used {:20}  {}  {}",
        key.id,
        key.start,
        date(key.expires_at),
        date(key.last_used_at),
        key.scopes.as_slice().join(","),
        key.name.as_str(),
    )
}
