//! The service itself is killed at the worst moment.

use std::{
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::json;
use tokio_postgres::Client;

use super::Member;
use crate::{
    case::Case,
    cluster,
    support::{Service, eventually, try_ask},
};

/// How often the service is killed in each test, each time a little later.
const KILLS: u64 = 6;

async fn count(database: &Client, sql: &str) -> i64 {
    database.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn f06_killed_while_tokens_rotate_no_session_has_two_live_branches_or_none() {
    let case = Case::begin();
    let url = cluster::new_database().await;
    for kill in 0..KILLS {
        let service = Service::start(&url, &[]);
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let email = format!("rotate-{kill}-{number}@marked.example");
                rotate_until_killed(&service, Member::join(&service, &email).refresh)
            })
            .collect();
        await_rotations(&service, 40 + 7 * kill);

        drop(service);

        for client in clients {
            client.join().unwrap();
        }
    }

    let database = cluster::connect(&url).await;
    let torn = "SELECT count(*) FROM sessions AS s
        WHERE s.revoked_at IS NOT NULL OR 1 <> (
            SELECT count(*) FROM refresh_tokens AS t
            WHERE t.session_id = s.id AND t.used_at IS NULL AND t.superseded_at IS NULL)";
    let sessions = "SELECT count(*) FROM sessions";
    case.expect(
        "sessions without exactly one live token",
        0,
        count(&database, torn).await,
    );
    let all = 4 * i64::try_from(KILLS).unwrap();
    case.expect("sessions", all, count(&database, sessions).await);
}

/// Refreshes a session again and again, each time with the token it got last.
fn rotate_until_killed(service: &Service, mut refresh: String) -> JoinHandle<()> {
    let port = service.port();
    thread::spawn(move || {
        let headers = [("Content-Type", "application/json")];
        loop {
            let body = json!({"refresh_token": refresh}).to_string();
            let Some(reply) = try_ask(port, "POST", "/auth/refresh", &headers, &body) else {
                return;
            };
            assert_eq!(reply.status, 200, "{}", reply.body);
            let tokens = reply.json();
            tokens["refresh_token"]
                .as_str()
                .unwrap()
                .clone_into(&mut refresh);
        }
    })
}

/// Waits until so many refreshes were answered.
fn await_rotations(service: &Service, count: u64) {
    let series = "request_count{method=\"POST\",path=\"/auth/refresh\",status_code=\"200\"} ";
    eventually("load", || {
        let metrics = service.get("/metrics").body;
        let seen = metrics.lines().find_map(|line| line.strip_prefix(series))?;
        let seen: u64 = seen.parse().ok()?;
        (seen >= count).then_some(())
    });
}

#[tokio::test]
async fn f07_killed_while_a_password_changes_the_other_sessions_end_with_the_old_one_or_nothing_does()
 {
    let case = Case::begin();
    let url = cluster::new_database().await;
    let database = cluster::connect(&url).await;
    let mut changed = 0;
    for kill in 0..KILLS {
        let service = Service::start(&url, &[]);
        let member = Member::join(&service, &format!("change-{kill}@marked.example"));
        assert_eq!(member.sign_in(&service).status, 200);
        let change = change_until_killed(&service, &member);
        // Not for luck: whenever it is killed, the outcome has to be whole.
        thread::sleep(Duration::from_millis(4 * kill));

        drop(service);

        change.join().unwrap();
        let service = Service::start(&url, &[]);
        let email = member.credentials["email"].as_str().unwrap();
        let sign_in = |password| {
            let body = json!({"email": email, "password": password});
            service.post("/auth/token", None, &body).status
        };
        let outcome = (sign_in("marked-password-1"), sign_in("marked-password-2"));
        let live = format!(
            "SELECT count(*) FROM sessions AS s JOIN users AS u ON u.id = s.user_id
             WHERE u.email = '{email}' AND s.revoked_at IS NULL"
        );
        // The one that changes the password, the other, and the one that was opened just now.
        let live = count(&database, &live).await;
        let seen = format!("{outcome:?} and {live} live sessions");
        let expected = match outcome.1 {
            200 => "(401, 200) and 2 live sessions",
            _ => "(200, 401) and 3 live sessions",
        };
        case.expect("the old and the new password", expected, seen);
        changed += u64::from(outcome.1 == 200);
    }
    println!("{changed} of {KILLS} kills came after the change");
}

/// Changes a password, and repeats that until the service no longer answers.
fn change_until_killed(service: &Service, member: &Member) -> JoinHandle<()> {
    let (port, bearer) = (service.port(), format!("Bearer {}", member.access));
    let body = json!({
        "current_password": "marked-password-1",
        "new_password": "marked-password-2",
    });
    thread::spawn(move || {
        let headers = [
            ("Content-Type", "application/json"),
            ("Authorization", bearer.as_str()),
        ];
        let body = body.to_string();
        while try_ask(port, "POST", "/auth/password", &headers, &body).is_some() {}
    })
}
