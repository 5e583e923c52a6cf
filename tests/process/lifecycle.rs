//! Starting, serving and stopping.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    cluster,
    support::{Reply, Service, complaint, connect, eventually, printed, rest_of, run},
};

/// Where nothing listens.
const NOWHERE: &str = "postgres://me:marked-dsn@127.0.0.1:1/none";

#[tokio::test]
async fn it_starts_serves_and_stops_on_either_signal() {
    let url = cluster::new_database().await;

    for signal in ["TERM", "INT"] {
        let mut service = Service::start(&url, &[]);
        assert_eq!(service.get("/ready").status, 200);
        service.signal(signal);

        assert_eq!(service.ended().code(), Some(0));
        assert!(
            service
                .lines()
                .iter()
                .any(|line| line["message"] == "stopped")
        );
        assert_eq!(service.errors(), [""; 0]);
    }
}

#[tokio::test]
async fn readiness_goes_before_the_listener_does() {
    let url = cluster::new_database().await;
    let mut service = Service::start(&url, &[("SHUTDOWN_DELAY_MS", "60000")]);

    service.signal("TERM");

    service.await_line("stopping");
    eventually("not ready", || {
        (service.get("/ready").status == 503).then_some(())
    });
    assert_eq!(service.get("/ready").json(), json!({"status": "not_ready"}));
    assert_eq!(service.get("/live").status, 200);
    // A second signal ends the wait.
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0));
}

#[tokio::test]
async fn a_request_that_a_second_signal_cuts_leaves_its_line() {
    let url = cluster::new_database().await;
    let settings = [("SHUTDOWN_DELAY_MS", "0"), ("LOG_LEVEL", "info")];
    let mut service = Service::start(&url, &settings);
    let in_flight = |service: &Service| {
        let metrics = service.get("/metrics").body;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("requests_in_flight "));
        line.unwrap().to_owned()
    };
    let before = in_flight(&service);
    let mut client = connect(service.port());
    let head = "POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    eventually("the request", || {
        (in_flight(&service) != before).then_some(())
    });

    service.signal("TERM");
    service.await_line("stopping");
    thread::sleep(Duration::from_millis(300));
    service.signal("TERM");

    assert_eq!(service.ended().code(), Some(0));
    service.await_line("stopped_at_once");
    let lines = service.lines();
    let completed = |line: &&serde_json::Value| {
        line["message"] == "request_completed" && line["path"] == "/auth/token"
    };
    assert_eq!(lines.iter().filter(completed).count(), 1, "{lines:#?}");
}

#[tokio::test]
async fn an_idle_connection_closes_when_the_service_stops() {
    let url = cluster::new_database().await;
    let mut service = Service::start(&url, &[]);
    let mut idle = connect(service.port());
    idle.write_all(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    eventually("the answer", || {
        let mut first = [0; 1];
        (idle.peek(&mut first).unwrap() == 1).then_some(())
    });
    let started = Instant::now();

    service.signal("TERM");

    assert!(rest_of(idle).starts_with("HTTP/1.1 200"));
    assert_eq!(service.ended().code(), Some(0));
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "it waited for the header timeout"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_request_that_was_taken_is_answered() {
    let url = cluster::new_database().await;
    let mut service = Service::start(&url, &[]);
    let port = service.port();
    let token = run(&url, &[], &["token", "--quiet"], "");
    let request = format!(
        "GET /auth/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        printed(&token).trim()
    );
    let going_on = Arc::new(AtomicBool::new(true));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (going_on, request) = (Arc::clone(&going_on), request.clone());
            thread::spawn(move || {
                let mut answered = 0;
                while going_on.load(Ordering::Relaxed) {
                    // Refused means never taken.
                    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
                        break;
                    };
                    if stream.write_all(request.as_bytes()).is_err() {
                        break;
                    }
                    let text = rest_of(stream);
                    match Reply::parse(&text) {
                        Some(reply) => {
                            assert!(reply.status == 200, "{text}");
                            answered += 1;
                        }
                        // Connected into the queue of a listener that then closed: never taken.
                        None => assert_eq!(text, "", "half an answer"),
                    }
                }
                answered
            })
        })
        .collect();
    let port = service.port();
    eventually("some load", || {
        let metrics = super::support::ask(port, "GET", "/metrics", &[], "").body;
        let series = "request_count{method=\"GET\",path=\"/auth/me\",status_code=\"200\"} ";
        let count: u32 = metrics
            .lines()
            .find_map(|line| line.strip_prefix(series))?
            .parse()
            .ok()?;
        (count > 100).then_some(())
    });

    service.signal("TERM");

    assert_eq!(service.ended().code(), Some(0));
    going_on.store(false, Ordering::Relaxed);
    let answered: u32 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    let completed = service
        .lines()
        .iter()
        .filter(|line| line["message"] == "request_completed" && line["path"] == "/auth/me")
        .count();
    assert_eq!(usize::try_from(answered).unwrap(), completed);
    assert!(
        service
            .lines()
            .iter()
            .all(|line| line["message"] != "connections_cut")
    );
}

#[tokio::test]
async fn without_a_database_it_lives_is_not_ready_and_gives_up_in_time() {
    let mut service = Service::spawn(NOWHERE, &[("DB_CONNECT_TIMEOUT_MS", "1500")], &[]);
    let port = service.port();

    let live = super::support::ask(port, "GET", "/live", &[], "");
    let ready = super::support::ask(port, "GET", "/ready", &[], "");

    assert_eq!((live.status, ready.status), (200, 503));
    assert_eq!(service.ended().code(), Some(1));
    let last = service
        .lines()
        .into_iter()
        .find(|line| line["message"] == "start_failed")
        .unwrap();
    let error = last["error"].as_str().unwrap();
    assert!(error.contains("127.0.0.1:1"), "{error}");
    assert!(error.to_lowercase().contains("refused"), "{error}");
    assert!(!error.contains("marked-dsn"), "{error}");
}

#[tokio::test]
async fn a_database_that_takes_connections_and_says_nothing_is_given_up_in_time() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@{}/none", mute.local_addr().unwrap());
    let hurried = [
        ("DB_CONNECT_TIMEOUT_MS", "700"),
        ("DB_POOL_TIMEOUT_MS", "300"),
    ];

    let mut service = Service::spawn(&url, &hurried, &[]);

    assert_eq!(service.ended().code(), Some(1));
    let line = service.failure();
    assert!(line.contains("does not answer"), "{line}");
    assert!(complaint(&run(&url, &hurried, &["migrate", "up"], "")).contains("does not answer"));
    let doctor = run(&url, &hurried, &["doctor"], "");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("FAIL database"));
}

#[tokio::test]
async fn a_way_past_the_pooler_does_not_hide_that_the_pooler_is_out() {
    let direct = cluster::new_database().await;
    let settings = [
        ("MIGRATE_DATABASE_URL", direct.as_str()),
        ("DB_CONNECT_TIMEOUT_MS", "300"),
    ];

    let mut service = Service::spawn(NOWHERE, &settings, &[]);

    assert_eq!(service.ended().code(), Some(1));
    let line = service.failure();
    assert!(line.contains("127.0.0.1:1"), "{line}");
    assert!(line.contains("make db-start"), "{line}");
    let doctor = run(NOWHERE, &settings, &["doctor"], "");
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert_eq!(doctor.matches("FAIL database").count(), 1, "{doctor}");
    assert_eq!(doctor.matches("ok   database").count(), 1, "{doctor}");
}

#[tokio::test]
async fn migrations_that_went_to_another_database_are_not_taken_for_the_services() {
    let (migrated, empty) = (
        cluster::new_database().await,
        cluster::empty_database().await,
    );
    let settings = [("MIGRATE_DATABASE_URL", migrated.as_str())];

    let mut service = Service::spawn(&empty, &settings, &["--migrate"]);

    assert_eq!(service.ended().code(), Some(1));
    let line = service.failure();
    assert!(line.contains("both have to be the same database"), "{line}");
    let doctor = run(&empty, &settings, &["doctor"], "");
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.contains("FAIL schema of the service"), "{doctor}");
    let list = complaint(&run(&empty, &settings, &["user", "list"], ""));
    assert!(list.contains("both have to be the same database"), "{list}");
    // Where the service works, the tables are there, and nobody has to reach those who migrate.
    let settings = [("MIGRATE_DATABASE_URL", NOWHERE)];
    printed(&run(&migrated, &settings, &["user", "list"], ""));
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_is_told_as_a_line_of_the_log() {
    let mut service = Service::spawn(NOWHERE, &[], &["--bogus"]);

    assert_eq!(service.ended().code(), Some(2));
    let errors = service.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let line: serde_json::Value = serde_json::from_str(&errors[0]).unwrap();
    assert!(
        line["error"].as_str().unwrap().contains("--bogus"),
        "{line}"
    );
}

#[tokio::test]
async fn a_secret_others_could_know_stops_it_by_name() {
    for secret in [
        "",
        "too-short",
        "your-secret-key-change-me-0123456789abcdef",
    ] {
        let settings = [("APP_ENV", "development"), ("JWT_SECRET_KEY", secret)];
        let mut service = Service::spawn(NOWHERE, &settings, &[]);

        assert_eq!(service.ended().code(), Some(1));
        let errors = service.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let line: serde_json::Value = serde_json::from_str(&errors[0]).unwrap();
        let error = line["error"].as_str().unwrap();
        assert!(error.starts_with("JWT_SECRET_KEY"), "{error}");
        assert!(error.contains("openssl rand -hex 32"), "{error}");
        assert!(secret.is_empty() || !error.contains(secret), "{error}");
    }
}

#[tokio::test]
async fn a_port_in_use_stops_it_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let mut service = Service::spawn(NOWHERE, &[("PORT", &port)], &[]);

    assert_eq!(service.ended().code(), Some(1));
    let line = service.lines().pop().unwrap();
    assert_eq!(line["message"], "start_failed");
    assert!(
        line["error"]
            .as_str()
            .unwrap()
            .contains(&format!("127.0.0.1:{port}")),
        "{line}"
    );
    assert!(
        line["error"].as_str().unwrap().contains("set PORT"),
        "{line}"
    );
}

#[tokio::test]
async fn two_replicas_share_their_sessions() {
    let url = cluster::new_database().await;
    let (one, two) = (Service::start(&url, &[]), Service::start(&url, &[]));
    let account = json!({"email": "shared@marked.example", "password": "marked-password-1"});
    assert_eq!(one.post("/auth/register", None, &account).status, 201);

    let tokens = one.post("/auth/token", None, &account).json();
    let access = tokens["access_token"].as_str().unwrap();

    assert_eq!(two.me(access).json()["email"], "shared@marked.example");
    assert_eq!(
        two.post("/auth/logout", Some(access), &json!({})).status,
        204
    );
    assert_eq!(one.me(access).status, 401);
}

#[tokio::test]
async fn when_its_connections_are_cut_it_opens_others() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[]);
    let account = json!({"email": "cut@marked.example", "password": "marked-password-1"});
    assert_eq!(service.post("/auth/register", None, &account).status, 201);
    let tokens = service.post("/auth/token", None, &account).json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(service.me(access).status, 200);

    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    cluster::connect(&url)
        .await
        .execute(cut, &[])
        .await
        .unwrap();

    eventually("service", || {
        (service.me(access).status == 200).then_some(())
    });
    assert_eq!(service.post("/auth/token", None, &account).status, 200);
}
