//! `serve`: run the service.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use tokio_postgres::Client;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::App,
    clock::Clock,
    config::Settings,
    database::{self, ConnectionTarget, DatabaseSettings, MigrationError},
    migrations::{MIGRATIONS, advise},
    server::{Listener, Server},
    telemetry::{self, LogStream, REVISION, Telemetry, VERSION},
};

/// How much of the time to stop is kept for telemetry: this, or half of it when there is less.
const FLUSH: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Apply pending migrations first
    #[arg(long)]
    migrate: bool,
}

impl Serve {
    pub(super) async fn run(self, settings: Settings) -> anyhow::Result<ExitCode> {
        settings.auth.check_secret(settings.app_env)?;
        let mut signals = Signals::listen()?;
        let telemetry = Telemetry::start(&settings.telemetry, Clock::system(), LogStream::Stdout)?;
        telemetry::log_panics();
        let outcome = self.serve(&settings, &mut signals).await;
        if let Err(error) = &outcome {
            tracing::error!(error = format!("{error:#}"), "start_failed");
        }
        // Spans are exported from a thread of its own; waiting for it must not hold up this one's runtime.
        let within = flush_time(&settings);
        let flushed = tokio::task::spawn_blocking(move || telemetry.shutdown(within)).await;
        flushed.context("the last log lines could not be written")?;
        Ok(if outcome.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn serve(&self, settings: &Settings, signals: &mut Signals) -> anyhow::Result<()> {
        raise_file_limit(settings.server.max_connections);
        let app = App::build(settings, Clock::system())?;
        let (lifecycle, database) = (app.lifecycle.clone(), app.database.clone());
        let servers = listen(settings, &app).await?;

        let ready = tokio::select! {
            prepared = prepare(&settings.database, self.migrate) => Some(prepared),
            () = signals.next() => None,
        };
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        match ready {
            Some(Ok(())) => {
                lifecycle.serve();
                tracing::info!(version = VERSION, revision = REVISION, "ready");
                app.start_tasks(&tasks, &stop);
                signals.next().await;
            }
            Some(Err(error)) => {
                for server in &servers {
                    server.stop(Duration::ZERO).await;
                }
                return Err(error);
            }
            None => {}
        }

        let delay = settings.server.shutdown_delay;
        tracing::info!(
            delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            "stopping"
        );
        lifecycle.drain();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = signals.next() => {}
        }
        let timeout = settings.server.shutdown_timeout;
        let deadline = Instant::now() + timeout - flush_time(settings);
        // A client that never ends takes nothing from the tasks, which have rows to write.
        let last_request = deadline - flush_time(settings) / 2;
        let finish = async {
            for server in &servers {
                let cut = server.stop(last_request - Instant::now()).await;
                if cut > 0 {
                    tracing::warn!(connections = cut, "connections_cut");
                }
            }
            stop.cancel();
            tasks.close();
            if tokio::time::timeout_at(deadline, tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!("background_tasks_cut");
            }
        };
        tokio::select! {
            () = finish => {}
            () = signals.next() => tracing::warn!("stopped_at_once"),
        }
        database.close();
        tracing::info!("stopped");
        Ok(())
    }
}

fn flush_time(settings: &Settings) -> Duration {
    FLUSH.min(settings.server.shutdown_timeout / 2)
}

/// Opens the listeners and begins to answer.
async fn listen(settings: &Settings, app: &App) -> anyhow::Result<Vec<Arc<Server>>> {
    let own = &settings.server;
    let public = match &own.listen_socket {
        Some(path) => Listener::unix(path).await?,
        None => Listener::tcp(&own.host, own.port).await?,
    };
    let mut open = vec![(public, app.router(), "public")];
    if let Some(admin) = own.for_operators() {
        open.push((
            Listener::tcp(&admin.host, admin.port).await?,
            app.admin_router(),
            "admin",
        ));
    }
    let servers = open.into_iter().map(|(listener, router, purpose)| {
        tracing::info!(address = %listener, purpose, "listening");
        let server = Arc::new(Server::new(router, own));
        server.start(listener);
        server
    });
    Ok(servers.collect())
}

/// Finds the database and sees that its schema is the one this program works with.
async fn prepare(settings: &DatabaseSettings, migrate: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    // When migrations go another way, that is the last one.
    let mut client = None;
    for target in settings.targets() {
        client = Some(find(settings, target, started).await?);
    }
    let mut client = client.context("there is always a database to find")?;
    if migrate {
        for migration in MIGRATIONS.up(&mut client).await.map_err(advise)? {
            tracing::info!(migration, "migration_applied");
        }
    }
    let within = settings.attempt_after(started.elapsed());
    let status = tokio::time::timeout(within, MIGRATIONS.status(&client)).await;
    let status = status
        .context("the database stopped answering")?
        .map_err(advise)?;
    if !status.pending.is_empty() {
        return Err(advise(MigrationError::Pending(status.pending)));
    }
    for migration in status.newer {
        tracing::warn!(migration, "migration_is_newer_than_this_program");
    }
    Ok(())
}

/// A connection to this database, tried for until `DB_CONNECT_TIMEOUT_MS` have passed.
async fn find(
    settings: &DatabaseSettings,
    target: &ConnectionTarget,
    started: Instant,
) -> anyhow::Result<Client> {
    let mut pause = Duration::from_millis(50);
    loop {
        let within = settings.attempt_after(started.elapsed());
        match database::connect(target, within).await {
            Ok(client) => return Ok(client),
            Err(error) if started.elapsed() + pause > settings.connect_timeout => {
                return Err(super::unreachable(&target.describe(), &error.into()));
            }
            Err(error) => {
                tracing::warn!(
                    database = target.describe(),
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "database_awaited"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
    }
}

/// Room for every connection, and for files beside them.
fn raise_file_limit(max_connections: usize) {
    let wanted = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_add(1024);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => {
            tracing::warn!(limit, wanted, "file_limit_is_low");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "file_limit_unknown"),
    }
}

/// The signals that ask the service to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them over, also as process 1, for which the kernel has no default.
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
