//! What single connections may and may not do.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{
    cluster,
    support::{Folder, Reply, Service, ask, connect, eventually, printed, rest_of, run},
};

/// Enough for a test, and far below the patience of its client.
const HURRIED: [(&str, &str); 2] = [("HEADER_TIMEOUT_MS", "300"), ("IDLE_TIMEOUT_MS", "300")];

#[tokio::test]
async fn an_ipv6_address_is_listened_on_however_it_is_written() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // A machine without IPv6.
    }
    let url = cluster::new_database().await;
    for host in ["[::1]", "::1", "[::]"] {
        let service = Service::start(&url, &[("HOST", host)]);
        let port = service.port().to_string();

        let stream = TcpStream::connect(("::1", service.port()));
        let healthy = run(
            &url,
            &[("HOST", host), ("PORT", &port)],
            &["healthcheck"],
            "",
        );

        assert!(stream.is_ok(), "{host}");
        assert_eq!(printed(&healthy), "alive\n", "{host}");
    }
}

#[tokio::test]
async fn who_says_nothing_or_half_of_it_is_cut_off() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &HURRIED);

    for said in [
        "",
        "P",
        "GET /live HTTP/1.1\r\nHost: a\r\n",
        "PRI * HTTP/2.0\r\n",
    ] {
        let mut stream = connect(service.port());
        stream.write_all(said.as_bytes()).unwrap();
        let rest = rest_of(stream);
        assert!(!rest.contains("200"), "{said:?} got {rest:?}");
    }

    assert_eq!(service.get("/live").status, 200);
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_closed() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &HURRIED);

    for begun in ["", "G", "GET /live HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = connect(service.port());
        let whole = "GET /live HTTP/1.1\r\nHost: a\r\n\r\n";
        stream
            .write_all(format!("{whole}{begun}").as_bytes())
            .unwrap();

        let replies = rest_of(stream);

        assert!(replies.starts_with("HTTP/1.1 200"), "{replies:?}");
        assert_eq!(replies.matches("HTTP/1.1").count(), 1, "after {begun:?}");
    }
}

#[tokio::test]
async fn at_the_cap_a_newcomer_is_served() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[("MAX_CONNECTIONS", "5")]);
    let silent: Vec<TcpStream> = (0..5).map(|_| connect(service.port())).collect();

    let answers = [service.get("/live"), service.get("/live")];

    assert!(answers.iter().all(|answer| answer.status == 200));
    let oldest = silent.into_iter().next().unwrap();
    assert_eq!(rest_of(oldest), "");
}

#[tokio::test]
async fn a_kept_connection_outlasts_the_time_for_a_head() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[("HEADER_TIMEOUT_MS", "200")]);
    let mut stream = connect(service.port());
    let request = b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();

    std::thread::sleep(std::time::Duration::from_millis(1_500));
    stream
        .write_all(b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();

    assert_eq!(rest_of(stream).matches("HTTP/1.1 200").count(), 1);
}

#[tokio::test]
async fn where_few_files_may_be_open_a_newcomer_is_served_all_the_same() {
    let url = cluster::new_database().await;
    let service = Service::start_with_files(&url, &[], 40);
    let silent: Vec<TcpStream> = (0..80).map(|_| connect(service.port())).collect();

    let started = std::time::Instant::now();
    let answers = [service.get("/live"), service.get("/ready")];

    assert!(answers.iter().all(|answer| answer.status == 200));
    // HEADER_TIMEOUT_MS, after which the silent ones are gone anyway.
    assert!(started.elapsed() < std::time::Duration::from_secs(8));
    let line = service.await_line("file_limit_is_low");
    assert!(line["max_connections"].as_u64().unwrap() < 40, "{line}");
    drop(silent);
}

#[tokio::test]
async fn a_client_at_its_own_cap_is_told_of_in_the_log_once() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[("MAX_CONNECTIONS_PER_CLIENT", "3")]);

    let held: Vec<TcpStream> = (0..9).map(|_| connect(service.port())).collect();

    let line = service.await_line("client_connection_limit_reached");
    assert_eq!(line["client_network"], "127.0.0.1");
    assert!(line["advice"].as_str().unwrap().contains("TRUSTED_PROXIES"));
    assert_eq!(service.get("/live").status, 200);
    let lines = service.lines();
    let told = lines
        .iter()
        .filter(|line| line["message"] == "client_connection_limit_reached");
    assert_eq!(told.count(), 1);
    drop(held);
}

#[tokio::test]
async fn a_proxy_that_is_trusted_may_have_more_connections_than_a_client() {
    let url = cluster::new_database().await;
    let settings = [
        ("MAX_CONNECTIONS_PER_CLIENT", "1"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ];
    let service = Service::start(&url, &settings);

    let mut first = connect(service.port());
    assert_eq!(service.get("/live").status, 200);
    first
        .write_all(b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();

    assert!(rest_of(first).starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_the_parser_refuses_is_counted_and_logged_with_its_reason() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[]);
    let cookie = "x".repeat(40_000);

    for (request, reason) in [
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), "malformed_request"),
        (
            format!("GET / HTTP/1.1\r\nCookie: {cookie}\r\n\r\n"),
            "head_too_large",
        ),
    ] {
        let mut stream = connect(service.port());
        // It may be answered before everything was sent.
        let _ = stream.write_all(request.as_bytes());
        assert!(rest_of(stream).starts_with("HTTP/1.1 4"));
        let series = format!("connection_errors_total{{reason=\"{reason}\"}} 1");
        // It is counted when the connection has ended, which the client may see first.
        eventually(&series, || {
            let metrics = service.get("/metrics").body;
            metrics.contains(&series).then_some(())
        });
        let line = eventually("a line", || {
            let mut lines = service.lines().into_iter();
            lines.find(|line| line["message"] == "request_refused" && line["reason"] == reason)
        });
        assert_eq!(line["client_network"], "127.0.0.1");
    }
}

#[tokio::test]
async fn http2_is_spoken_to_those_who_know() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[]);
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", service.port()))
        .await
        .unwrap();

    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://localhost/live")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(response.version(), http::Version::HTTP_2);
}

#[tokio::test]
async fn an_http2_connection_that_rests_too_long_is_closed_as_well() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &HURRIED);
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", service.port()))
        .await
        .unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("http://localhost/live")
        .body(Empty::<Bytes>::new())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);

    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), connection).await;

    assert!(ended.is_ok(), "it is still open");
}

#[tokio::test]
async fn an_answer_that_is_being_sent_is_not_cut_for_a_newcomer() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[("MAX_CONNECTIONS", "2")]);
    let page = service.get("/docs/swagger-ui-bundle.js").body.len();
    let mut slow = connect(service.port());
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n";
    let requests = [request, request, request].join("\r\n");
    slow.write_all(requests.as_bytes()).unwrap();
    slow.write_all(b"Connection: close\r\n\r\n").unwrap();
    let mut first = [0; 1];
    slow.read_exact(&mut first).unwrap();

    for _ in 0..3 {
        assert_eq!(service.get("/live").status, 200);
    }

    assert!(rest_of(slow).len() > 3 * page, "the answer was cut");
}

#[tokio::test]
async fn what_the_parser_refuses_is_answered_and_closed() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[]);
    let long = "x".repeat(40_000);
    let many = "H: x\r\n".repeat(200);

    for (request, status) in [
        ("GARBAGE\r\n\r\n".to_owned(), "400"),
        (
            format!("GET /live HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            "431",
        ),
        (
            format!("GET /live HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
            "431",
        ),
    ] {
        let mut stream = connect(service.port());
        stream.write_all(request.as_bytes()).unwrap();
        let rest = rest_of(stream);
        assert!(rest.starts_with(&format!("HTTP/1.1 {status}")), "{rest}");
    }

    assert_eq!(service.get("/live").status, 200);
}

#[tokio::test]
async fn who_keeps_sending_too_much_still_sees_the_answer() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[]);
    let body = "x".repeat(300_000);

    let reply = ask(
        service.port(),
        "POST",
        "/auth/token",
        &[("Content-Type", "application/json")],
        &body,
    );

    assert_eq!(reply.status, 413);
    assert_eq!(reply.json()["code"], "body_too_large");
}

#[tokio::test]
async fn a_unix_socket_serves_replaces_a_dead_one_and_leaves_none() {
    let url = cluster::new_database().await;
    let folder = Folder::new();
    let path = folder.join("socket");
    drop(UnixListener::bind(&path).unwrap());

    let mut service = Service::start(&url, &[("LISTEN_SOCKET", path.to_str().unwrap())]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();

    assert_eq!(Reply::parse(&text).unwrap().status, 200);
    let mut second = Service::spawn(&url, &[("LISTEN_SOCKET", path.to_str().unwrap())], &[]);
    assert_eq!(
        second.ended().code(),
        Some(1),
        "a live socket is not taken away"
    );
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0));
    assert!(fs::symlink_metadata(&path).is_err());
}

#[tokio::test]
async fn a_unix_socket_without_a_proxy_to_believe_limits_no_source_and_says_so() {
    let url = cluster::new_database().await;
    let folder = Folder::new();
    let path = folder.join("socket");
    let silent = [
        ("LISTEN_SOCKET", path.to_str().unwrap()),
        ("RATE_LIMIT", "on"),
    ];
    let heard = [silent.as_slice(), &[("TRUSTED_PROXIES", "127.0.0.0/8")]].concat();
    let warns = |service: &Service| {
        let lines = service.lines();
        lines
            .iter()
            .any(|line| line["message"] == "source_limits_off")
    };

    let doctor = printed(&run(&url, &silent, &["doctor"], ""));
    assert!(
        doctor.contains("note limits: requests over LISTEN_SOCKET"),
        "{doctor}"
    );
    let doctor = printed(&run(&url, &heard, &["doctor"], ""));
    assert!(doctor.contains("ok   limits"), "{doctor}");
    let service = Service::start(&url, &silent);
    assert!(warns(&service));
    drop(service);
    assert!(!warns(&Service::start(&url, &heard)));
}

#[tokio::test]
async fn metrics_move_to_a_port_of_their_own() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[("ADMIN_PORT", "0")]);

    let admin = ask(service.port_for("admin"), "GET", "/metrics", &[], "");

    assert_eq!(admin.status, 200);
    assert!(admin.body.contains("requests_in_flight"));
    assert_eq!(service.get("/metrics").status, 404);
    assert_eq!(
        ask(service.port_for("admin"), "GET", "/auth/me", &[], "").status,
        404
    );
}
