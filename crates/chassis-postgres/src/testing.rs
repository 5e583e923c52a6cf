//! Databases for tests: one throw-away server a process, and an own database for each test.
//!
//! The first test of a process starts the server, or uses the one that `TEST_DATABASE_URL` names, and makes a *template*:
//! a database with every migration applied. Each test then gets a clone of the template, which PostgreSQL copies file by
//! file in a few milliseconds, so tests share nothing and run at once.
//!
//! On a server that outlives the process, the template's name holds a checksum of the migrations: an old schema is never
//! served, and several test processes can use one server. They make the template under an advisory lock, under another
//! name first, so that no half-built template is ever cloned.
//!
//! A database is dropped once the thread that asked for it has ended, which for a test is when the test has: hundreds of them
//! side by side would fill the disk of a small machine. The next test that asks for one does it.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader},
    mem,
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls, error::SqlState};

use crate::{Grants, Migrations, TableGrant};

/// Makes databases with a schema. Keep it in a `static`: its server lives as long as it does.
#[derive(Debug)]
pub struct TestDatabases {
    script: &'static str,
    prefix: &'static str,
    migrations: &'static Migrations,
    roles: Option<Roles>,
    cluster: OnceCell<Cluster>,
    next: AtomicU32,
}

#[derive(Debug, Clone, Copy)]
struct Roles {
    owner: &'static str,
    service: &'static str,
    tables: &'static [TableGrant],
}

#[derive(Debug)]
struct Cluster {
    /// Where the databases are.
    url: String,
    /// Ends when the pipe to its standard input closes, which is when this process ends.
    server: Option<Child>,
}

/// The URLs of databases whose tests have ended.
static FINISHED: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    /// The URLs of the databases that this thread has asked for.
    static IN_USE: RefCell<InUse> = const { RefCell::new(InUse(Vec::new())) };
}

struct InUse(Vec<String>);

impl Drop for InUse {
    fn drop(&mut self) {
        let mut finished = FINISHED.lock().unwrap_or_else(PoisonError::into_inner);
        finished.append(&mut self.0);
    }
}

impl TestDatabases {
    /// Databases with this schema.
    ///
    /// `script` is the path of a program that, called with the argument `throwaway`, starts PostgreSQL, prints its URL as
    /// one line, and removes everything when its standard input closes. It is not called when `TEST_DATABASE_URL` is set.
    /// The names of the databases begin with `prefix`: lower case letters and underscores.
    #[must_use]
    pub const fn new(
        script: &'static str,
        prefix: &'static str,
        migrations: &'static Migrations,
    ) -> Self {
        Self {
            script,
            prefix,
            migrations,
            roles: None,
            cluster: OnceCell::const_new(),
            next: AtomicU32::new(0),
        }
    }

    /// Gives a server that this process starts two roles: `owner` owns the databases and migrates them, and `service`
    /// gets these privileges. Both names are made of lower case letters and underscores, and both roles have the
    /// password of the superuser in the URL that the script printed, if it has one.
    #[must_use]
    pub const fn with_roles(
        mut self,
        owner: &'static str,
        service: &'static str,
        tables: &'static [TableGrant],
    ) -> Self {
        self.roles = Some(Roles {
            owner,
            service,
            tables,
        });
        self
    }

    /// The URL of the same database for the role of the service; on a server with one role, the URL itself.
    ///
    /// # Panics
    ///
    /// When no database was made yet.
    #[must_use]
    pub fn as_service(&self, url: &str) -> String {
        let cluster = self.cluster.get().expect("the URL is one of this server's");
        let roles = self.roles(cluster);
        roles.map_or_else(|| url.to_owned(), |roles| address_as(url, roles.service))
    }

    /// The two roles of a server of ours.
    fn roles(&self, cluster: &Cluster) -> Option<Roles> {
        self.roles.filter(|_| cluster.server.is_some())
    }

    /// How a new database is created.
    fn owned(&self, cluster: &Cluster) -> String {
        let roles = self.roles(cluster);
        roles.map_or_else(String::new, |roles| format!("OWNER {}", roles.owner))
    }

    /// The URL of a new database with the whole schema.
    ///
    /// # Panics
    ///
    /// When no server can be started or a statement fails: a test that cannot go on should stop.
    pub async fn new_database(&self) -> String {
        let cluster = self.cluster().await;
        self.clone_of(cluster, &self.template_name()).await
    }

    /// The URL of a new, empty database.
    ///
    /// # Panics
    ///
    /// As [`TestDatabases::new_database`].
    pub async fn empty_database(&self) -> String {
        let cluster = self.cluster().await;
        self.clone_of(cluster, "template0").await
    }

    async fn cluster(&self) -> &Cluster {
        self.cluster.get_or_init(|| self.start()).await
    }

    async fn start(&self) -> Cluster {
        let cluster = match prepared_server() {
            Some(url) => Cluster { url, server: None },
            None => start_server(self.script),
        };
        if let Some(roles) = self.roles(&cluster) {
            let admin = connect(&cluster.url).await;
            for role in [roles.owner, roles.service] {
                let login = login_of(&cluster.url);
                run(&admin, &format!("CREATE ROLE {role} {login}")).await;
            }
        }
        self.make_template(&cluster).await;
        cluster
    }

    /// Applies every migration once. Other processes may be doing the same on a prepared server.
    async fn make_template(&self, cluster: &Cluster) {
        let admin = connect(&cluster.url).await;
        let name = self.template_name();
        run(&admin, "SELECT pg_advisory_lock(4242)").await;
        let exists = admin
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
            .await
            .expect("the catalogue can be read");
        if exists.is_none() {
            let building = format!("{name}_building");
            run(&admin, &format!("DROP DATABASE IF EXISTS {building}")).await;
            let owned = self.owned(cluster);
            run(&admin, &format!("CREATE DATABASE {building} {owned}")).await;
            let mut url = address_of(&cluster.url, &building);
            let mut grants = Grants::none();
            if let Some(roles) = self.roles(cluster) {
                url = address_as(&url, roles.owner);
                grants = Grants::new(Some(roles.service), roles.tables);
            }
            let mut client = connect(&url).await;
            let migrated = self.migrations.up(&mut client, &grants).await;
            migrated.expect("the migrations can be applied");
            drop(client);
            // The driver closes the connection in the background; a database in use cannot be renamed.
            let rename = format!("ALTER DATABASE {building} RENAME TO {name}");
            while admin.batch_execute(&rename).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
        run(&admin, "SELECT pg_advisory_unlock(4242)").await;
    }

    /// Named after the migrations in it, so that a prepared server never serves an old schema.
    fn template_name(&self) -> String {
        let steps = self.migrations.steps().expect("the migrations can be used");
        let checksum = steps.iter().fold(0_u64, |sum, step| {
            sum.rotate_left(7) ^ step.migration.checksum()
        });
        format!("{}_test_{checksum:016x}", self.prefix)
    }

    async fn clone_of(&self, cluster: &Cluster, template: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}_test_{}_{number}", self.prefix, std::process::id());
        let admin = connect(&cluster.url).await;
        drop_finished(&admin, &cluster.url).await;
        run(&admin, &format!("DROP DATABASE IF EXISTS {name}")).await;
        let owned = self.owned(cluster);
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} {owned}");
        run(&admin, &create).await;
        let url = address_of(&cluster.url, &name);
        IN_USE.with_borrow_mut(|in_use| in_use.0.push(url.clone()));
        url
    }
}

/// `TEST_DATABASE_URL`: a server that was prepared for tests.
fn prepared_server() -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is a setting of the tests, not of the service"
    )]
    std::env::var("TEST_DATABASE_URL").ok()
}

fn start_server(script: &str) -> Cluster {
    let mut server = Command::new(script)
        .arg("throwaway")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{script} cannot be run: {error}"));
    let output = server.stdout.as_mut().expect("its output is piped");
    let mut url = String::new();
    BufReader::new(output)
        .read_line(&mut url)
        .expect("it writes text");
    assert!(
        !url.trim().is_empty(),
        "no PostgreSQL could be started; see what {script} wrote above"
    );
    Cluster {
        url: url.trim().to_owned(),
        server: Some(server),
    }
}

/// Gives up a database before its test has ended, for a test that asks for many: the next one asked for drops it. Nobody may
/// use it any more.
pub fn discard(url: &str) {
    let mut finished = FINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    finished.push(url.to_owned());
}

/// Drops the databases of this server that no test needs any more.
async fn drop_finished(admin: &Client, server: &str) {
    let finished = mem::take(&mut *FINISHED.lock().unwrap_or_else(PoisonError::into_inner));
    for url in finished {
        let (_, name) = url.rsplit_once('/').expect("a URL names a database");
        if address_of(server, name) == url {
            // What a test left running ends with it. One that stays takes nothing but room.
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            let _ = admin.batch_execute(&drop).await;
        } else {
            discard(&url);
        }
    }
}

async fn run(client: &Client, sql: &str) {
    let outcome = client.batch_execute(sql).await;
    outcome.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The same server, another database.
fn address_of(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a URL names a database");
    format!("{server}/{database}")
}

/// The same database, for another role than the superuser's that has the same password.
#[must_use]
pub fn address_as(url: &str, role: &str) -> String {
    url.replacen("://postgres", &format!("://{role}"), 1)
}

/// How a role is created that [`address_as`] can name.
#[must_use]
pub fn login_of(url: &str) -> String {
    let (user, _) = url.split_once('@').unwrap_or_default();
    let password = user.trim_start_matches("postgres://").split_once(':');
    password.map_or_else(
        || "LOGIN".to_owned(),
        |(_, password)| format!("LOGIN PASSWORD '{password}'"),
    )
}

/// A connection of the test's own, to look at what a database holds.
///
/// A server that is starting, as after a crash, gets a minute for it: what made it crash is one test's fault and not that
/// of all that come after.
///
/// # Panics
///
/// When the database does not answer.
pub async fn connect(url: &str) -> Client {
    let begin = Instant::now();
    loop {
        match tokio_postgres::connect(url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return client;
            }
            Err(error)
                if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW)
                    && begin.elapsed() < Duration::from_mins(1) =>
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("the database does not answer: {error:?}"),
        }
    }
}
