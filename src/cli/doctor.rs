//! `doctor`: would the service run here?

use std::{process::ExitCode, thread, time::Duration};

use chassis_postgres::{
    ConnectionTarget, Database, DatabaseMetrics, DatabaseSettings, MigrationError, Migrations,
    Pooler,
};
use chassis_server::ListenAddress;
use chassis_telemetry::Tracing;
use http::StatusCode;
use tokio::net::TcpStream;
use tokio_postgres::Client;

use super::{files::Files, healthcheck, listen::bind};
use crate::{
    app::templates,
    features::mail::{self, Mail},
    grants,
    migrations::{self, MIGRATIONS, advise},
    settings::Settings,
    shared::clock::Clock,
};

/// How far the database's clock may be from ours before it is worth a word.
const CLOCK_TOLERANCE: time::Duration = time::Duration::seconds(5);

/// What a check found.
enum Finding {
    /// Good.
    Fine(String),
    /// The service would run, but the operator should know.
    Note(String),
    /// The service would not run.
    Fault(String),
}

use Finding::{Fault, Fine, Note};

pub(super) async fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut findings = vec![
        ("settings", Fine("every value can be used".to_owned())),
        ("secret", secret(settings)),
    ];
    findings.extend(databases(settings).await);
    findings.push(("hashing", hashing(settings)));
    findings.push(("files", files(settings)));
    findings.push(("limits", limits(settings)));
    findings.push(("traces", traces(settings).await));
    findings.push(("mail", mail(settings).await));
    // recovery: begin
    findings.push(("recovery", recovery(settings)));
    // recovery: end
    let tracing = Tracing::new(&settings.telemetry);
    let public = listener(&tracing, &settings.server.listen, "/live");
    findings.push(("listener", public.await));
    if let Some(admin) = &settings.service.admin {
        findings.push(("ADMIN_PORT", listener(&tracing, admin, "/metrics").await));
    }
    let mut code = ExitCode::SUCCESS;
    for (subject, finding) in findings {
        let (mark, text) = match finding {
            Fine(text) => ("ok  ", text),
            Note(text) => ("note", text),
            Fault(text) => {
                code = ExitCode::FAILURE;
                ("FAIL", text)
            }
        };
        say!("{mark} {subject}: {text}");
    }
    Ok(code)
}

fn secret(settings: &Settings) -> Finding {
    match settings.auth.check_secret(settings.app_env) {
        Ok(()) => Fine("JWT_SECRET_KEY is long enough and no example".to_owned()),
        Err(error) => Fault(error.to_string()),
    }
}

/// What can be told of the database. Every check has its line, also where a database cannot be reached: a line that is
/// missing would look like a check that passed.
async fn databases(settings: &Settings) -> Vec<(&'static str, Finding)> {
    let database = &settings.database;
    let service = super::reach(database, &database.target).await;
    let mut findings = vec![("database", reached(&service, &database.target))];
    let separate = match database.separate_migration_target() {
        Some(target) => {
            let client = super::reach(database, target).await;
            findings.push(("database for migrations", reached(&client, target)));
            Some(client)
        }
        None => None,
    };
    let (service, migrating) = (
        service.as_ref().ok(),
        separate.as_ref().unwrap_or(&service).as_ref().ok(),
    );
    let role = service.map(|client| role(settings, client));
    let pooler = service.map(|client| pooler(settings, client));
    findings.extend([
        ("encoding", or_unchecked(service.map(encoding)).await),
        ("writes", or_unchecked(service.map(writable)).await),
        ("role", or_unchecked(role).await),
        ("pooler", or_unchecked(pooler).await),
    ]);
    if separate.is_some() {
        let seen = service.map(|client| seen(settings, client));
        findings.push(("schema of the service", or_unchecked(seen).await));
    }
    findings.push(("schema", or_unchecked(migrating.map(schema)).await));
    findings.push(("clock", or_unchecked(migrating.map(clock)).await));
    findings
}

fn reached(client: &anyhow::Result<Client>, target: &ConnectionTarget) -> Finding {
    match client {
        Ok(_) => {
            let role = target.role().unwrap_or("the system's user");
            Fine(format!("{} answers {role}", target.describe()))
        }
        Err(error) => Fault(format!("{error:#}")),
    }
}

/// What a check found, or that there was no connection for it.
async fn or_unchecked(check: Option<impl Future<Output = Finding>>) -> Finding {
    match check {
        Some(check) => check.await,
        None => Fault("not checked, because its database cannot be reached".to_owned()),
    }
}

/// The service's role reads and writes rows; one that can do more is worth a word, whatever the environment.
async fn role(settings: &Settings, client: &Client) -> Finding {
    match grants::of(&settings.database).excess(client).await {
        Err(_) => Note("the database does not tell what the role may do".to_owned()),
        Ok(excess) if excess.reasons.is_empty() => {
            Fine(format!("{} has data access only", excess.role))
        }
        Ok(excess) => Note(format!(
            "{} {}; docs/how-to/use-two-database-roles.md gives the service a lesser one",
            excess.role,
            excess.reasons.join(" and ")
        )),
    }
}

async fn encoding(client: &Client) -> Finding {
    match Migrations::check_encoding(client).await {
        Ok(()) => Fine("the database stores text as UTF-8".to_owned()),
        Err(error) => Fault(error.to_string()),
    }
}

/// What a session of the service's role gets from the server, which alone bounds reads behind a pooler.
const ROLE_SETTINGS: &str = "
SELECT
    current_user::text AS role,
    current_setting('statement_timeout') AS statement_timeout";

/// Whether a session of the service can write at all.
const WRITABLE: &str = "
SELECT
    current_user::text AS role,
    current_setting('default_transaction_read_only') = 'on' AS is_read_only,
    pg_is_in_recovery() AS is_standby";

/// A replica, or a role that was made to read only, answers everything but what writes.
async fn writable(client: &Client) -> Finding {
    let row = client.query_typed(WRITABLE, &[]).await;
    let Some(row) = row.as_ref().ok().and_then(|rows| rows.first()) else {
        return Note("the database does not tell whether it can be written".to_owned());
    };
    let is = |name: &str| row.try_get(name).unwrap_or(false);
    if is("is_standby") {
        return Fault("this server is a standby, and the service writes".to_owned());
    }
    if is("is_read_only") {
        let role: String = row.try_get("role").unwrap_or_default();
        return Fault(format!(
            "{role} has default_transaction_read_only = on, and the service writes"
        ));
    }
    Fine("the database can be written".to_owned())
}

/// Whether a pooler is told about, and whether the role's own settings hold where no session can have any.
async fn pooler(settings: &Settings, client: &Client) -> Finding {
    let settings = &settings.database;
    if settings.pooler == Pooler::None {
        return match sessions(settings).await {
            Ok(()) => Fine("none (DB_POOLER); sessions state their time limits".to_owned()),
            Err(error) => Fault(error.to_string()),
        };
    }
    if settings.migrates_through_pooler() {
        return Note(
            "DB_POOLER=transaction, and MIGRATE_DATABASE_URL is unset: `migrate` and `serve --migrate` need a connection \
             past the pooler"
                .to_owned(),
        );
    }
    let row = client.query_typed(ROLE_SETTINGS, &[]).await;
    let text = |name: &str| -> Option<String> { row.as_ref().ok()?.first()?.try_get(name).ok() };
    let (Some(role), Some(limit)) = (text("role"), text("statement_timeout")) else {
        return Note("the database does not tell the role's settings".to_owned());
    };
    if limit == "0" {
        return Note(format!(
            "{role} has no statement_timeout, so the server does not end a read that the service gave up: \
             ALTER ROLE {role} SET statement_timeout = '{}ms'",
            settings.statement_timeout.as_millis()
        ));
    }
    Fine(format!(
        "transactions bring their time limits, and {role} has statement_timeout = {limit}"
    ))
}

/// Opens a session as the service does, with its time limits.
async fn sessions(settings: &DatabaseSettings) -> anyhow::Result<()> {
    let metrics = DatabaseMetrics::new(&prometheus::Registry::new());
    let database = Database::new(&settings.options(), metrics)?;
    match database.ping().await {
        Err(error) => {
            super::check_pooler(&error)?;
            anyhow::bail!(
                "a session with the service's time limits cannot be opened: {}",
                chassis_telemetry::chain(&error)
            )
        }
        Ok(_) => Ok(()),
    }
}

async fn schema(client: &Client) -> Finding {
    match MIGRATIONS.status(client).await {
        Err(error) => Fault(advise(error).to_string()),
        Ok(status) if !status.pending.is_empty() => {
            Fault(advise(MigrationError::Pending(status.pending)).to_string())
        }
        Ok(status) if !status.newer.is_empty() => Note(format!(
            "newer than this program: {}",
            status.newer.join(", ")
        )),
        Ok(status) => Fine(format!(
            "{} migrations applied, none pending",
            status.applied.len()
        )),
    }
}

/// Whether the service sees what goes another way to be migrated.
async fn seen(settings: &Settings, client: &Client) -> Finding {
    match MIGRATIONS.status(client).await {
        Err(error) => Fault(advise(error).to_string()),
        Ok(status) if !status.pending.is_empty() => {
            Fault(migrations::elsewhere(&settings.database).to_string())
        }
        Ok(_) => Fine("it sees every migration".to_owned()),
    }
}

async fn clock(client: &Client) -> Finding {
    // Not prepared: the connection may lead through a pooler.
    let rows = client.query_typed("SELECT clock_timestamp() AS now", &[]);
    let rows = rows.await.unwrap_or_default();
    let theirs = rows.first().and_then(|row| row.try_get("now").ok());
    let Some(theirs): Option<time::OffsetDateTime> = theirs else {
        return Note("the database does not tell its time".to_owned());
    };
    let apart = (theirs - Clock::system().now()).abs();
    if apart > CLOCK_TOLERANCE {
        let seconds = apart.whole_seconds();
        return Note(format!(
            "the database's clock is {seconds} s off; this one counts"
        ));
    }
    Fine("the database's clock agrees".to_owned())
}

/// All hashes at once have to fit into memory.
fn hashing(settings: &Settings) -> Finding {
    let passwords = &settings.passwords;
    let slots = u64::try_from(passwords.concurrency).unwrap_or(u64::MAX);
    let mebibytes = passwords.cost.memory() * slots / 1024 / 1024;
    let text = format!("{slots} at once need {mebibytes} MiB");
    match memory_limit() {
        Some(limit) if limit / 1024 / 1024 < mebibytes + 64 => Fault(format!(
            "{text}, and there are {} MiB; lower PASSWORD_HASH_CONCURRENCY",
            limit / 1024 / 1024
        )),
        _ => Fine(text),
    }
}

/// What this process may use at most: the control group's limit, or else what the machine has free.
fn memory_limit() -> Option<u64> {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse().ok());
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find(|line| line.starts_with("MemAvailable:"))?;
            let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
            Some(kibibytes * 1024)
        });
    [group, machine].into_iter().flatten().min()
}

fn files(settings: &Settings) -> Finding {
    let configured = settings.server.max_connections;
    match Files::raise_limit(settings) {
        Ok(files) if files.max_connections < configured => Note(format!(
            "at most {} files may be open, so MAX_CONNECTIONS is lowered from {configured} to {}; {} files are needed",
            files.limit, files.max_connections, files.wanted
        )),
        Ok(files) => Fine(format!("{} files may be open", files.limit)),
        Err(error) => Note(format!("the limit of open files is unknown: {error}")),
    }
}

/// Whether there is an address to count requests by.
fn limits(settings: &Settings) -> Finding {
    if settings.is_without_sources() {
        return Note(
            "requests over LISTEN_SOCKET have no address, so no limit per source applies; set TRUSTED_PROXIES, to any \
             network, and X-Forwarded-For of the proxy in front is believed"
                .to_owned(),
        );
    }
    match &settings.limits.quotas {
        Some(_) => Fine(
            "requests are limited per source, attempts with passwords per account, too".to_owned(),
        ),
        None => Note("off (RATE_LIMIT)".to_owned()),
    }
}

async fn traces(settings: &Settings) -> Finding {
    let Some(endpoint) = settings.telemetry.otlp.as_ref().map(|otlp| &otlp.endpoint) else {
        return Fine("not exported (OTLP_ENDPOINT is unset)".to_owned());
    };
    let uri: Option<http::Uri> = endpoint.parse().ok();
    let Some((host, port)) = uri.as_ref().and_then(|uri| {
        let default = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        // An IPv6 address stands in brackets there, and would be looked up as a name with them.
        let host = uri.host()?.trim_matches(['[', ']']);
        Some((host, uri.port_u16().unwrap_or(default)))
    }) else {
        return Note(format!("{endpoint} has no host"));
    };
    let connected = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect((host, port)));
    match connected.await {
        Ok(Ok(_)) => Fine(format!("{endpoint} takes connections")),
        Ok(Err(error)) => Note(format!(
            "{endpoint}: {error}; spans will be lost, requests will not"
        )),
        Err(_) => Note(format!(
            "{endpoint} does not answer; spans will be lost, requests will not"
        )),
    }
}

// mail: begin
/// Whether the SMTP server takes connections, TLS and the password. Nothing is sent.
async fn mail(settings: &Settings) -> Finding {
    let made = Mail::new(mail::Parts {
        settings: &settings.mail,
        templates: &templates(),
        registry: &prometheus::Registry::new(),
        clock: Clock::system(),
    });
    let mail = match made {
        Ok(mail) => mail,
        Err(error) => return Fault(format!("{error:#}")),
    };
    match (mail.check().await, mail.folder()) {
        (Some((server, Ok(()))), _) => Fine(format!("{server} takes mail from this service")),
        (Some((server, Err(error))), _) => Note(format!(
            "{server}: {}; until it works, messages wait as long as their jobs are tried",
            chassis_telemetry::chain(&error)
        )),
        (None, Some(folder)) => Fine(format!(
            "messages are files in {} (MAIL_URL is unset)",
            folder.display()
        )),
        (None, None) => Note("off (MAIL_URL is unset)".to_owned()),
    }
}
// mail: end

// recovery: begin
/// Where links in mails lead, when any are sent.
fn recovery(settings: &Settings) -> Finding {
    match settings.check_recovery() {
        Err(error) => Fault(error.to_string()),
        Ok(()) if settings.mail.is_on() => Fine(format!(
            "links in mails lead to {}, or where MAIL_LINK_* say",
            settings.origin()
        )),
        Ok(()) => Note(format!(
            "off without mail: {}",
            crate::features::recovery::TAKES_MAIL
        )),
    }
}
// recovery: end

/// The address has to be free, or held by this service already, which then answers this path.
async fn listener(tracing: &Tracing, address: &ListenAddress, path: &str) -> Finding {
    let free = bind(address).await;
    let url = healthcheck::url(address);
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let Err(error) = free else {
        return Fine(format!("{url} is free; {cores} cores will serve it"));
    };
    match healthcheck::ask(tracing, address, path).await {
        Ok(answer) if answer.is_ours && answer.status == StatusCode::OK => Fine(format!(
            "{url} is served by a running {}",
            env!("CARGO_PKG_NAME")
        )),
        _ => Fault(error.to_string()),
    }
}
