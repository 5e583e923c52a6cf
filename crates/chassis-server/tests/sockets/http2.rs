//! HTTP/2 by hand: what a client that keeps to no manners can do, and what becomes of it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use chassis_server::{RequestBody, ServerHandle, service_fn};
use http::{Request, Response};
use http_body_util::BodyExt;
use prometheus::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};
use warp::Filter;

use super::{
    GET, LAST_GET, LIMIT, Peer, ServerMetrics, ServerOptions, connect, eventually, gated, hello,
    listen, options, read_until, start, start_hello, within_limit,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const SHORT: Duration = Duration::from_millis(50);

/// A frame as it was received.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A connection that speaks HTTP/2 frame by frame.
struct Client(TcpStream);

impl Client {
    /// Says hello, with this much room for each response.
    async fn connect(address: std::net::SocketAddr, window: u32) -> Self {
        let mut client = Self(connect(address).await);
        client
            .0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        client.set_window(window).await;
        client
    }

    async fn set_window(&mut self, window: u32) {
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        self.send(SETTINGS, 0, 0, &settings).await;
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // The server may have gone: the test sees it by reading.
        let _ = self.0.write_all(&frame).await;
    }

    /// Reads a frame, keeps it if it is an answer's text, and returns its kind.
    async fn note_answer(&mut self, first_stream: u32, answers: &mut [String]) -> u8 {
        let frame = self.frame().await.unwrap();
        if let (DATA, Some(index)) = (frame.kind, frame.stream.checked_sub(first_stream)) {
            let text = String::from_utf8(frame.payload).unwrap();
            answers[index as usize / 2].push_str(&text);
        }
        frame.kind
    }

    /// `GET /hello` with nothing but entries of the static table and literals.
    async fn get(&mut self, stream: u32) {
        let head = b"\x82\x86\x04\x06/hello\x41\x01a";
        self.send(HEADERS, 0x5, stream, head).await;
    }

    /// The next frame; `None` at the end of the connection.
    async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within_limit(self.0.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        within_limit(self.0.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    /// Skips frames up to one of this kind.
    async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Reads a response to its end.
    async fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let frame = self.next_of(DATA).await.unwrap();
            body.extend(&frame.payload);
            if frame.flags & 1 == 1 {
                return body;
            }
        }
    }
}

/// A body that is larger than what the kernel's buffers hold.
fn large() -> Vec<u8> {
    (0..8 * 1024 * 1024_u32)
        .map(|number| number.to_le_bytes()[0])
        .collect()
}

fn count(registry: &Registry, reason: &str) -> f64 {
    let family = &registry.gather()[0];
    let found = family
        .get_metric()
        .iter()
        .find(|metric| metric.get_label()[0].value() == reason);
    found.unwrap().get_counter().get_value()
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_reset_and_the_connection_goes_on() {
    let options = ServerOptions {
        send_timeout: SHORT,
        ..options()
    };
    let (listener, address) = listen(&options).await;
    let registry = Registry::new();
    let metrics = ServerMetrics::new(&registry);
    let _server = start(listener, |_| hello(), &options, &metrics);
    let mut client = Client::connect(address, 0).await;

    client.get(1).await;

    assert_eq!(client.next_of(HEADERS).await.unwrap().stream, 1);
    assert_eq!(client.next_of(RST_STREAM).await.unwrap().stream, 1);
    assert!((count(&registry, "send_timeout") - 1.0).abs() < f64::EPSILON);
    client.set_window(100).await;
    client.get(3).await;
    assert_eq!(client.body().await, b"hello");
}

#[tokio::test]
async fn a_stream_is_reset_when_a_single_byte_of_its_last_part_is_taken() {
    let options = ServerOptions {
        send_timeout: SHORT,
        ..options()
    };
    let (_server, address) = start_hello(&options).await;
    let mut client = Client::connect(address, 1).await;

    client.get(1).await;

    assert_eq!(client.next_of(DATA).await.unwrap().payload, b"h");
    assert_eq!(client.next_of(RST_STREAM).await.unwrap().stream, 1);
}

#[tokio::test]
async fn a_stream_whose_client_takes_it_slowly_is_not_reset() {
    let options = ServerOptions {
        send_timeout: SHORT * 10,
        ..options()
    };
    let (listener, address) = listen(&options).await;
    let body = warp::any().map(|| vec![b'x'; 8 * 16 * 1024]);
    let metrics = ServerMetrics::default();
    let _server = start(listener, move |_| warp::service(body), &options, &metrics);
    let mut client = Client::connect(address, 0).await;
    client.get(1).await;
    client.next_of(HEADERS).await.unwrap();

    let mut taken = 0;
    for _ in 0..8 {
        tokio::time::sleep(SHORT * 2).await;
        let room = (16 * 1024_u32).to_be_bytes();
        client.send(WINDOW_UPDATE, 0, 1, &room).await;
        client.send(WINDOW_UPDATE, 0, 0, &room).await;
        taken += client.next_of(DATA).await.unwrap().payload.len();
    }

    assert_eq!(taken, 8 * 16 * 1024);
}

#[tokio::test]
async fn at_the_cap_a_client_that_takes_nothing_and_only_pings_is_closed_for_a_new_one() {
    let options = ServerOptions {
        max_connections: 2,
        stall_grace: SHORT,
        ..options()
    };
    let (_server, address) = start_hello(&options).await;
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(address, 0).await;
        client.get(1).await;
        client.next_of(HEADERS).await.unwrap();
        stalled.push(client);
    }
    let pings = tokio::spawn(async move {
        loop {
            for client in &mut stalled {
                client.send(PING, 0, 0, &[0; 8]).await;
            }
            tokio::time::sleep(SHORT / 10).await;
        }
    });

    let mut new = connect(address).await;
    new.write_all(GET).await.unwrap();

    assert!(read_until(&mut new, "hello").await.contains("200"));
    pings.abort();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_client_that_takes_nothing() {
    let options = ServerOptions {
        shutdown_stall_grace: SHORT,
        close_grace: SHORT,
        ..options()
    };
    let (server, address) = start_hello(&options).await;
    let mut client = Client::connect(address, 0).await;
    client.get(1).await;
    client.next_of(HEADERS).await.unwrap();

    let cut = within_limit(server.stop(LIMIT * 2)).await;

    assert_eq!(cut, 0, "it was waited for");
    assert!(client.next_of(GOAWAY).await.is_some());
}

#[tokio::test]
async fn a_shutdown_waits_for_the_service_beside_a_stalled_stream() {
    let options = ServerOptions {
        shutdown_stall_grace: SHORT,
        close_grace: SHORT,
        ..options()
    };
    let (listener, address) = listen(&options).await;
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = gated(Arc::clone(&arrived), Arc::clone(&release));
    let metrics = ServerMetrics::default();
    let server = start(listener, move |_| service.clone(), &options, &metrics);
    let mut client = Client::connect(address, 0).await;
    for stream in [1, 3] {
        client.get(stream).await;
        within_limit(arrived.notified()).await;
    }
    release.notify_one();
    client.next_of(HEADERS).await.unwrap();

    let (_, ()) = tokio::join!(server.stop(LIMIT), async {
        tokio::time::sleep(SHORT * 4).await;
        release.notify_one();
        assert!(client.next_of(HEADERS).await.is_some(), "it was cut");
    });
}

#[tokio::test]
async fn a_response_of_many_parts_arrives_whole_in_either_protocol() {
    let options = options();
    let (listener, address) = listen(&options).await;
    let body = warp::any().map(large);
    let metrics = ServerMetrics::default();
    let _server = start(listener, move |_| warp::service(body), &options, &metrics);

    let mut plain = connect(address).await;
    plain.write_all(LAST_GET).await.unwrap();
    let mut answer = Vec::new();
    within_limit(plain.read_to_end(&mut answer)).await.unwrap();
    let mut client = Client::connect(address, 1 << 30).await;
    client
        .send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())
        .await;
    client.get(1).await;

    assert!(answer.ends_with(&large()));
    assert_eq!(client.body().await, large());
}

#[tokio::test]
async fn a_client_that_resets_its_streams_at_once_is_closed() {
    let options = options();
    let (listener, address) = listen(&options).await;
    let registry = Registry::new();
    let metrics = ServerMetrics::new(&registry);
    let server = start(listener, |_| hello(), &options, &metrics);
    let mut client = Client::connect(address, 100).await;

    let mut burst = Vec::new();
    for stream in (1..2_000_u32).step_by(2) {
        let head = b"\x82\x86\x04\x06/hello\x41\x01a";
        burst.extend([0, 0, 13, HEADERS, 0x5]);
        burst.extend(stream.to_be_bytes());
        burst.extend(head);
        burst.extend([0, 0, 4, RST_STREAM, 0]);
        burst.extend(stream.to_be_bytes());
        burst.extend([0, 0, 0, 8]);
    }
    let _ = client.0.write_all(&burst).await;

    assert!(client.next_of(GOAWAY).await.is_some());
    eventually(|| server.connections() == 0).await;
    assert!(count(&registry, "http2") >= 1.0);
}

#[tokio::test]
async fn a_head_of_endless_continuations_ends_the_connection() {
    let (server, address) = start_hello(&options()).await;
    let mut client = Client::connect(address, 100).await;

    client.send(HEADERS, 0, 1, b"\x82\x86\x84\x41\x01a").await;
    for _ in 0..10_000 {
        client.send(CONTINUATION, 0, 1, b"\x40\x01b\x01c").await;
    }

    while client.frame().await.is_some() {}
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn a_client_that_never_reads_its_settings_acknowledged_is_cut() {
    let options = ServerOptions {
        send_timeout: SHORT,
        ..options()
    };
    let (server, address) = start_hello(&options).await;
    let mut client = Client::connect(address, 100).await;
    eventually(|| server.connections() == 1).await;

    let flood = tokio::spawn(async move {
        let frames = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00".repeat(10_000);
        while client.0.write_all(&frames).await.is_ok() {}
    });

    eventually(|| server.connections() == 0).await;
    flood.abort();
}

/// A service that keeps the whole body of a request, and echoes its length, on a connection from this client.
async fn start_collecting(options: &ServerOptions) -> (ServerHandle, std::net::SocketAddr) {
    let (listener, address) = listen(options).await;
    let make_service = |_: &Peer| {
        service_fn(|request: Request<RequestBody>| async move {
            let body = request.into_body().collect().await;
            let text = match body {
                Ok(body) => body.to_bytes().len().to_string(),
                Err(error) => format!("{:?}", error.kind()),
            };
            Ok::<_, Infallible>(Response::new(text))
        })
    };
    let server = start(listener, make_service, options, &ServerMetrics::default());
    (server, address)
}

/// Sends eight bodies of 20 000 bytes, all but their last byte; then the last bytes. Returns the answers.
async fn send_bodies(client: &mut Client, first_stream: u32) -> Vec<String> {
    let streams = || (0..8).map(|number| 2 * number + first_stream);
    let mut answers = vec![String::new(); 8];
    for stream in streams() {
        let head = b"\x83\x86\x84\x41\x01a";
        client.send(HEADERS, 0x4, stream, head).await;
        for part in [8_000, 8_000, 3_999] {
            client.send(DATA, 0, stream, &vec![b'x'; part]).await;
        }
        // One after the other: the server's window has room for few of them until the service has read these.
        client.send(PING, 0, 0, &[7; 8]).await;
        while client.note_answer(first_stream, &mut answers).await != PING {}
    }
    for stream in streams() {
        client.send(DATA, 1, stream, b"x").await;
    }
    while answers.iter().any(String::is_empty) {
        client.note_answer(first_stream, &mut answers).await;
    }
    answers
}

#[tokio::test]
async fn bodies_of_one_connection_that_hold_too_much_fail_and_the_others_arrive() {
    let options = ServerOptions {
        max_http2_body_bytes: 70_000,
        ..options()
    };
    let (_server, address) = start_collecting(&options).await;
    let mut client = Client::connect(address, 1 << 20).await;

    // What the first ones held is free again for the second.
    for first_stream in [1, 17] {
        let answers = send_bodies(&mut client, first_stream).await;

        let whole = answers.iter().filter(|answer| *answer == "20000").count();
        let refused = answers.iter().filter(|answer| *answer == "QuotaExceeded");
        assert_eq!((whole, refused.count()), (3, 5), "{answers:?}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_may_have_the_bodies_of_many_clients() {
    let options = ServerOptions {
        max_http2_body_bytes: 1,
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..options()
    };
    let (_server, address) = start_collecting(&options).await;
    let mut client = Client::connect(address, 1 << 20).await;

    assert_eq!(send_bodies(&mut client, 1).await, vec!["20000"; 8]);
}
