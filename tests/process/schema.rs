//! Migrations, from the command line and at start.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    cluster,
    support::{Folder, Service, complaint, printed, run},
};

/// The schema as PostgreSQL would write it down, without what changes from run to run.
fn dump(url: &str) -> String {
    let output = Command::new(pg_dump())
        .args(["--schema-only", "--no-owner", "--dbname", url])
        .output()
        .unwrap();
    let text = printed(&output);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Beside the server's own programs: an older one refuses a newer server.
fn pg_dump() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
    let folder = printed(&Command::new(script).arg("bin").output().unwrap());
    Path::new(folder.trim_end()).join("pg_dump")
}

/// The names of all migrations, oldest first.
fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = fs::read_dir(folder).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let undone = names.filter_map(|name| name.strip_suffix(".down.sql").map(str::to_owned));
    let mut names: Vec<_> = undone.collect();
    names.sort();
    names
}

#[tokio::test]
async fn going_down_and_up_again_leaves_the_same_schema() {
    let url = cluster::empty_database().await;
    let applied = printed(&run(&url, &[], &["migrate", "up"], ""));
    assert_eq!(applied.lines().count(), migrations().len());
    let before = dump(&url);

    let all = migrations().len().to_string();
    let undone = printed(&run(&url, &[], &["migrate", "down", &all], ""));
    let empty = dump(&url);
    printed(&run(&url, &[], &["migrate", "up"], ""));

    let undone: Vec<_> = undone
        .lines()
        .map(|line| line.trim_start_matches("undid "))
        .collect();
    let newest_first: Vec<_> = migrations().into_iter().rev().collect();
    assert_eq!(undone, newest_first);
    let tables = empty.matches("CREATE TABLE").count();
    assert_eq!(tables, 1, "only the history is left: {empty}");
    assert_eq!(dump(&url), before);
}

#[tokio::test]
async fn status_lists_what_is_applied_and_what_is_not() {
    let url = cluster::empty_database().await;
    printed(&run(&url, &[], &["migrate", "up"], ""));
    printed(&run(&url, &[], &["migrate", "down"], ""));

    let status = printed(&run(&url, &[], &["migrate", "status"], ""));

    let names = migrations();
    let (first, last) = (&names[0], names.last().unwrap());
    assert!(
        status.starts_with(&format!("applied {first} (")),
        "{status}"
    );
    assert!(status.ends_with(&format!("pending {last}\n")), "{status}");
}

#[tokio::test]
async fn create_writes_a_pair_behind_the_newest() {
    let folder = Folder::new();
    fs::create_dir(folder.join("migrations")).unwrap();
    fs::write(folder.join("migrations/V0007__seven.sql"), "").unwrap();
    let create = |name: &str| {
        Command::new(env!("CARGO_BIN_EXE_warp-skeleton"))
            .args(["migrate", "create", name])
            .current_dir(&folder)
            .output()
            .unwrap()
    };

    let written = printed(&create("add_notes"));

    assert_eq!(
        written,
        "migrations/V0008__add_notes.sql\nmigrations/V0008__add_notes.down.sql\n"
    );
    assert!(written.lines().all(|file| folder.join(file).is_file()));
    assert!(complaint(&create("Add Notes")).contains("lower case"));
}

#[tokio::test]
async fn pending_migrations_stop_a_start_and_are_named() {
    let url = cluster::empty_database().await;

    let mut service = Service::spawn(&url, &[], &[]);

    assert_eq!(service.ended().code(), Some(1));
    let line = service
        .lines()
        .into_iter()
        .find(|line| line["message"] == "start_failed")
        .unwrap();
    let error = line["error"].as_str().unwrap();
    assert!(error.contains(&migrations().join(", ")), "{error}");
    assert!(error.contains("make migrate"), "{error}");
    assert!(error.contains("serve --migrate"), "{error}");
    assert_eq!(service.errors(), [""; 0]);
}

#[tokio::test]
async fn replicas_that_start_together_migrate_once() {
    let url = cluster::empty_database().await;

    let services: Vec<_> = (0..8)
        .map(|_| Service::spawn(&url, &[], &["--migrate"]))
        .collect();

    let mut applied = 0;
    for service in &services {
        service.await_line("ready");
        let lines = service.lines();
        applied += lines
            .iter()
            .filter(|line| line["message"] == "migration_applied")
            .count();
    }
    assert_eq!(applied, migrations().len());
}

#[tokio::test]
async fn an_applied_migration_that_changed_is_refused_by_name() {
    let url = cluster::new_database().await;
    let tamper = "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 2";
    cluster::connect(&url)
        .await
        .execute(tamper, &[])
        .await
        .unwrap();

    let mut service = Service::spawn(&url, &[], &["--migrate"]);

    assert_eq!(service.ended().code(), Some(1));
    let error = service.failure();
    assert!(error.contains("V0002__create_sessions"), "{error}");
    assert!(
        error.contains("git checkout -- migrations/V0002__create_sessions.sql"),
        "{error}"
    );
}

#[tokio::test]
async fn a_newer_migration_is_worth_a_warning_and_an_older_unknown_one_a_refusal() {
    let insert = |version: i32| {
        format!(
            "INSERT INTO refinery_schema_history VALUES ({version}, 'strange', '2026-01-01T00:00:00Z', '1')"
        )
    };
    let (newer, older) = (cluster::new_database().await, cluster::new_database().await);
    cluster::connect(&newer)
        .await
        .execute(&insert(99), &[])
        .await
        .unwrap();
    cluster::connect(&older)
        .await
        .execute(&insert(0), &[])
        .await
        .unwrap();

    let served = Service::start(&newer, &[]);
    let mut refused = Service::spawn(&older, &[], &[]);

    let warning = served.await_line("migration_is_newer_than_this_program");
    assert_eq!(
        (&warning["level"], &warning["migration"]),
        (&"WARN".into(), &"V0099__strange".into())
    );
    assert_eq!(refused.ended().code(), Some(1));
    let line = refused.lines().pop().unwrap();
    assert!(
        line["error"].as_str().unwrap().contains("V0000__strange"),
        "{line}"
    );
}

#[tokio::test]
async fn a_database_that_lacks_characters_is_refused_before_anything_is_written() {
    let url = cluster::empty_database().await;
    let (server, name) = url.rsplit_once('/').unwrap();
    let admin = cluster::connect(&url).await;
    let create =
        format!("CREATE DATABASE {name}_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    admin.batch_execute(&create).await.unwrap();
    let latin = format!("{server}/{name}_latin");

    let migrated = complaint(&run(&latin, &[], &["migrate", "up"], ""));
    let status = complaint(&run(&latin, &[], &["migrate", "status"], ""));
    let started = [&[][..], &["--migrate"]].map(|arguments| {
        let mut service = Service::spawn(&latin, &[], arguments);
        assert_eq!(service.ended().code(), Some(1));
        service.failure()
    });
    let doctor = run(&latin, &[], &["doctor"], "");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let tables = cluster::connect(&latin).await.query_one(tables, &[]).await;

    let reason = "the database's encoding is LATIN1, and has to be UTF8";
    for complaint in [migrated, status].into_iter().chain(started) {
        assert!(complaint.contains(reason), "{complaint}");
    }
    assert!(!doctor.status.success());
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert!(
        doctor.contains(&format!("FAIL encoding: {reason}")),
        "{doctor}"
    );
    assert_eq!(tables.unwrap().get::<_, i64>(0), 0);
    assert!(
        printed(&run(&url, &[], &["migrate", "status"], "")).starts_with("pending"),
        "UTF-8 is good"
    );
}
