//! `serve`: run the service; and `worker`, which is the same process without a public listener.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use chassis_http::Router;
use chassis_postgres::{
    ConnectionTarget, Database, DatabaseSettings, Grants, MigrationError, Status,
};
use chassis_server::{Listener, ServerHandle, ServerOptions, ShutdownSignals};
use chassis_settings::AppEnv;
use chassis_telemetry::{LogStream, Telemetry};
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    files::{ADMIN_CONNECTIONS, Files},
    listen::bind,
};
use crate::{
    app::App,
    features::{jobs::Jobs, operations::Lifecycle},
    grants,
    migrations::{self, MIGRATIONS, advise},
    program::{PROGRAM, REVISION, VERSION},
    routes,
    settings::Settings,
    shared::clock::Clock,
};

/// How much of the time to stop is kept for telemetry: this, or half of it when there is less.
const FLUSH: Duration = Duration::from_secs(2);

/// How long the tasks may take to end after a second signal.
const AT_ONCE: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Apply pending migrations first
    #[arg(long)]
    migrate: bool,
    // jobs: begin
    /// Whether it only runs jobs.
    #[arg(skip)]
    is_worker: bool,
    // jobs: end
}

impl Serve {
    // jobs: begin
    /// The command `worker`.
    pub(super) fn worker() -> Self {
        Self {
            migrate: false,
            is_worker: true,
        }
    }
    // jobs: end

    pub(super) async fn run(
        self,
        settings: Settings,
        extend: fn(&mut App),
    ) -> anyhow::Result<ExitCode> {
        settings.auth.check_secret(settings.app_env)?;
        // browser_sessions: begin
        settings.cookies.check(settings.around_cookies())?;
        // browser_sessions: end
        // recovery: begin
        settings.check_recovery()?;
        // recovery: end
        let mut signals = ShutdownSignals::listen()?;
        let clock = Clock::system();
        let telemetry = Telemetry::start(
            PROGRAM,
            &settings.telemetry,
            move || clock.now(),
            LogStream::Stdout,
        )?;
        chassis_telemetry::log_panics();
        // recovery: begin
        if !settings.mail.is_on() {
            let off = crate::features::recovery::TAKES_MAIL;
            tracing::warn!(off, "mail_off");
        }
        // recovery: end
        // browser_sessions: begin
        if settings.cookies.is_on() && !settings.cookies.is_secure(settings.around_cookies()) {
            tracing::warn!("cookies_without_tls");
        }
        // browser_sessions: end
        let outcome = self.serve(&settings, extend, &mut signals).await;
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

    async fn serve(
        &self,
        settings: &Settings,
        extend: fn(&mut App),
        signals: &mut ShutdownSignals,
    ) -> anyhow::Result<()> {
        let options = server_options(settings);
        if settings.is_without_sources() {
            tracing::warn!("source_limits_off");
        }
        let mut app = App::build(settings, Clock::system())?;
        extend(&mut app);
        let (lifecycle, database) = (app.lifecycle.clone(), app.database.clone());
        let jobs = app.jobs.clone();
        let servers = if self.is_worker {
            listen_for_operators(settings, &options, &app).await?
        } else {
            listen(settings, &options, &app).await?
        };

        let ready = tokio::select! {
            prepared = prepare(settings, &database, self.migrate) => Some(prepared),
            () = signals.recv() => None,
        };
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        match ready {
            Some(Ok(())) => {
                lifecycle.serve();
                tracing::info!(version = VERSION, revision = REVISION, "ready");
                if self.is_worker {
                    app.start_worker(&tasks, &stop);
                } else {
                    app.start_tasks(&tasks, &stop);
                }
                signals.recv().await;
            }
            Some(Err(error)) => {
                for server in &servers {
                    server.stop(Duration::ZERO).await;
                }
                return Err(error);
            }
            None => {}
        }

        jobs.drain();
        drain(settings, &lifecycle, signals).await;
        tokio::select! {
            () = finish(settings, &servers, &jobs, &tasks, &stop) => {}
            () = signals.recv() => {
                tracing::warn!("stopped_at_once");
                // So that each request that is cut leaves its line.
                for server in &servers {
                    server.stop(Duration::ZERO).await;
                }
                // And each job that ended is noted, and the others are free for another worker.
                stop.cancel();
                tasks.close();
                let _ = tokio::time::timeout(AT_ONCE, tasks.wait()).await;
            }
        }
        database.close();
        tracing::info!("stopped");
        Ok(())
    }
}

/// Lets `/ready` say no, and goes on accepting connections until load balancers have seen that. A second signal
/// ends the wait.
async fn drain(settings: &Settings, lifecycle: &Lifecycle, signals: &mut ShutdownSignals) {
    let delay = settings.service.shutdown_delay;
    tracing::info!(
        delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        "stopping"
    );
    lifecycle.drain();
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = signals.recv() => {}
    }
}

/// Ends the requests and jobs, then the tasks, within the shutdown timeout less the time that the last spans need.
async fn finish(
    settings: &Settings,
    servers: &[ServerHandle],
    jobs: &Jobs,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let deadline = Instant::now() + settings.server.shutdown_timeout - flush_time(settings);
    // A client that never ends takes no time from the tasks, which have rows to write.
    let last_request = deadline - flush_time(settings) / 2;
    for server in servers {
        let cut = server.stop(last_request - Instant::now()).await;
        if cut > 0 {
            tracing::warn!(connections = cut, "connections_cut");
        }
    }
    // jobs: begin
    // What still runs then is put back.
    let _ = tokio::time::timeout_at(last_request, jobs.drained()).await;
    // jobs: end
    stop.cancel();
    tasks.close();
    if tokio::time::timeout_at(deadline, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!("background_tasks_cut");
    }
}

fn flush_time(settings: &Settings) -> Duration {
    FLUSH.min(settings.server.shutdown_timeout / 2)
}

/// Opens the listeners and begins to answer.
async fn listen(
    settings: &Settings,
    options: &ServerOptions,
    app: &App,
) -> anyhow::Result<Vec<ServerHandle>> {
    let mut open = vec![(bind(&options.listen).await?, routes::router(app), "public")];
    if let Some(admin) = &settings.service.admin {
        open.push((bind(admin).await?, routes::admin_router(app), "admin"));
    }
    Ok(start(open, options, app))
}

// jobs: begin
/// Opens the listener on `ADMIN_PORT`, if it is set.
async fn listen_for_operators(
    settings: &Settings,
    options: &ServerOptions,
    app: &App,
) -> anyhow::Result<Vec<ServerHandle>> {
    anyhow::ensure!(
        settings.jobs.concurrency > 0,
        "JOBS_CONCURRENCY=0: a worker that runs no job has nothing to do"
    );
    let mut open = Vec::new();
    if let Some(admin) = &settings.service.admin {
        open.push((bind(admin).await?, routes::worker_router(app), "admin"));
    }
    Ok(start(open, options, app))
}
// jobs: end

fn start(
    open: Vec<(Listener, Router, &'static str)>,
    options: &ServerOptions,
    app: &App,
) -> Vec<ServerHandle> {
    let servers = open.into_iter().map(|(listener, router, purpose)| {
        tracing::info!(address = %listener, purpose, "listening");
        // For as long as the process lives: requests need not count who else still uses it.
        let router: &'static Router = Box::leak(Box::new(router));
        let mut options = options.clone();
        if purpose == "admin" {
            options.max_connections = options.max_connections.min(ADMIN_CONNECTIONS);
        }
        router.start(listener, &options, &app.server_metrics)
    });
    servers.collect()
}

/// Finds the database and sees that its schema is the one this program works with.
async fn prepare(settings: &Settings, database: &Database, migrate: bool) -> anyhow::Result<()> {
    let (app_env, settings) = (settings.app_env, &settings.database);
    if migrate {
        migrations::require_direct(settings)?;
    }
    let grants = grants::of(settings);
    let started = Instant::now();
    let mut service = find(settings, &settings.target, started).await?;
    if app_env == AppEnv::Production {
        let within = settings.attempt_after(started.elapsed());
        warn_of_privileges(&grants, &service, within).await;
    }
    // When migrations go another way.
    let mut other = match settings.separate_migration_target() {
        Some(target) => Some(find(settings, target, started).await?),
        None => None,
    };
    let migrating = other.as_mut().unwrap_or(&mut service);
    if migrate {
        for migration in MIGRATIONS.up(migrating, &grants).await.map_err(advise)? {
            tracing::info!(migration, "migration_applied");
        }
    }
    let migrated = schema(migrating, settings.attempt_after(started.elapsed())).await?;
    if !migrated.pending.is_empty() {
        return Err(advise(MigrationError::Pending(migrated.pending)));
    }
    for migration in migrated.newer {
        tracing::warn!(migration, "migration_is_newer_than_this_program");
    }
    if other.is_some() {
        let seen = schema(&service, settings.attempt_after(started.elapsed())).await?;
        if !seen.pending.is_empty() {
            return Err(migrations::elsewhere(settings));
        }
    }
    // The connections above are plain ones; those of the service also state its time limits.
    match database.ping().await {
        Err(error) => super::check_pooler(&error),
        Ok(_) => Ok(()),
    }
}

async fn schema(client: &Client, within: Duration) -> anyhow::Result<Status> {
    let status = tokio::time::timeout(within, MIGRATIONS.status(client)).await;
    status
        .context("the database stopped answering")?
        .map_err(advise)
}

/// Says when the service's role could do more damage than its job needs. It serves all the same, also when the database
/// does not tell in time: what cannot go on without an answer asks again.
async fn warn_of_privileges(grants: &Grants<'_>, client: &Client, within: Duration) {
    let Ok(Ok(excess)) = tokio::time::timeout(within, grants.excess(client)).await else {
        return;
    };
    if !excess.reasons.is_empty() {
        tracing::warn!(
            role = excess.role,
            reason = excess.reasons.join(", "),
            "database_role_is_privileged"
        );
    }
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
        match chassis_postgres::connect(target, within).await {
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

/// The options of the listeners, with as many connections as files may be open, and the proxies that the requests are
/// believed by.
fn server_options(settings: &Settings) -> ServerOptions {
    let mut options = settings.server.clone();
    options
        .trusted_proxies
        .clone_from(&settings.http.trusted_proxies);
    // A connection may hold the bodies of a few requests, however long they may be.
    let bodies = settings.http.max_body_bytes.saturating_mul(4);
    let bodies = usize::try_from(bodies).unwrap_or(usize::MAX);
    options.max_http2_body_bytes = options.max_http2_body_bytes.max(bodies);
    match Files::raise_limit(settings) {
        Ok(files) => {
            options.max_connections = files.max_connections;
            if files.max_connections < settings.server.max_connections {
                tracing::warn!(
                    limit = files.limit,
                    wanted = files.wanted,
                    max_connections = files.max_connections,
                    "file_limit_is_low"
                );
            }
        }
        Err(error) => tracing::warn!(%error, "file_limit_unknown"),
    }
    options
}
