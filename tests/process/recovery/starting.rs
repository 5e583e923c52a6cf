//! What the service says and does about mail when it starts: with a server, without one, and with links that lead nowhere.

use serde_json::json;

use super::FROM;
use crate::{
    cluster,
    collector::{Collector, hex},
    mail::server::SmtpServer,
    support::{Service, ask, complaint, eventually, run},
};

/// Production takes no cheaper hashes.
const PRODUCTION: [(&str, &str); 4] = [
    ("APP_ENV", "production"),
    ("SCRYPT_LOG_N", "14"),
    ("SCRYPT_P", "5"),
    ("DB_SSLMODE", "disable"),
];

const PAGES: [(&str, &str); 3] = [
    ("MAIL_LINK_RESET", "https://app.acme.example/reset"),
    ("MAIL_LINK_VERIFY", "https://app.acme.example/verify"),
    ("MAIL_LINK_EMAIL", "https://app.acme.example/email"),
];

#[tokio::test(flavor = "multi_thread")]
async fn production_that_sends_mail_says_where_links_lead_or_does_not_start() {
    let server = SmtpServer::start();
    let address = server.url();
    let mail = [&PRODUCTION[..], &[FROM, ("MAIL_URL", &address)]].concat();
    let refusal =
        "PUBLIC_URL (from default): expected the origin that clients reach the service at";
    let url = cluster::new_database().await;

    for command in ["serve", "worker"] {
        let error = complaint(&run(&url, &mail, &[command], ""));
        assert!(error.contains(refusal), "{error}");
    }
    let two = [&mail[..], &PAGES[..2]].concat();
    let error = complaint(&run(&url, &two, &["serve"], ""));
    assert!(error.contains(refusal), "{error}");
    let doctor = run(&url, &mail, &["doctor"], "");
    assert_eq!(doctor.status.code(), Some(1));
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(
        doctor.contains(&format!("FAIL recovery: {refusal}")),
        "{doctor}"
    );

    let pages = [&mail[..], &PAGES].concat();
    Service::start(&url, &pages);
    let origin = [&mail[..], &[("PUBLIC_URL", "https://acme.example")]].concat();
    Service::start(&url, &origin);
    let doctor = String::from_utf8(run(&url, &origin, &["doctor"], "").stdout).unwrap();
    assert!(
        doctor.contains(
            "ok   recovery: links in mails lead to https://acme.example, or where MAIL_LINK_* say\n"
        ),
        "{doctor}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn production_without_mail_says_what_is_off_and_does_nothing_for_it() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &PRODUCTION);

    let line = service.await_line("mail_off");
    assert_eq!(line["level"], "WARN");
    let off = "forgotten passwords, verified addresses, confirmed changes of address, notices";
    assert_eq!(line["off"], off);
    let doctor = String::from_utf8(run(&url, &PRODUCTION, &["doctor"], "").stdout).unwrap();
    assert!(
        doctor.contains(&format!("note recovery: off without mail: {off}\n")),
        "{doctor}"
    );
    let account = json!({"email": "off@marked.example", "password": "marked-password-1"});
    assert_eq!(service.post("/auth/register", None, &account).status, 201);
    let tokens = service.post("/auth/token", None, &account).json();
    let token = tokens["access_token"].as_str().unwrap();
    let email = json!({"email": "off@marked.example"});
    let forgot = service.post("/auth/password/forgot", None, &email);
    assert_eq!(
        (forgot.status, forgot.json()["code"].as_str()),
        (501, Some("mail_off"))
    );
    let changed = json!({"email": "on@marked.example", "current_password": "marked-password-1"});
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let changed = ask(
        service.port(),
        "PATCH",
        "/auth/me",
        &headers,
        &changed.to_string(),
    );
    assert_eq!(changed.status, 200, "{changed:?}");

    let database = cluster::connect(&url).await;
    // The schedules of the program are there by the time that one of them is.
    let schedules = "SELECT count(*) FROM job_schedules";
    let count = async |sql: &str| database.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    for _ in 0..1_000 {
        if count(schedules).await > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(count(schedules).await > 0);
    for nothing in [
        "SELECT count(*) FROM job_schedules WHERE name LIKE 'recovery%'",
        "SELECT count(*) FROM jobs WHERE kind LIKE 'recovery%'",
        "SELECT count(*) FROM mail_requests",
        "SELECT count(*) FROM recovery_requests",
    ] {
        assert_eq!(count(nothing).await, 0, "{nothing}");
    }
}

/// The spans of `GET /auth/me`, its server's first.
fn spans_of_me(url: &str, settings: &[(&str, &str)]) -> Vec<String> {
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let eager = [
        ("OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let service = Service::start(url, &[&eager, settings].concat());
    let account = json!({"email": "me@marked.example", "password": "marked-password-1"});
    // The second service finds it there.
    service.post("/auth/register", None, &account);
    let tokens = service.post("/auth/token", None, &account).json();
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(service.me(token).status, 200);
    let root = eventually("its trace", || {
        let spans = collector.spans();
        spans.into_iter().find(|span| span.name == "GET /auth/me")
    });
    let trace = hex(&root.trace_id);
    let mut names: Vec<_> = collector
        .trace(&trace)
        .into_iter()
        .map(|span| span.name)
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn who_am_i_costs_one_statement_with_mail_and_without() {
    let url = cluster::new_database().await;
    let server = SmtpServer::start();
    let address = server.url();

    let without = spans_of_me(&url, &[]);
    let with = spans_of_me(&url, &[FROM, ("MAIL_URL", &address)]);

    assert_eq!(without.len(), 2, "{without:?}");
    assert_eq!(with, without);
}
