//! Clients that hold connections or make work without getting on themselves, in HTTP/2 and in HTTP/1.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{Case, Replica, Replicas, raw_verdict, verdict};
use crate::{
    http2::{
        CONTINUATION, DATA, GOAWAY, HEADERS, Http2, PING, RST_STREAM, SETTINGS, WHOLE, frame, head,
    },
    support::{connect, eventually, rest_of},
};

/// The largest thing that the service sends.
const ASSET: &str = "/docs/swagger-ui-bundle.js";

fn errors(replica: &Replica, reason: &str) -> f64 {
    replica.metric(&format!("connection_errors_total{{reason=\"{reason}\"}}"))
}

/// A client of HTTP/2 that takes nothing of its response.
fn zero_window(port: u16) -> Http2 {
    let mut client = Http2::connect(port, 0);
    client.get(1, "/live");
    assert!(client.next_of(HEADERS).is_some());
    client
}

/// A client of HTTP/1 that asks for much and reads nothing.
fn stalled_pipeline(port: u16) -> TcpStream {
    let mut stream = connect(port);
    let request = format!("GET {ASSET} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.repeat(50).as_bytes()).unwrap();
    await_bytes(&mut stream, b"HTTP/1.1 200");
    stream
}

/// A client of HTTP/1 that sends the first byte of its body and no more.
fn unfinished_body(port: u16) -> TcpStream {
    let mut stream = connect(port);
    let request = "POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                   Content-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    await_bytes(&mut stream, b"HTTP/1.1 100 Continue");
    stream.write_all(b"{").unwrap();
    stream
}

/// Waits until the service has begun with the request: until then the connection counts as new.
fn await_bytes(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expected);
}

#[tokio::test]
async fn h06_who_takes_nothing_and_only_pings_loses_the_place_to_a_newcomer() {
    let case = Case::begin();
    let replicas = Replicas::with(&[("MAX_CONNECTIONS", "20")]).await;
    let one = &replicas.one;
    let mut clients: Vec<_> = (0..20).map(|_| zero_window(one.port)).collect();
    let done = AtomicBool::new(false);

    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                for client in &mut clients {
                    // In vain to one that was closed.
                    let _ = client.send(PING, 0, 0, &[0; 8]);
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        let seen: Vec<_> = (0..5).map(|_| raw_verdict(&live(one.port))).collect();
        done.store(true, Ordering::SeqCst);
        for seen in seen {
            case.expect("a newcomer beside 20 zero windows", "200", seen);
        }
    });
}

/// What a newcomer gets, perhaps nothing. It waits for less than any time limit that would free a place.
fn live(port: u16) -> String {
    let mut stream = connect(port);
    let limit = Duration::from_secs(12);
    stream.set_read_timeout(Some(limit)).unwrap();
    let request = b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    rest_of(stream)
}

#[tokio::test]
async fn h06_who_stalls_in_the_middle_loses_the_place_to_a_newcomer() {
    let case = Case::begin();
    let patient = [
        ("MAX_CONNECTIONS", "5"),
        ("BODY_TIMEOUT_MS", "60000"),
        ("REQUEST_TIMEOUT_MS", "60000"),
        ("SEND_TIMEOUT_MS", "60000"),
    ];
    let replicas = Replicas::with(&patient).await;
    let one = &replicas.one;

    for (tried, begin) in [
        (
            "stalled pipelines",
            stalled_pipeline as fn(u16) -> TcpStream,
        ),
        ("unfinished bodies", unfinished_body),
    ] {
        let held: Vec<_> = (0..5).map(|_| begin(one.port)).collect();
        for _ in 0..3 {
            case.expect(tried, "200", raw_verdict(&live(one.port)));
        }
        drop(held);
    }
}

#[tokio::test]
async fn h06_a_stream_that_is_not_taken_is_reset_and_the_others_go_on() {
    let case = Case::begin();
    let replicas = Replicas::with(&[("SEND_TIMEOUT_MS", "500")]).await;
    let one = &replicas.one;
    let mut client = Http2::connect(one.port, 1_000);
    client.get(1, ASSET);
    client.get(3, "/live");

    let headers = [client.next_of(HEADERS), client.next_of(HEADERS)];
    let reset = client.next_of(RST_STREAM).map(|frame| frame.stream);
    client.get(5, "/live");
    let later = client.next_of(HEADERS).map(|frame| frame.stream);

    case.expect("responses", 2, headers.iter().flatten().count());
    case.expect("the stream that is reset", "Some(1)", format!("{reset:?}"));
    case.expect("a later stream", "Some(5)", format!("{later:?}"));
    case.expect("counted", 1.0, errors(one, "send_timeout"));
}

#[tokio::test]
async fn h06_a_reader_that_stalls_is_cut_though_its_connection_is_needed_by_nobody() {
    let case = Case::begin();
    let replicas = Replicas::with(&[("SEND_TIMEOUT_MS", "500")]).await;
    let one = &replicas.one;
    let held = stalled_pipeline(one.port);

    eventually("a cut", || {
        (errors(one, "send_timeout") > 0.0).then_some(())
    });

    let later = rest_of(held).matches("HTTP/1.1 200").count();
    case.expect("every response was sent", false, later >= 49);
}

#[tokio::test]
async fn h20_a_shutdown_does_not_wait_for_who_takes_nothing() {
    let case = Case::begin();
    let mut replicas = Replicas::start().await;
    let port = replicas.one.port;
    let held = (
        zero_window(port),
        stalled_pipeline(port),
        unfinished_body(port),
    );

    replicas.one.service.signal("TERM");
    let status = replicas.one.service.ended();

    case.expect("how the process ended", 0, status.code().unwrap());
    let lines = replicas.one.service.lines();
    let cut = lines
        .iter()
        .any(|line| line["message"] == "connections_cut");
    case.expect("cut by the time limit of the shutdown", false, cut);
    drop(held);
}

#[tokio::test]
async fn h02_floods_of_frames_end_their_connection_and_others_are_served() {
    let case = Case::begin();
    let replicas = Replicas::with(&[("SEND_TIMEOUT_MS", "1000")]).await;
    let one = &replicas.one;
    let resets = (1..2_000_u32).step_by(2).flat_map(|stream| {
        let mut pair = frame(HEADERS, WHOLE, stream, &head("/live"));
        pair.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        pair
    });
    let mut continuations = frame(HEADERS, 1, 1, &head("/live"));
    continuations.extend(frame(CONTINUATION, 0, 1, b"\x40\x01b\x01c").repeat(10_000));

    for (tried, flood) in [
        ("streams that are reset at once", resets.collect()),
        ("a head without an end", continuations),
    ] {
        let mut client = Http2::connect(one.port, 100);
        // It may be closed before everything was sent.
        let _ = client.0.write_all(&flood);
        case.expect(tried, true, client.next_of(GOAWAY).is_some());
        case.expect("another user", "200", verdict(&one.service.get("/live")));
    }
    case.expect("counted", 2.0, errors(one, "http2"));
    let mut client = Http2::connect(one.port, 100);
    let settings = frame(SETTINGS, 0, 0, &[]).repeat(10_000);
    // Its acknowledgements are not read, so that in the end none can be written.
    while client.0.write_all(&settings).is_ok() {}
    case.expect("another user", "200", verdict(&one.service.get("/live")));
}

#[tokio::test]
async fn h06_bodies_that_never_end_are_refused_once_a_connection_has_many() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let one = &replicas.one;
    let mut client = Http2::connect(one.port, 1 << 20);
    let length = 60_000;

    for stream in [1, 3, 5, 7, 9, 11] {
        client.post_json(stream, "/auth/token");
        for part in vec![b' '; length].chunks(10_000) {
            client.send(DATA, 0, stream, part).unwrap();
            // So that the service has read what came before, and the window is open.
            client.send(PING, 0, 0, &[0; 8]).unwrap();
            client.next_of(PING).unwrap();
        }
    }

    let refused = "request_count{method=\"POST\",path=\"/auth/token\",status_code=\"429\"}";
    let seen = eventually("429", || {
        let seen = one.metric(refused);
        (seen >= 2.0).then_some(seen)
    });
    case.expect("of six bodies of 60 000 bytes", 2.0, seen);
    client.get(13, "/live");
    let answered = std::iter::from_fn(|| client.next_of(HEADERS)).any(|frame| frame.stream == 13);
    case.expect("another request meanwhile", true, answered);
}
