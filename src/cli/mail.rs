//! `mail`: send a test, look into the folder of development, and see what templates look like.

use std::{path::PathBuf, process::ExitCode};

use minijinja::context;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    app::App,
    features::mail::{self, MAIL_TEST, Message, Receipt, SendError},
    settings::Settings,
    shared::clock::Clock,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Mail {
    /// Send a message and print what the server said
    Test {
        /// To whom
        #[arg(long)]
        to: String,
    },
    /// List the messages in the folder that they are written into without `MAIL_URL`
    List {
        /// How many of the newest
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Write what every template looks like into a folder, with a page that shows them all
    Preview {
        /// The folder
        #[arg(default_value = ".dev/mail-preview")]
        folder: PathBuf,
    },
}

impl Mail {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let app = App::build(settings, Clock::system())?;
        let mail = app.mail;
        match self {
            Self::Test { to } => {
                let span = app.tracing.task("mail_test");
                test(&mail, &to).instrument(span).await?;
            }
            Self::List { limit } => list(&mail, limit)?,
            Self::Preview { folder } => {
                mail.preview(&folder)?;
                say!("open {}", folder.join("index.html").display());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn test(mail: &mail::Mail, to: &str) -> anyhow::Result<()> {
    let message = Message {
        id: Uuid::now_v7(),
        to,
        template: &MAIL_TEST,
        context: context! {},
    };
    match mail.deliver(message).await {
        Ok(Receipt::Taken { server, reply }) => {
            say!("{server} took the message: {}", printable(&reply));
        }
        Ok(Receipt::Written(path)) => {
            say!(
                "MAIL_URL is unset, so the message is a file: {}",
                path.display()
            );
        }
        Err(error) => return Err(with_reply(error)),
    }
    Ok(())
}

/// The error with the server's words, which may be shown to the person who typed the address.
fn with_reply(error: SendError) -> anyhow::Error {
    match error.reply().map(printable) {
        Some(reply) => anyhow::anyhow!("{error}; the server said: {reply}"),
        None => error.into(),
    }
}

fn list(mail: &mail::Mail, limit: usize) -> anyhow::Result<()> {
    let folder = mail.folder();
    let folder = folder.ok_or_else(|| {
        anyhow::anyhow!(
            "messages are written into a folder only while MAIL_URL is unset, and not in production"
        )
    })?;
    let messages = mail.list(limit)?;
    if messages.is_empty() {
        say!("there are no messages in {}", folder.display());
    }
    for message in messages {
        say!(
            "{}  {}  {}",
            printable(&message.date),
            printable(&message.to),
            printable(&message.subject)
        );
        say!("    {}", message.path.display());
        for link in message.links {
            say!("    {}", printable(&link));
        }
    }
    Ok(())
}

/// Without what a terminal would obey.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}
