//! What a person types: one file per sub-command.
//!
//! `serve` and `worker` log to standard output. Every other command keeps standard output
//! for its answer and logs to standard error.

/// Writes a line of the answer to standard output.
macro_rules! say {
    () => { $crate::cli::write_line(format_args!("")) };
    ($($words:tt)*) => { $crate::cli::write_line(format_args!($($words)*)) };
}

mod config;
mod doctor;
mod files;
mod healthcheck;
mod jobs;
mod key;
mod listen;
mod mail;
mod migrate;
mod openapi;
mod routes;
mod serve;
mod token;
mod user;

use std::{
    env, fmt,
    io::{self, IsTerminal, Write},
    process::{self, ExitCode},
    time::Duration,
};

use chassis_postgres::{ConnectionTarget, DatabaseError, DatabaseSettings, MigrationError};
use chassis_telemetry::{LogStream, Telemetry};
use clap::{Parser, Subcommand};
use tokio_postgres::Client;

use crate::{
    app::App,
    migrations::{self, MIGRATIONS, advise},
    program::PROGRAM,
    settings::{self, Settings},
    shared::clock::Clock,
};

/// A production-ready web service to fork.
#[derive(Debug, Parser)]
#[command(name = env!("CARGO_PKG_NAME"), version = VERSION_AND_REVISION, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const VERSION_AND_REVISION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("GIT_REVISION"), ")");

/// How long a command may take to send its spans, at its end.
const FLUSH: Duration = Duration::from_secs(2);

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Serve),
    // jobs: begin
    /// Run jobs and nothing else
    Worker,
    /// Look at jobs, try them again, or remove them
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    // jobs: end
    // mail: begin
    /// Send a test, list messages of development, or preview templates
    #[command(subcommand)]
    Mail(mail::Mail),
    // mail: end
    /// Apply, undo, list or create migrations
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// Open a session for a development user and print its access token
    Token(token::Token),
    /// Administer accounts
    #[command(subcommand)]
    User(user::User),
    // api_keys: begin
    /// Make, list or revoke API keys
    #[command(subcommand)]
    Key(key::Key),
    // api_keys: end
    /// Check everything the service needs
    Doctor,
    /// Show the effective settings and where they come from
    Config(config::Config),
    /// List every endpoint and who may call it
    Routes,
    /// Print the OpenAPI document
    Openapi,
    /// Ask the running service whether it is alive
    Healthcheck,
}

/// Runs what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    main_with(|_| {})
}

/// The same, with a service that gets something more before it starts: for tests.
#[must_use]
pub fn main_with(extend: fn(&mut App)) -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misunderstand(&error),
    };
    let serving = matches!(arguments.command, Command::Serve(_) | Command::Worker);
    match run(arguments.command, extend) {
        Ok(code) => code,
        Err(error) => {
            complain(serving, &error);
            ExitCode::FAILURE
        }
    }
}

/// Explains a command line that makes no sense, or prints the help that was asked for.
///
/// A service that cannot start because of it reports that as a line of its log, like everything else.
fn misunderstand(error: &clap::Error) -> ExitCode {
    let command = env::args_os().nth(1);
    let asked_to_serve = command.is_some_and(|word| word == "serve" || word == "worker");
    if error.use_stderr() && asked_to_serve && !io::stderr().is_terminal() {
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default();
        let reason = reason.trim_start_matches("error: ").to_owned();
        complain(true, &anyhow::Error::msg(reason));
    } else {
        // Standard error may be closed; the exit code still tells.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Ends the process when its output cannot be written. A reader that has closed the pipe (`… | head`) is no failure, a full disk is.
fn write_line(line: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        let closed = error.kind() == io::ErrorKind::BrokenPipe;
        process::exit(i32::from(!closed));
    }
}

/// Says what went wrong: as a log line when a machine reads them, else in words.
fn complain(serving: bool, error: &anyhow::Error) {
    let message = format!("{error:#}");
    let mut stderr = io::stderr();
    let line = if serving && !stderr.is_terminal() {
        chassis_telemetry::emergency_line(
            PROGRAM.build,
            Clock::system().now(),
            "start_failed",
            &message,
        )
    } else {
        format!("error: {message}")
    };
    // Standard error may be closed; the exit code still tells.
    let _ = writeln!(stderr, "{line}");
}

fn run(command: Command, extend: fn(&mut App)) -> anyhow::Result<ExitCode> {
    let values = settings::load()?;
    let settings = Settings::read(&values)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(async {
        let command = match command {
            Command::Serve(serve) => return serve.run(settings, extend).await,
            Command::Worker => return serve::Serve::worker().run(settings, extend).await,
            other => other,
        };
        let clock = Clock::system();
        let telemetry = Telemetry::start(
            PROGRAM,
            &settings.telemetry,
            move || clock.now(),
            LogStream::Stderr,
        )?;
        let code = match command {
            Command::Serve(_) | Command::Worker => unreachable!("handled above"),
            Command::Jobs(jobs) => jobs.run(&settings).await,
            Command::Mail(mail) => mail.run(&settings).await,
            Command::Migrate(migrate) => migrate.run(&settings).await,
            Command::Token(token) => token.run(&settings).await,
            Command::User(user) => user.run(&settings).await,
            Command::Key(key) => key.run(&settings).await,
            Command::Doctor => doctor::run(&settings).await,
            Command::Config(config) => Ok(config.run(&values)),
            Command::Routes => routes::run(&settings),
            Command::Openapi => openapi::run(&settings),
            Command::Healthcheck => healthcheck::run(&settings).await,
        };
        // The last spans and lines. It blocks; without spans it takes no time, and a panic of it is no failure of the command.
        let _ = tokio::task::spawn_blocking(move || telemetry.shutdown(FLUSH)).await;
        code
    });
    // A password that is still being hashed is not waited for: its request has ended.
    runtime.shutdown_background();
    code
}

/// The parts of the service, for a command that works on its database: reached, and with the right schema.
async fn connected(settings: &Settings) -> anyhow::Result<App> {
    let service = reach(&settings.database, &settings.database.target).await?;
    let status = MIGRATIONS.status(&service).await.map_err(advise)?;
    if status.pending.is_empty() {
        return App::build(settings, Clock::system());
    }
    if settings.database.separate_migration_target().is_some() {
        let migrated = MIGRATIONS.status(&connect(settings).await?).await;
        if migrated.map_err(advise)?.pending.is_empty() {
            return Err(migrations::elsewhere(&settings.database));
        }
    }
    Err(advise(MigrationError::Pending(status.pending)))
}

/// A connection as migrations have it.
async fn connect(settings: &Settings) -> anyhow::Result<Client> {
    reach(&settings.database, &settings.database.migration_target).await
}

/// A connection to this database, or an error that names it.
async fn reach(settings: &DatabaseSettings, target: &ConnectionTarget) -> anyhow::Result<Client> {
    let within = settings.attempt_after(Duration::ZERO);
    let client = chassis_postgres::connect(target, within).await;
    client.map_err(|error| unreachable(&target.describe(), &error.into()))
}

/// Fails when a pooler refused the options of a session, which waiting does not mend. Any other failure is one that the
/// service survives.
fn check_pooler(error: &DatabaseError) -> anyhow::Result<()> {
    let chain = chassis_telemetry::chain(error);
    anyhow::ensure!(
        !chain.contains("startup parameter"),
        "{chain}; a pooler stands before the database: set DB_POOLER=transaction"
    );
    Ok(())
}

/// An error that says which database could not be reached, and why.
fn unreachable(target: &str, error: &anyhow::Error) -> anyhow::Error {
    let hint = "; DATABASE_URL or the DB_* settings say where it is; in a checkout, `make db-start` starts it";
    anyhow::anyhow!("cannot reach the database {target}: {error:#}{hint}")
}
