//! One throw-away PostgreSQL for the whole run, and a database of its own for each test.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};
use warp_skeleton::{
    database::{grants::Grants, migrations},
    grants,
};

/// The role that the service has in a cluster of ours. The one of the tests themselves is a superuser.
pub const SERVICE: &str = "warp_skeleton";

/// The role that owns the databases and tables of a cluster of ours.
pub const OWNER: &str = "warp_skeleton_owner";

/// Where the databases of this run are.
struct Cluster {
    url: String,
    /// Lives as long as the pipe to its standard input does, which is as long as this process. `None` for a server of
    /// another's, which has one role for everything.
    server: Option<Child>,
}

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The address of a new database with the whole schema in it.
pub async fn new_database() -> String {
    let cluster = CLUSTER.get_or_init(start).await;
    clone_of(cluster, &template_name(cluster)).await
}

/// The address of a new database with nothing in it.
pub async fn empty_database() -> String {
    let cluster = CLUSTER.get_or_init(start).await;
    clone_of(cluster, "template0").await
}

/// The same database, as the role that the service has. A prepared server has one role for everything.
pub fn as_service(url: &str) -> String {
    let cluster = CLUSTER.get().expect("the address is one of this cluster's");
    cluster.address_as(url, SERVICE)
}

impl Cluster {
    fn has_two_roles(&self) -> bool {
        self.server.is_some()
    }

    fn address_as(&self, url: &str, role: &str) -> String {
        if self.has_two_roles() {
            return url.replacen("://postgres@", &format!("://{role}@"), 1);
        }
        url.to_owned()
    }

    /// What a new database is created with.
    fn owned(&self) -> String {
        if self.has_two_roles() {
            return format!("OWNER {OWNER}");
        }
        String::new()
    }
}

/// `TEST_DATABASE_URL` when somebody prepared a server, else one that this process starts.
async fn start() -> Cluster {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests have settings of their own"
    )]
    let prepared = std::env::var("TEST_DATABASE_URL").ok();
    let cluster = match prepared {
        Some(url) => Cluster { url, server: None },
        None => start_server(),
    };
    if cluster.has_two_roles() {
        let admin = connect(&cluster.url).await;
        let roles = format!("CREATE ROLE {OWNER} LOGIN; CREATE ROLE {SERVICE} LOGIN");
        admin.batch_execute(&roles).await.unwrap();
    }
    make_template(&cluster).await;
    cluster
}

fn start_server() -> Cluster {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
    let mut server = Command::new(script)
        .arg("throwaway")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("scripts/postgres can be run");
    let output = server.stdout.as_mut().expect("its output is piped");
    let mut url = String::new();
    BufReader::new(output)
        .read_line(&mut url)
        .expect("it writes text");
    assert!(
        !url.trim().is_empty(),
        "no PostgreSQL could be started; see what scripts/postgres wrote above"
    );
    Cluster {
        url: url.trim().to_owned(),
        server: Some(server),
    }
}

/// Applies every migration once. Other processes may be doing the same on a prepared server.
async fn make_template(cluster: &Cluster) {
    let admin = connect(&cluster.url).await;
    let name = template_name(cluster);
    admin
        .batch_execute("SELECT pg_advisory_lock(4242)")
        .await
        .unwrap();
    let exists = admin
        .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
        .await
        .unwrap();
    if exists.is_none() {
        let building = format!("{name}_building");
        admin
            .batch_execute(&format!("DROP DATABASE IF EXISTS {building}"))
            .await
            .unwrap();
        admin
            .batch_execute(&format!("CREATE DATABASE {building} {}", cluster.owned()))
            .await
            .unwrap();
        let url = address_of(&cluster.url, &building);
        let mut client = connect(&cluster.address_as(&url, OWNER)).await;
        let role = cluster.has_two_roles().then_some(SERVICE);
        let grants = Grants::new(role, grants::TABLES);
        migrations::up(&mut client, &grants).await.unwrap();
        drop(client);
        // The driver closes behind our back; a database in use cannot be renamed.
        let rename = format!("ALTER DATABASE {building} RENAME TO {name}");
        while admin.batch_execute(&rename).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    admin
        .batch_execute("SELECT pg_advisory_unlock(4242)")
        .await
        .unwrap();
}

/// Named after the migrations in it, so that a prepared server never serves an old schema.
fn template_name(_: &Cluster) -> String {
    let steps = migrations::steps().unwrap();
    let checksum = steps.iter().fold(0_u64, |sum, step| {
        sum.rotate_left(7) ^ step.migration.checksum()
    });
    format!("warp_skeleton_test_{checksum:016x}")
}

async fn clone_of(cluster: &Cluster, template: &str) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("warp_skeleton_test_{}_{number}", std::process::id());
    let admin = connect(&cluster.url).await;
    admin
        .batch_execute(&format!("DROP DATABASE IF EXISTS {name}"))
        .await
        .unwrap();
    admin
        .batch_execute(&format!(
            "CREATE DATABASE {name} TEMPLATE {template} {}",
            cluster.owned()
        ))
        .await
        .unwrap();
    address_of(&cluster.url, &name)
}

/// The same server, another database.
fn address_of(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a URL names a database");
    format!("{server}/{database}")
}

/// A connection of the test's own, to look at what the database holds.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the database answers");
    tokio::spawn(connection);
    client
}
