//! A server on a real port, seen by real clients.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test that fails, fails the test"
)]

mod http2;
mod stalled;

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chassis_server::{
    HttpService, ListenAddress, Listener, Peer, RequestBody, ServerHandle, ServerMetrics,
    ServerOptions, serve, service_fn, start,
};
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
    sync::{Notify, oneshot},
};
use warp::Filter;

const GET: &[u8] = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST_GET: &[u8] = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Far longer than anything here takes: a test that waits this long has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// Options whose timers do not fire within a test; each test shortens those it is about.
fn options() -> ServerOptions {
    ServerOptions {
        listen: ListenAddress::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 0,
        },
        header_timeout: LIMIT * 2,
        idle_timeout: LIMIT * 2,
        send_timeout: LIMIT * 2,
        ..ServerOptions::default()
    }
}

fn hello() -> impl HttpService {
    warp::service(warp::path!("hello").map(|| "hello").boxed())
}

async fn listen(options: &ServerOptions) -> (Listener, SocketAddr) {
    let listener = Listener::bind(&options.listen).await.unwrap();
    let address = listener.address().unwrap();
    (listener, address)
}

async fn start_hello(options: &ServerOptions) -> (ServerHandle, SocketAddr) {
    let (listener, address) = listen(options).await;
    (
        start(listener, |_| hello(), options, &ServerMetrics::default()),
        address,
    )
}

/// A service that reports when a request arrived and answers when it is let go.
fn gated(arrived: Arc<Notify>, release: Arc<Notify>) -> impl HttpService {
    service_fn(move |_: Request<RequestBody>| {
        let (arrived, release) = (Arc::clone(&arrived), Arc::clone(&release));
        async move {
            arrived.notify_one();
            release.notified().await;
            Ok::<_, Infallible>(Response::new("released".to_owned()))
        }
    })
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// What the server still sends until it closes the connection.
async fn rest_of(mut stream: impl AsyncReadExt + Unpin) -> String {
    let mut text = Vec::new();
    // A reset ends a connection as well.
    let _ = within_limit(stream.read_to_end(&mut text)).await;
    String::from_utf8(text).unwrap()
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let byte = within_limit(stream.read_u8()).await.unwrap();
        text.push(char::from(byte));
    }
    text
}

async fn within_limit<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap()
}

/// Waits for something that another task brings about.
async fn eventually(condition: impl Fn() -> bool) {
    within_limit(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_warp_filter_is_served_and_a_connection_is_used_again() {
    let (_server, address) = start_hello(&options()).await;
    let mut stream = connect(address).await;

    stream.write_all(GET).await.unwrap();
    let first = read_until(&mut stream, "hello").await;
    stream.write_all(LAST_GET).await.unwrap();
    let second = rest_of(stream).await;

    for reply in [first, second] {
        assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("hello"));
    }
}

#[tokio::test]
async fn the_service_is_made_once_per_connection_and_knows_the_client() {
    let options = options();
    let (listener, address) = listen(&options).await;
    let made = Arc::new(AtomicUsize::new(0));
    let make_service = {
        let made = Arc::clone(&made);
        move |peer: &Peer| {
            made.fetch_add(1, Ordering::SeqCst);
            let ip = peer.ip.unwrap().to_string();
            warp::service(warp::any().map(move || ip.clone()))
        }
    };
    let _server = start(listener, make_service, &options, &ServerMetrics::default());

    let mut stream = connect(address).await;
    stream.write_all(GET).await.unwrap();
    stream.write_all(LAST_GET).await.unwrap();
    let replies = rest_of(stream).await;

    assert_eq!(replies.matches("127.0.0.1").count(), 2);
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn http2_is_spoken_to_clients_that_begin_with_it() {
    let (_server, address) = start_hello(&options()).await;
    let stream = TokioIo::new(connect(address).await);
    let handshake = conn::http2::handshake(TokioExecutor::new(), stream).await;
    let (mut sender, connection) = handshake.unwrap();
    tokio::spawn(connection);

    let request = Request::get("http://localhost/hello").body(Empty::<Bytes>::new());
    let response = within_limit(sender.send_request(request.unwrap()))
        .await
        .unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.version(), Version::HTTP_2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn a_client_that_does_not_finish_a_head_is_cut_in_either_protocol() {
    let options = ServerOptions {
        header_timeout: Duration::from_millis(50),
        ..options()
    };
    let (server, address) = start_hello(&options).await;

    for begun in [
        "",
        "G",
        "GET /hello HTTP/1.1\r\nHost:",
        "PRI * HTTP/2.0\r\n",
    ] {
        let mut stream = connect(address).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert!(!rest_of(stream).await.contains("200"), "after {begun:?}");
    }

    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn a_connection_that_is_idle_too_long_is_closed_after_its_response() {
    let options = ServerOptions {
        idle_timeout: Duration::from_millis(50),
        ..options()
    };
    let (_server, address) = start_hello(&options).await;
    let mut stream = connect(address).await;

    stream.write_all(GET).await.unwrap();

    assert!(rest_of(stream).await.ends_with("hello"));
}

#[tokio::test]
async fn a_request_may_run_longer_than_the_header_timeout() {
    let options = ServerOptions {
        header_timeout: Duration::from_millis(20),
        ..options()
    };
    let (listener, address) = listen(&options).await;
    let slow = warp::any().then(async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        "late"
    });
    let _server = start(
        listener,
        move |_| warp::service(slow),
        &options,
        &ServerMetrics::default(),
    );
    let mut stream = connect(address).await;

    stream.write_all(LAST_GET).await.unwrap();

    assert!(rest_of(stream).await.ends_with("late"));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut() {
    let options = ServerOptions {
        send_timeout: Duration::from_millis(50),
        ..options()
    };
    let (listener, address) = listen(&options).await;
    let large = warp::any().map(|| vec![b'x'; 64 * 1024 * 1024]);
    let server = start(
        listener,
        move |_| warp::service(large),
        &options,
        &ServerMetrics::default(),
    );
    let mut stream = connect(address).await;
    stream.write_all(GET).await.unwrap();
    read_until(&mut stream, "HTTP/1.1 200").await;

    eventually(|| server.connections() == 0).await;

    drop(stream);
}

#[tokio::test]
async fn at_the_cap_the_connection_idle_longest_is_closed_for_a_new_one() {
    let options = ServerOptions {
        max_connections: 3,
        ..options()
    };
    let (server, address) = start_hello(&options).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(address).await;
        stream.write_all(GET).await.unwrap();
        read_until(&mut stream, "hello").await;
        open.push(stream);
    }
    // The first is used again, so the second has been idle longest.
    open[0].write_all(GET).await.unwrap();
    read_until(&mut open[0], "hello").await;

    let mut new = connect(address).await;
    new.write_all(GET).await.unwrap();
    read_until(&mut new, "hello").await;

    assert_eq!(rest_of(open.remove(1)).await, "");
    assert_eq!(server.connections(), 3);
    for mut stream in open {
        stream.write_all(LAST_GET).await.unwrap();
        assert!(rest_of(stream).await.ends_with("hello"));
    }
}

#[tokio::test]
async fn at_the_cap_a_new_connection_waits_while_all_are_busy() {
    let options = ServerOptions {
        max_connections: 1,
        ..options()
    };
    let (listener, address) = listen(&options).await;
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = gated(Arc::clone(&arrived), Arc::clone(&release));
    let _server = start(
        listener,
        move |_| service.clone(),
        &options,
        &ServerMetrics::default(),
    );
    let mut busy = connect(address).await;
    busy.write_all(GET).await.unwrap();
    within_limit(arrived.notified()).await;
    let mut new = connect(address).await;
    new.write_all(LAST_GET).await.unwrap();

    release.notify_one();
    assert!(rest_of(busy).await.ends_with("released"));
    within_limit(arrived.notified()).await;
    release.notify_one();

    assert!(rest_of(new).await.ends_with("released"));
}

#[tokio::test]
async fn a_shutdown_finishes_the_request_in_flight_closes_the_rest_and_returns() {
    let options = options();
    let (listener, address) = listen(&options).await;
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = gated(Arc::clone(&arrived), Arc::clone(&release));
    let (request_stop, stop_requested) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let shutdown = async { stop_requested.await.unwrap() };
        serve(listener, move |_| service.clone(), &options, shutdown).await
    });
    let mut idle = connect(address).await;
    idle.write_all(GET).await.unwrap();
    within_limit(arrived.notified()).await;
    release.notify_one();
    read_until(&mut idle, "released").await;
    let mut busy = connect(address).await;
    busy.write_all(GET).await.unwrap();
    within_limit(arrived.notified()).await;

    request_stop.send(()).unwrap();
    assert_eq!(rest_of(idle).await, "");
    assert!(!server.is_finished());
    release.notify_one();

    assert!(rest_of(busy).await.ends_with("released"));
    assert_eq!(within_limit(server).await.unwrap(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_serves_a_first_request_that_is_on_its_way() {
    let options = ServerOptions {
        first_request_grace: LIMIT,
        ..options()
    };
    let (server, address) = start_hello(&options).await;
    let mut new = connect(address).await;
    eventually(|| server.connections() == 1).await;

    let (cut, reply) = tokio::join!(server.stop(LIMIT), async {
        new.write_all(LAST_GET).await.unwrap();
        rest_of(new).await
    });

    assert!(reply.ends_with("hello"), "{reply:?}");
    assert_eq!(cut, 0);
}

#[tokio::test]
async fn a_shutdown_cuts_and_counts_what_does_not_finish_in_time() {
    let options = options();
    let (listener, address) = listen(&options).await;
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = gated(Arc::clone(&arrived), release);
    let server = start(
        listener,
        move |_| service.clone(),
        &options,
        &ServerMetrics::default(),
    );
    let mut stuck = connect(address).await;
    stuck.write_all(GET).await.unwrap();
    within_limit(arrived.notified()).await;

    let cut = within_limit(server.stop(Duration::from_millis(20))).await;

    assert_eq!(cut, 1);
    assert_eq!(rest_of(stuck).await, "");
}

#[tokio::test]
async fn dropping_the_handle_shuts_down() {
    let (server, address) = start_hello(&options()).await;
    let mut stream = connect(address).await;
    stream.write_all(GET).await.unwrap();
    read_until(&mut stream, "hello").await;

    drop(server);

    assert_eq!(rest_of(stream).await, "");
}

#[tokio::test]
async fn a_unix_socket_replaces_a_dead_one_but_not_a_live_one_and_is_removed() {
    let path = socket_path();
    let options = ServerOptions {
        listen: ListenAddress::Unix(path.clone()),
        ..options()
    };
    drop(UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&options.listen).await.unwrap();
    let peers = |peer: &Peer| {
        assert_eq!(peer.ip, None);
        hello()
    };
    let server = start(listener, peers, &options, &ServerMetrics::default());

    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(LAST_GET).await.unwrap();
    assert!(rest_of(stream).await.ends_with("hello"));
    let second = Listener::bind(&options.listen).await.unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
    assert!(second.to_string().contains(path.to_str().unwrap()));

    server.stop(LIMIT).await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_that_ends_is_gone_before_it_is_dead() {
    // A new process replaces a dead socket by one of its own, which this one must not remove.
    for _ in 0..300 {
        let path = socket_path().with_extension("ending");
        let listener = Listener::bind(&ListenAddress::Unix(path.clone())).await;
        let dying = std::thread::spawn(move || {
            loop {
                if let Err(error) = std::os::unix::net::UnixStream::connect(&path) {
                    return error.kind();
                }
            }
        });

        drop(listener.unwrap());

        assert_eq!(dying.join().unwrap(), std::io::ErrorKind::NotFound);
    }
}

fn socket_path() -> PathBuf {
    let name = format!("chassis-server-{}.sock", std::process::id());
    std::env::temp_dir().join(name)
}
