//! `user`: accounts, administered from the shell.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    app::App,
    features::identity::{self, Email, Password, Role, UserChange, UserFilter},
    settings::Settings,
    shared::PageRequest,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum User {
    /// Make an account; the password is asked for, or read from standard input
    Create {
        /// Its address
        #[arg(long, value_parser = Email::parse)]
        email: Email,
        /// Its role
        #[arg(long, default_value = "VIEWER")]
        role: Role,
    },
    /// List all accounts
    List,
    /// Give an account another role
    SetRole {
        /// Its address
        #[arg(long, value_parser = Email::parse)]
        email: Email,
        /// Its new role
        #[arg(long)]
        role: Role,
    },
    /// Give an account another password and end its sessions
    SetPassword(Who),
    /// Let an account sign in again
    Enable(Who),
    /// Keep an account from signing in and end its sessions
    Disable(Who),
    /// End an account's sessions
    RevokeSessions(Who),
}

#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// Its address
    #[arg(long, value_parser = Email::parse)]
    email: Email,
}

impl User {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let app = super::connected(settings).await?;
        match self {
            Self::Create { email, role } => create(&app, email, role).await?,
            Self::List => list(&app).await?,
            Self::SetRole { email, role } => {
                let change = UserChange {
                    role: Some(role),
                    is_active: None,
                };
                change_user(&app, &email, change).await?;
            }
            Self::SetPassword(who) => set_password(&app, &who.email).await?,
            Self::Enable(who) => set_active(&app, &who.email, true).await?,
            Self::Disable(who) => set_active(&app, &who.email, false).await?,
            Self::RevokeSessions(who) => {
                let user = find(&app, &who.email).await?;
                let ended = app.auth.revoke_sessions(user.id).await?;
                say!("ended {ended} sessions");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn create(app: &App, email: Email, role: Role) -> anyhow::Result<()> {
    let password = ask_for_password(app, &email)?;
    let user = app.auth.create_user(email, password, role).await?;
    show(&user);
    Ok(())
}

async fn list(app: &App) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let request = PageRequest::new(100, after);
        let page = app.auth.list_users(&UserFilter::default(), request).await?;
        page.items.iter().for_each(show);
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

async fn set_password(app: &App, email: &Email) -> anyhow::Result<()> {
    let user = find(app, email).await?;
    let password = ask_for_password(app, email)?;
    app.auth.set_password(user.id, password).await?;
    say!("the password is changed and all sessions have ended");
    Ok(())
}

async fn set_active(app: &App, email: &Email, is_active: bool) -> anyhow::Result<()> {
    let change = UserChange {
        role: None,
        is_active: Some(is_active),
    };
    change_user(app, email, change).await
}

async fn change_user(app: &App, email: &Email, change: UserChange) -> anyhow::Result<()> {
    let user = find(app, email).await?;
    let user = app.auth.change_user(user.id, change).await?;
    show(&user);
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

fn show(user: &identity::User) {
    let state = if user.is_active { "active" } else { "disabled" };
    say!(
        "{}  {:6}  {:8}  {}",
        user.id,
        user.role,
        state,
        user.email.as_str()
    );
}

/// Twice at a terminal; otherwise one line of standard input, as it is but for its ending.
fn ask_for_password(app: &App, email: &Email) -> anyhow::Result<Password> {
    let text: SecretString = if io::stdin().is_terminal() {
        let first: SecretString = rpassword::prompt_password("Password: ")?.into();
        let second: SecretString = rpassword::prompt_password("Once more: ")?.into();
        anyhow::ensure!(
            first.expose_secret() == second.expose_secret(),
            "the two passwords are not the same"
        );
        first
    } else {
        let mut line = String::new();
        io::stdin()
            .read_line(&mut line)
            .context("standard input holds no password")?;
        let line = line.strip_suffix('\n').unwrap_or(&line);
        line.strip_suffix('\r').unwrap_or(line).into()
    };
    Password::parse(&text, email, app.auth.policy()).context("this password cannot be taken")
}
