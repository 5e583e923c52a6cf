//! The service behind a real PgBouncer in transaction mode: the one on `PATH`, with prepared statements from 1.21 on.
//! Held against 1.18.0 and 1.26.1.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::json;
use tokio_postgres::{Client, Config, config::Host};

use super::{
    cluster,
    support::{Folder, Reply, Service, ask, complaint, eventually, printed, run},
};

/// A pooler before the tests' server, and what a service needs to go through it.
struct Bouncer {
    child: Child,
    /// Of its settings, which it reads again when it is told to.
    _folder: Folder,
    keeps_prepared: bool,
    /// Past it.
    direct: String,
    /// Through it, as the role of the service.
    url: String,
}

/// Sessions of the server that all clients share.
const SESSIONS: usize = 2;

/// The version of the PgBouncer that is there, as (major, minor).
fn version() -> Option<(u32, u32)> {
    let output = Command::new("pgbouncer").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

impl Bouncer {
    /// Before a new database. `None`, and a word about it, without PgBouncer.
    fn start(direct: String) -> Option<Self> {
        let Some(version) = version() else {
            println!("SKIPPED: there is no pgbouncer on PATH");
            return None;
        };
        let keeps_prepared = version >= (1, 21);
        let url = cluster::as_service(&direct);
        let (server, client): (Config, Config) = (direct.parse().unwrap(), url.parse().unwrap());
        let folder = Folder::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let users = folder.join("users.txt");
        let known = [&server, &client].map(|config| {
            let password = config.get_password().unwrap_or_default();
            format!(
                "\"{}\" \"{}\"\n",
                config.get_user().unwrap(),
                String::from_utf8_lossy(password)
            )
        });
        fs::write(&users, known.concat()).unwrap();
        let settings = settings(&server, &users, port, keeps_prepared);
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        // As root it becomes somebody else, who reads both files.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let child = Command::new("pgbouncer")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (user, name) = (client.get_user().unwrap(), server.get_dbname().unwrap());
        let bouncer = Self {
            child,
            keeps_prepared,
            url: format!("postgres://{user}@127.0.0.1:{port}/{name}"),
            direct,
            _folder: folder,
        };
        eventually("PgBouncer", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Some(bouncer)
    }

    fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let prepared = if self.keeps_prepared { "on" } else { "off" };
        let mut settings = vec![
            ("DB_POOLER", "transaction"),
            ("DB_PREPARED_STATEMENTS", prepared),
            ("MIGRATE_DATABASE_URL", self.direct.as_str()),
        ];
        settings.extend(more);
        settings
    }

    /// A client that has nothing to do with the service, and gets the same sessions.
    async fn stranger(&self) -> Client {
        cluster::connect(&self.url).await
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(server: &Config, users: &std::path::Path, port: u16, keeps_prepared: bool) -> String {
    let host = match &server.get_hosts()[0] {
        Host::Tcp(host) => host.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    };
    let server_port = server.get_ports().first().copied().unwrap_or(5432);
    let mut text = format!(
        "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
         pool_mode = transaction\ndefault_pool_size = {SESSIONS}\nmax_client_conn = 500\n",
        users.display()
    );
    if keeps_prepared {
        text += "max_prepared_statements = 100\n";
    }
    // It refuses to run as root, and ignores this otherwise.
    if is_root() {
        text += "user = nobody\n";
    }
    text
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

/// An account that has signed in.
struct Member {
    email: String,
    access: String,
    refresh: String,
}

fn join(service: &Service, number: usize) -> Member {
    let email = format!("pooled-{number}@marked.example");
    let account = json!({"email": email, "password": "marked-password-1"});
    assert_status(&service.post("/auth/register", None, &account), 201);
    let tokens = service.post("/auth/token", None, &account);
    assert_status(&tokens, 200);
    let text = |name: &str| tokens.json()[name].as_str().unwrap().to_owned();
    Member {
        access: text("access_token"),
        refresh: text("refresh_token"),
        email,
    }
}

#[track_caller]
fn assert_status(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.body);
}

/// Everything that the service does with its database, by several clients at once.
fn use_it(service: &Service) {
    thread::scope(|scope| {
        for number in 0..6 {
            scope.spawn(move || {
                let member = join(service, number);
                for _ in 0..40 {
                    let me = service.me(&member.access);
                    assert_status(&me, 200);
                    assert_eq!(me.json()["email"], member.email.as_str());
                }
                let body = json!({"refresh_token": member.refresh});
                assert_status(&service.post("/auth/refresh", None, &body), 200);
                let bearer = format!("Bearer {}", member.access);
                let headers = [("Authorization", bearer.as_str())];
                assert_status(
                    &ask(service.port(), "GET", "/auth/sessions", &headers, ""),
                    200,
                );
                let again = json!({"email": member.email, "password": "marked-password-1"});
                assert_status(&service.post("/auth/register", None, &again), 409);
                let logout = service.post("/auth/logout", Some(&member.access), &json!({}));
                assert_status(&logout, 204);
                assert_status(&service.me(&member.access), 401);
            });
        }
    });
    assert_status(&service.get("/health"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_pooler_everything_works_and_no_session_keeps_anything_of_the_service() {
    let Some(bouncer) = Bouncer::start(cluster::empty_database().await) else {
        return;
    };
    let limits = [("RATE_LIMIT", "on"), ("RATE_LIMIT_AUTH_BURST", "1000")];
    let service = Service::spawn(&bouncer.url, &bouncer.settings(&limits), &["--migrate"]);
    service.await_line("ready");

    use_it(&service);

    // As many strangers at once as there are sessions, so that each is looked at.
    let mut seen = Vec::new();
    let mut strangers = Vec::new();
    for _ in 0..SESSIONS {
        let stranger = bouncer.stranger().await;
        stranger.batch_execute("BEGIN").await.unwrap();
        let own = "SELECT pg_backend_pid(), current_setting('statement_timeout'),
            current_setting('idle_in_transaction_session_timeout'), current_setting('lock_timeout'),
            current_setting('default_transaction_read_only'),
            (SELECT count(*) FROM pg_settings WHERE source = 'session'
                AND name NOT IN ('client_encoding', 'application_name')),
            (SELECT count(*) FROM pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER\\_%')";
        let row = stranger.query_typed(own, &[]).await.unwrap().remove(0);
        seen.push(row.get::<_, i32>(0));
        let settings: Vec<String> = (1..5).map(|index| row.get(index)).collect();
        assert_eq!(settings, ["0", "0", "0", "off"]);
        assert_eq!((row.get::<_, i64>(5), row.get::<_, i64>(6)), (0, 0));
        strangers.push(stranger);
    }
    seen.dedup();
    assert_eq!(seen.len(), SESSIONS, "each stranger has another session");
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let direct = cluster::connect(&bouncer.direct).await;
    let locks: i64 = direct.query_one(locks, &[]).await.unwrap().get(0);
    assert_eq!(locks, 0);
    let errors = service
        .lines()
        .into_iter()
        .filter(|line| line["level"] == "ERROR");
    assert_eq!(errors.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_changes_what_statements_return_is_not_noticed_by_clients() {
    let Some(bouncer) = Bouncer::start(cluster::new_database().await) else {
        return;
    };
    let service = Service::start(&bouncer.url, &bouncer.settings(&[]));
    let member = join(&service, 1);
    for _ in 0..20 {
        assert_status(&service.me(&member.access), 200);
    }

    let direct = cluster::connect(&bouncer.direct).await;
    let migration = "ALTER TABLE users ALTER COLUMN role TYPE varchar(300)";
    direct.batch_execute(migration).await.unwrap();

    for _ in 0..20 {
        assert_status(&service.me(&member.access), 200);
    }
    // A write finds out in the middle of its transaction, once at most for each of its statements.
    let account = json!({"email": member.email, "password": "marked-password-1"});
    eventually("a sign-in", || {
        let reply = service.post("/auth/token", None, &account);
        assert!([200, 503].contains(&reply.status), "{}", reply.body);
        (reply.status == 200).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_itself_ends_what_waits_too_long() {
    let Some(bouncer) = Bouncer::start(cluster::new_database().await) else {
        return;
    };
    let impatient = [("DB_STATEMENT_TIMEOUT_MS", "300")];
    let service = Service::start(&bouncer.url, &bouncer.settings(&impatient));
    let mut operator = cluster::connect(&bouncer.direct).await;
    let lock = operator.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE users IN EXCLUSIVE MODE")
        .await
        .unwrap();

    let account = json!({"email": "waits@marked.example", "password": "marked-password-1"});
    let refused = service.post("/auth/register", None, &account);

    assert_status(&refused, 503);
    assert_eq!(refused.header("retry-after"), "1");
    let failed = service.await_line("request_failed");
    assert!(
        failed["error"].as_str().unwrap().contains("took too long"),
        "{failed}"
    );
    // While the lock is held nothing waits for it any more, so the session serves others.
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting: i64 = lock.query_one(waiting, &[]).await.unwrap().get(0);
    assert_eq!(waiting, 0);
    lock.rollback().await.unwrap();
    assert_status(&service.post("/auth/register", None, &account), 201);
}

#[tokio::test]
async fn without_the_setting_the_start_says_what_to_set() {
    let Some(bouncer) = Bouncer::start(cluster::new_database().await) else {
        return;
    };
    let none = [("MIGRATE_DATABASE_URL", bouncer.direct.as_str())];

    let mut service = Service::spawn(&bouncer.url, &none, &[]);

    assert_eq!(service.ended().code(), Some(1));
    let line = service.failure();
    assert!(line.contains("set DB_POOLER=transaction"), "{line}");
    let doctor = run(&bouncer.url, &none, &["doctor"], "");
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.contains("FAIL pooler: "), "{doctor}");
}

#[tokio::test]
async fn migrations_want_a_way_past_the_pooler() {
    let url = cluster::empty_database().await;
    let pooled = [("DB_POOLER", "transaction")];

    let refused = complaint(&run(&url, &pooled, &["migrate", "up"], ""));
    let mut service = Service::spawn(&url, &pooled, &["--migrate"]);

    assert_eq!(service.ended().code(), Some(1));
    for text in [refused, service.failure()] {
        assert!(text.contains("MIGRATE_DATABASE_URL says where"), "{text}");
    }
    let pending = printed(&run(&url, &pooled, &["migrate", "status"], ""));
    assert!(pending.starts_with("pending"), "{pending}");
}

#[tokio::test]
async fn doctor_tells_whether_the_role_s_own_settings_hold() {
    let direct = cluster::new_database().await;
    let operator = cluster::connect(&direct).await;
    let (_, name) = direct.rsplit_once('/').unwrap();
    let mut told = Vec::new();
    for setting in [
        "RESET ALL",
        "SET statement_timeout = '5s'",
        "SET default_transaction_read_only = on",
    ] {
        let alter = format!("ALTER DATABASE {name} {setting}");
        operator.batch_execute(&alter).await.unwrap();
        // A new one each time: it tells its clients what its first session began with.
        let Some(bouncer) = Bouncer::start(direct.clone()) else {
            return;
        };
        let output = run(&bouncer.url, &bouncer.settings(&[]), &["doctor"], "");
        told.push(String::from_utf8(output.stdout).unwrap());
    }

    let [without, with, read_only] = told.try_into().unwrap();
    assert!(without.contains("note pooler: "), "{without}");
    assert!(without.contains("has no statement_timeout"), "{without}");
    assert!(with.contains("ok   pooler: "), "{with}");
    assert!(with.contains("statement_timeout = 5s"), "{with}");
    assert!(read_only.contains("FAIL writes: "), "{read_only}");
}
