//! Two roles: one that owns the tables and migrates, one that serves and has data access only.

use serde_json::json;

use super::{
    cluster::{self, OWNER, SERVICE},
    support::{Reply, Service, ask, printed, run},
};

/// A database by the addresses of its two roles. `None` on a server of another's, which has one role.
struct TwoRoles {
    /// As the tests, a superuser.
    admin: String,
    service: String,
    owner: String,
}

impl TwoRoles {
    fn of(admin: String) -> Option<Self> {
        let service = cluster::as_service(&admin);
        let owner = service.replacen(SERVICE, OWNER, 1);
        (service != admin).then_some(Self {
            admin,
            service,
            owner,
        })
    }

    fn settings(&self) -> [(&str, &str); 1] {
        [("MIGRATE_DATABASE_URL", &self.owner)]
    }

    fn run(&self, arguments: &[&str], input: &str) -> String {
        printed(&run(&self.service, &self.settings(), arguments, input))
    }

    /// What the service's role may do with this table.
    async fn privileges(&self, table: &str) -> String {
        let sql = "
SELECT coalesce(string_agg(privilege_type, ' ' ORDER BY privilege_type), '') AS privileges
FROM information_schema.role_table_grants
WHERE grantee = $1 AND table_name = $2";
        let database = cluster::connect(&self.admin).await;
        let row = database.query_one(sql, &[&SERVICE, &table]).await.unwrap();
        row.get("privileges")
    }
}

const EVERYTHING: &str = "DELETE INSERT SELECT UPDATE";

#[track_caller]
fn assert_status(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_data_access_only_the_service_does_all_it_is_for() {
    let Some(roles) = TwoRoles::of(cluster::empty_database().await) else {
        return;
    };
    let settings = roles.settings();
    let service = Service::spawn(&roles.service, &settings, &["--migrate"]);
    service.await_line("ready");
    let account = json!({"email": "ada@marked.example", "password": "marked-password-1"});
    let token_of = |reply: &Reply, name: &str| reply.json()[name].as_str().unwrap().to_owned();

    assert_status(&service.post("/auth/register", None, &account), 201);
    let signed_in = service.post("/auth/token", None, &account);
    assert_status(&signed_in, 200);
    let refresh = json!({"refresh_token": token_of(&signed_in, "refresh_token")});
    let refreshed = service.post("/auth/refresh", None, &refresh);
    assert_status(&refreshed, 200);
    let access = token_of(&refreshed, "access_token");
    assert_status(&service.me(&access), 200);
    let change =
        json!({"current_password": "marked-password-1", "new_password": "marked-password-2"});
    assert_status(&service.post("/auth/password", Some(&access), &change), 204);
    let create = [
        "user",
        "create",
        "--email",
        "root@marked.example",
        "--role",
        "OWNER",
    ];
    roles.run(&create, "marked-password-3\n");
    let root = json!({"email": "root@marked.example", "password": "marked-password-3"});
    let root = token_of(&service.post("/auth/token", None, &root), "access_token");
    let bearer = format!("Bearer {root}");
    let headers = [("Authorization", bearer.as_str())];
    let listed = ask(service.port(), "GET", "/users", &headers, "");
    assert_status(&listed, 200);
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 2);
    let id = service.me(&access).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let deleted = ask(
        service.port(),
        "DELETE",
        &format!("/users/{id}"),
        &headers,
        "",
    );
    assert_status(&deleted, 204);
    assert_status(&service.post("/auth/logout", Some(&root), &json!({})), 204);
    assert_status(&service.get("/health"), 200);
    assert_eq!(service.errors(), [""; 0]);
}

#[tokio::test]
async fn the_service_s_role_cannot_change_the_schema() {
    let Some(roles) = TwoRoles::of(cluster::new_database().await) else {
        return;
    };
    let database = cluster::connect(&roles.service).await;

    for statement in [
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE users ADD COLUMN mine int",
        "ALTER TABLE users DISABLE TRIGGER users_copy_password",
        "CREATE INDEX ON users (role)",
        "DROP TABLE sessions",
        "TRUNCATE rate_limits",
        "DELETE FROM refinery_schema_history",
        "CREATE ROLE mine",
    ] {
        let refused = database.batch_execute(statement).await.unwrap_err();

        let code = refused.code().map(tokio_postgres::error::SqlState::code);
        assert_eq!(code, Some("42501"), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn every_table_is_in_the_list_of_grants() {
    let Some(roles) = TwoRoles::of(cluster::new_database().await) else {
        return;
    };
    let database = cluster::connect(&roles.admin).await;
    let tables = "
SELECT tablename
FROM pg_tables
WHERE schemaname = 'public' AND tablename <> 'refinery_schema_history'";

    for row in database.query(tables, &[]).await.unwrap() {
        let table: &str = row.get("tablename");
        let privileges = roles.privileges(table).await;

        assert!(
            !privileges.is_empty(),
            "{table} is missing in src/grants.rs"
        );
    }
    assert_eq!(roles.privileges("refinery_schema_history").await, "SELECT");
}

#[tokio::test]
async fn a_database_with_one_role_is_moved_by_migrate_up() {
    let Some(roles) = TwoRoles::of(cluster::empty_database().await) else {
        return;
    };
    let admin = cluster::connect(&roles.admin).await;
    admin
        .batch_execute(&format!("GRANT CREATE ON SCHEMA public TO {SERVICE}"))
        .await
        .unwrap();
    printed(&run(&roles.service, &[], &["migrate", "up"], ""));
    let with_one = printed(&run(&roles.service, &[], &["doctor"], ""));

    let moved = format!(
        "REASSIGN OWNED BY {SERVICE} TO {OWNER};
         REVOKE CREATE ON SCHEMA public FROM {SERVICE};
         GRANT TRUNCATE ON users TO {SERVICE}"
    );
    admin.batch_execute(&moved).await.unwrap();
    let cut_off = run(&roles.service, &[], &["doctor"], "");
    let applied = roles.run(&["migrate", "up"], "");
    let with_two = roles.run(&["doctor"], "");

    assert!(
        with_one.contains(&format!("note role: {SERVICE} owns the tables; ")),
        "{with_one}"
    );
    assert!(!cut_off.status.success(), "{cut_off:?}");
    assert_eq!(applied, "nothing to apply\n");
    assert!(
        with_two.contains(&format!("ok   role: {SERVICE} has data access only\n")),
        "{with_two}"
    );
    assert!(
        with_two.contains(&format!("answers {OWNER}\n")),
        "{with_two}"
    );
    // What is not in the list is taken away.
    assert_eq!(roles.privileges("users").await, EVERYTHING);
}

#[tokio::test]
async fn a_table_that_comes_later_is_granted_with_its_migration() {
    let Some(roles) = TwoRoles::of(cluster::empty_database().await) else {
        return;
    };
    roles.run(&["migrate", "up"], "");
    while !roles
        .run(&["migrate", "down"], "")
        .contains("create_credentials")
    {}
    let without = roles.privileges("credentials").await;

    roles.run(&["migrate", "up"], "");

    assert_eq!(without, "");
    assert_eq!(roles.privileges("credentials").await, EVERYTHING);
}

#[tokio::test]
async fn in_production_a_role_that_may_do_more_is_worth_a_warning() {
    let url = cluster::new_database().await;
    let production = [
        ("APP_ENV", "production"),
        ("DB_SSLMODE", "disable"),
        ("SCRYPT_LOG_N", "14"),
        ("SCRYPT_P", "5"),
    ];

    let privileged = Service::start(&url, &production);
    let lesser = TwoRoles::of(url).map(|roles| Service::start(&roles.service, &production));

    let warning = privileged.await_line("database_role_is_privileged");
    assert_eq!(
        (&warning["level"], &warning["reason"]),
        (&"WARN".into(), &"is a superuser".into())
    );
    let quiet = |line: &serde_json::Value| line["message"] != "database_role_is_privileged";
    assert!(lesser.is_none_or(|service| service.lines().iter().all(quiet)));
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_granted_nothing_and_named() {
    let Some(roles) = TwoRoles::of(cluster::empty_database().await) else {
        return;
    };
    let wrong = roles.service.replacen(SERVICE, "misspelt", 1);

    let output = run(&wrong, &roles.settings(), &["migrate", "up"], "");

    let warning = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{warning}");
    assert!(warning.contains("there is no role misspelt"), "{warning}");
}

#[tokio::test]
async fn a_role_that_may_not_read_the_history_is_told_who_grants_it() {
    let Some(roles) = TwoRoles::of(cluster::new_database().await) else {
        return;
    };
    let revoke = format!("REVOKE ALL ON refinery_schema_history FROM {SERVICE}");
    let admin = cluster::connect(&roles.admin).await;
    admin.batch_execute(&revoke).await.unwrap();

    let mut service = Service::spawn(&roles.service, &roles.settings(), &[]);

    assert_eq!(service.ended().code(), Some(1));
    let line = service.failure();
    for part in [
        &format!("the role {SERVICE} may not read refinery_schema_history"),
        "`migrate up`",
        "MIGRATE_DATABASE_URL",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let doctor = run(&roles.service, &roles.settings(), &["doctor"], "");
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    let expected = format!("FAIL schema of the service: the role {SERVICE} may not read");
    assert!(doctor.contains(&expected), "{doctor}");
    let mended = Service::spawn(&roles.service, &roles.settings(), &["--migrate"]);
    mended.await_line("ready");
}

#[tokio::test]
async fn the_doctor_says_when_the_service_gets_no_session() {
    let Some(roles) = TwoRoles::of(cluster::new_database().await) else {
        return;
    };
    let database = cluster::connect(&roles.admin).await;
    // The check's plain connection takes the only one.
    let role = format!("doctor_{}", std::process::id());
    let (_, address) = roles.service.split_once(&format!("{SERVICE}:")).unwrap();
    let (password, _) = address.split_once('@').unwrap();
    let sql = format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{password}' CONNECTION LIMIT 1 IN ROLE {SERVICE}"
    );
    database.batch_execute(&sql).await.unwrap();
    let url = roles.service.replacen(SERVICE, &role, 1);

    let output = run(&url, &roles.settings(), &["doctor"], "");

    database
        .batch_execute(&format!("DROP ROLE {role}"))
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot be opened"), "{text}");
    assert!(text.contains("too many connections for role"), "{text}");
}
