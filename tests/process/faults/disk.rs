//! PostgreSQL's disk is full.

use std::{fs, path::PathBuf, process::Command};

use tokio_postgres::Client;

use super::{
    IMPATIENT, Member, expect_well,
    postgres::{DURABLE, Server},
};
use crate::{
    case::{Case, verdict},
    cluster,
    support::Service,
};

#[tokio::test]
async fn f05_on_a_full_disk_writes_are_refused_whole_and_go_on_when_there_is_room() {
    let case = Case::begin();
    let Some(mut server) = Server::with(&[
        "--size",
        "160m",
        "min_wal_size=32MB",
        "max_wal_size=32MB",
        DURABLE,
    ]) else {
        println!("SKIPPED: a disk of its own for PostgreSQL takes root on Linux");
        return;
    };
    let migrated = crate::support::run(&server.url, &[], &["migrate", "up"], "");
    crate::support::printed(&migrated);
    let many = [IMPATIENT.as_slice(), &[("MAX_SESSIONS_PER_USER", "1000")]].concat();
    let service = Service::start(&server.url, &many);
    let member = Member::join(&service, "full@marked.example");
    let filler = fill(&cluster::connect(&server.url).await).await;

    let mut opened = 1;
    let refused = loop {
        let reply = member.sign_in(&service);
        match reply.status {
            200 => opened += 1,
            _ => break reply,
        }
        assert!(opened < 900, "the disk does not fill");
    };

    case.expect("a sign-in meanwhile", "503 unavailable", verdict(&refused));
    case.expect("/live meanwhile", 200, service.get("/live").status);
    fs::remove_file(filler).unwrap();
    // PostgreSQL may have ended, because it could not write its log; the operator who frees space starts it again.
    server.order("start");
    expect_well(&case, &service, &member);
    let sessions = "SELECT count(*) FROM sessions AS s
        WHERE (SELECT count(*) FROM refresh_tokens AS t WHERE t.session_id = s.id) <> 1";
    let halves: i64 = cluster::connect(&server.url)
        .await
        .query_one(sessions, &[])
        .await
        .unwrap()
        .get(0);
    case.expect("sessions written by half", 0, halves);
}

/// Fills the disk. Returns the file that holds it.
pub async fn fill(database: &Client) -> PathBuf {
    let row = database
        .query_one("SHOW data_directory", &[])
        .await
        .unwrap();
    let filler = PathBuf::from(row.get::<_, String>(0)).join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let block = vec![0; 1 << 16];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    filler
}

#[tokio::test]
async fn a_disk_that_is_in_use_for_a_moment_is_tidied_away_all_the_same() {
    let Some(server) = Server::with(&["--size", "100m"]) else {
        println!("SKIPPED: a disk of its own for PostgreSQL takes root on Linux");
        return;
    };
    let client = cluster::connect(&server.url).await;
    let row = client.query_one("SHOW data_directory", &[]).await.unwrap();
    let data = PathBuf::from(row.get::<_, String>(0));
    // As the last process of a server that is being stopped does.
    let mut user = Command::new("sleep")
        .arg("2")
        .current_dir(&data)
        .spawn()
        .unwrap();

    drop(server);

    assert!(!data.exists());
    let was_there_meanwhile = user.wait().unwrap().success();
    assert!(was_there_meanwhile);
}
