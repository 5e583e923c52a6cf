//! Clients of HTTP/1 that hold a connection without getting on, and what becomes of them.

use std::{net::SocketAddr, time::Duration};

use http::{Request, Response};
use http_body_util::BodyExt;
use prometheus::Registry;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use warp::Filter;

use super::{
    GET, LAST_GET, RequestBody, ServerHandle, ServerMetrics, ServerOptions, connect, eventually,
    hello, listen, options, read_until, rest_of, service_fn, start, start_hello,
};

const SHORT: Duration = Duration::from_millis(50);

async fn start_large(options: &ServerOptions) -> (ServerHandle, SocketAddr) {
    let (listener, address) = listen(options).await;
    let large = warp::path!("hello").map(|| vec![b'x'; 16 * 1024 * 1024]);
    let small = warp::path!("small").map(|| "small");
    let service = warp::service(large.or(small).boxed());
    let metrics = ServerMetrics::default();
    (
        start(listener, move |_| service.clone(), options, &metrics),
        address,
    )
}

/// A client that asks for more than it reads, and goes on asking.
async fn stall(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address).await;
    stream.write_all(&GET.repeat(20)).await.unwrap();
    read_until(&mut stream, "HTTP/1.1 200").await;
    stream
}

async fn small(address: SocketAddr) -> String {
    let mut stream = connect(address).await;
    let request = b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    rest_of(stream).await
}

#[tokio::test]
async fn at_the_cap_a_reader_that_stalls_is_closed_for_a_new_connection() {
    let options = ServerOptions {
        max_connections: 2,
        stall_grace: SHORT,
        ..options()
    };
    let (_server, address) = start_large(&options).await;
    let stalled = [stall(address).await, stall(address).await];

    assert!(small(address).await.ends_with("small"));

    drop(stalled);
}

#[tokio::test]
async fn at_the_cap_a_body_that_does_not_arrive_is_given_up_for_a_new_connection() {
    let options = ServerOptions {
        max_connections: 2,
        stall_grace: SHORT,
        ..options()
    };
    let (listener, address) = listen(&options).await;
    let service = service_fn(async |request: Request<RequestBody>| {
        let body = request.into_body().collect().await?;
        Ok::<_, std::io::Error>(Response::new(http_body_util::Full::new(body.to_bytes())))
    });
    let metrics = ServerMetrics::default();
    let _server = start(listener, move |_| service, &options, &metrics);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(address).await;
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx";
        stream.write_all(head).await.unwrap();
        waiting.push(stream);
    }

    let mut new = connect(address).await;
    new.write_all(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
    )
    .await
    .unwrap();

    assert!(rest_of(new).await.ends_with("body"));
    drop(waiting);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_reader_that_stalls() {
    let options = ServerOptions {
        shutdown_stall_grace: SHORT,
        close_grace: SHORT,
        ..options()
    };
    let (server, address) = start_large(&options).await;
    let stalled = stall(address).await;

    assert_eq!(server.stop(super::LIMIT).await, 0, "it was waited for");

    drop(stalled);
}

#[tokio::test]
async fn a_kept_connection_may_be_idle_longer_than_a_head_may_take() {
    let options = ServerOptions {
        header_timeout: SHORT,
        ..options()
    };
    let (_server, address) = start_hello(&options).await;
    let mut stream = connect(address).await;
    stream.write_all(GET).await.unwrap();
    read_until(&mut stream, "hello").await;

    tokio::time::sleep(SHORT * 4).await;
    stream.write_all(LAST_GET).await.unwrap();

    assert!(rest_of(stream).await.ends_with("hello"));
}

#[tokio::test]
async fn a_further_head_may_not_take_longer_than_the_first() {
    let options = ServerOptions {
        header_timeout: SHORT,
        close_grace: SHORT,
        ..options()
    };
    let (_server, address) = start_hello(&options).await;
    let mut stream = connect(address).await;
    stream.write_all(GET).await.unwrap();
    read_until(&mut stream, "hello").await;

    stream.write_all(b"GET /hello HT").await.unwrap();

    assert_eq!(rest_of(stream).await, "");
}

#[tokio::test]
async fn beyond_its_own_cap_a_client_is_refused_while_it_uses_all_it_has() {
    let options = ServerOptions {
        max_connections_per_client: 2,
        stall_grace: super::LIMIT,
        ..options()
    };
    let (server, address) = start_large(&options).await;
    let in_use = [stall(address).await, stall(address).await];

    assert_eq!(small(address).await, "");
    drop(in_use);
    eventually(|| server.connections() == 0).await;

    assert!(small(address).await.ends_with("small"));
}

#[tokio::test]
async fn a_trusted_proxy_has_no_cap_of_its_own() {
    let options = ServerOptions {
        max_connections_per_client: 2,
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        stall_grace: super::LIMIT,
        ..options()
    };
    let (_server, address) = start_large(&options).await;
    let in_use = [stall(address).await, stall(address).await];

    assert!(small(address).await.ends_with("small"));

    drop(in_use);
}

#[tokio::test]
async fn what_hyper_answers_itself_is_counted_by_its_reason() {
    let options = options();
    let (listener, address) = listen(&options).await;
    let registry = Registry::new();
    let metrics = ServerMetrics::new(&registry);
    let _server = start(listener, |_| hello(), &options, &metrics);
    let many_headers = "A: b\r\n".repeat(120);
    let long_target = "x".repeat(70_000);
    let long_cookie = "x".repeat(40_000);

    for (request, status) in [
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), "400"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_owned(),
            "400",
        ),
        (format!("GET / HTTP/1.1\r\n{many_headers}\r\n"), "431"),
        (
            format!("GET / HTTP/1.1\r\nCookie: {long_cookie}\r\n\r\n"),
            "431",
        ),
        (format!("GET /{long_target} HTTP/1.1\r\n\r\n"), "4"),
    ] {
        let mut stream = connect(address).await;
        // It may be answered and closed before everything was written.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest_of(stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }

    let counted = registry.gather();
    let counts = |reason: &str| {
        let mut metrics = counted[0].get_metric().iter();
        let metric = metrics.find(|metric| metric.get_label()[0].value() == reason);
        metric.unwrap().get_counter().get_value().to_string()
    };
    assert_eq!(
        [counts("malformed_request"), counts("head_too_large")],
        ["2", "3"]
    );
}
