//! Every mail arrives, whatever becomes of the processes that send it and of the server that takes it.
//!
//! `loadtest/siege mail-delivery` does the same with 10 000.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::{FROM, ORIGIN};
use crate::{
    cluster,
    mail::server::{At, Fault, SmtpServer},
    support::{Service, eventually},
};

const MAILS: i64 = 300;

/// As many accounts as mails, each with an open request and the job that sends its link. What a job did is remembered.
const PREPARE: &str = "
INSERT INTO users (id, email, password_hash, role, is_active, created_at, updated_at)
SELECT gen_random_uuid(), 'user' || n || '@marked.example', 'none', 'VIEWER', true, now(), now()
FROM generate_series(1, 300) AS n;

INSERT INTO mail_requests (id, user_id, purpose, created_at, expires_at, mails)
SELECT gen_random_uuid(), id, 'verify', now(), now() + interval '1 day', 0
FROM users;

INSERT INTO jobs (id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at)
SELECT
    gen_random_uuid(), 'recovery.send_link', jsonb_build_object('request', id),
    now() + random() * interval '8 seconds', 0, 'queued', 0, 20, 0, 0, now()
FROM mail_requests;

CREATE TABLE sent AS
SELECT j.id::text AS job, u.email
FROM jobs AS j
JOIN mail_requests AS r ON r.id = (j.payload ->> 'request')::uuid
JOIN users AS u ON u.id = r.user_id;

CREATE TABLE losses (job text NOT NULL);
CREATE FUNCTION remember_loss() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO losses VALUES (OLD.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER remember_loss AFTER UPDATE ON jobs
FOR EACH ROW WHEN (NEW.losses > OLD.losses)
EXECUTE FUNCTION remember_loss();
";

async fn count(database: &Client, sql: &str) -> i64 {
    database.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_is_lost_or_stuck_and_one_that_comes_twice_is_recognisable() {
    let url = cluster::new_database().await;
    let database = cluster::connect(&url).await;
    database.batch_execute(PREPARE).await.unwrap();
    let server = SmtpServer::start();
    server.fail_every(At::Mail, 37, Fault::Stall);
    server.fail_every(At::Rcpt, 11, Fault::Reply("451 4.3.2 try again later"));
    server.fail_every(At::Data, 23, Fault::Reply("421 4.7.0 too many of you"));
    server.fail_every(At::Content, 13, Fault::Drop);
    let address = server.url();
    let settings = [
        FROM,
        ("MAIL_URL", address.as_str()),
        ("MAIL_TIMEOUT_MS", "1000"),
        ("PUBLIC_URL", ORIGIN),
        ("JOBS_LEASE_SECONDS", "2"),
        ("JOBS_POLL_MS", "100"),
        ("JOBS_MAX_LOSSES", "1000"),
    ];
    let mut replicas = [(); 3].map(|()| Service::start(&url, &settings));

    // Each in turn, in the middle of its work.
    for round in 1..=9 {
        let enough = round * 25;
        eventually("progress", || {
            (server.messages().len() >= enough).then_some(())
        });
        let replica = &mut replicas[round % 3];
        replica.signal("KILL");
        *replica = Service::start(&url, &settings);
    }
    // What failed waits for its time, which the clock of a test need not.
    for _ in 0..600 {
        let left = count(
            &database,
            "SELECT count(*) FROM jobs WHERE kind = 'recovery.send_link' AND state <> 'dead'",
        );
        if left.await == 0 {
            break;
        }
        let hurry =
            "UPDATE jobs SET run_at = now() WHERE state = 'queued' AND kind = 'recovery.send_link'";
        database.execute(hurry, &[]).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }

    let stuck = count(
        &database,
        "SELECT count(*) FROM jobs WHERE kind = 'recovery.send_link'",
    );
    assert_eq!(stuck.await, 0, "stuck or dead");
    let rows = database
        .query("SELECT job, email FROM sent", &[])
        .await
        .unwrap();
    let addressees: HashMap<String, String> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut losses: HashMap<String, usize> = HashMap::new();
    for row in database.query("SELECT job FROM losses", &[]).await.unwrap() {
        *losses.entry(row.get(0)).or_default() += 1;
    }
    let mut arrived: HashMap<String, Vec<_>> = HashMap::new();
    for message in server.messages() {
        let id = message.header("Message-ID").unwrap();
        let job = id.trim_matches(['<', '>']).split('@').next().unwrap();
        let to = addressees.get(job).expect("a mail of one of these jobs");
        assert_eq!(message.to, [format!("TO:<{to}>")]);
        assert_eq!(message.header("To").as_ref(), Some(to));
        arrived.entry(job.to_owned()).or_default().push(message);
    }
    assert_eq!(arrived.len(), usize::try_from(MAILS).unwrap(), "lost");
    let mut doubled = 0;
    for (job, messages) in &arrived {
        let unconfirmed = messages
            .iter()
            .filter(|message| !message.is_confirmed)
            .count();
        let taken_away = losses.get(job).copied().unwrap_or_default();
        let surplus = messages.len() - 1;
        doubled += usize::from(surplus > 0);
        assert!(
            surplus <= unconfirmed + taken_away,
            "{job} came {} times",
            messages.len()
        );
        let words = |index: usize| messages[index].content.replace("=\r\n", "");
        let link = |text: &str| text.split("#token=").nth(1).unwrap()[..60].to_owned();
        for index in 1..messages.len() {
            assert_eq!(link(&words(index)), link(&words(0)), "another link");
        }
    }
    assert!(doubled > 0, "no answer was lost: nothing was tested");
    assert!(!losses.is_empty(), "no process was killed with work");
}
