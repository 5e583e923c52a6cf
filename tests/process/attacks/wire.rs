//! Clients that break the rules of the connection itself: framing, pace and parting.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use serde_json::json;

use super::{Case, Replicas, begin, raw_verdict, verdict};
use crate::{
    cluster,
    support::{connect, eventually, rest_of},
};

/// Makes an idle connection close soon, so that the end of an answer is seen.
const HURRIED: (&str, &str) = ("IDLE_TIMEOUT_MS", "1000");

/// How many answers there are in what came.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

/// A request that would be seen in the metrics if it were taken for one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// The start of a request to sign in.
fn sign_in_with(headers: &str) -> String {
    format!(
        "POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{headers}\r\n\r\n"
    )
}

#[tokio::test]
async fn h02_a_request_whose_length_is_in_doubt_is_refused_and_ends_the_connection() {
    let case = Case::begin();
    let replicas = Replicas::with(&[HURRIED]).await;
    let one = &replicas.one;
    let length = SMUGGLED.len();

    for (tried, headers) in [
        (
            "two lengths",
            format!("Content-Length: 2\r\nContent-Length: {length}"),
        ),
        (
            "two lengths in a list",
            format!("Content-Length: 2, {length}"),
        ),
        ("a length with a plus", "Content-Length: +2".to_owned()),
        ("a length with a minus", "Content-Length: -2".to_owned()),
        (
            "a length with a blank inside",
            "Content-Length: 2 0".to_owned(),
        ),
        ("a length in hexadecimal", "Content-Length: 0x2".to_owned()),
        ("a length that is none", "Content-Length: two".to_owned()),
        ("an empty length", "Content-Length:".to_owned()),
        (
            "a length beyond 64 bits",
            "Content-Length: 18446744073709551618".to_owned(),
        ),
        ("a blank before the colon", "Content-Length : 2".to_owned()),
        (
            "a blank before the colon of the coding",
            "Transfer-Encoding : chunked".to_owned(),
        ),
        (
            "a folded coding",
            "Transfer-Encoding:\r\n chunked".to_owned(),
        ),
        ("a folded header", "X-Folded: a\r\n b".to_owned()),
        ("a header without a name", ": a".to_owned()),
        (
            "a coding that is none",
            "Transfer-Encoding: identity".to_owned(),
        ),
        (
            "an unknown coding",
            "Transfer-Encoding: xchunked".to_owned(),
        ),
        (
            "chunked, but not last",
            "Transfer-Encoding: chunked, identity".to_owned(),
        ),
        ("a bare CR", "X-Bare: a\rContent-Length: 2".to_owned()),
    ] {
        let answer = one.say(format!("{}{{}}{SMUGGLED}", sign_in_with(&headers)));
        case.expect(tried, "400", raw_verdict(&answer));
        case.expect(tried, 1, answers(&answer));
    }
    for request in [
        "GET /live\r\n",
        "GET /live\r\n\r\n",
        "GET /live HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET  /live HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        case.expect(request, "400", raw_verdict(&one.say(request)));
    }
    let unmatched = "request_count{method=\"GET\",path=\"unmatched\",status_code=\"404\"}";
    case.expect("requests out of bodies", 0.0, one.metric(unmatched));
    let twice = one.say([SMUGGLED, SMUGGLED].concat());
    case.expect("the control: two requests in a row", 2, answers(&twice));
    case.expect("are counted", 2.0, one.metric(unmatched));
}

#[tokio::test]
async fn h02_of_a_length_and_chunks_the_chunks_count_and_the_connection_ends() {
    let case = Case::begin();
    let replicas = Replicas::with(&[HURRIED]).await;
    let one = &replicas.one;

    for headers in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Transfer-Encoding: chunked\r\nContent-Length: 600",
    ] {
        let answer = one.say(format!("{}0\r\n\r\n{SMUGGLED}", sign_in_with(headers)));
        case.expect(headers, "400 malformed_json", raw_verdict(&answer));
        case.expect(headers, 1, answers(&answer));
    }
    for (tried, chunks, expected) in [
        (
            "a chunk in pieces",
            "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "422 validation_failed",
        ),
        (
            "an extension",
            "2;a=\"b\"\r\n{}\r\n0\r\n\r\n",
            "422 validation_failed",
        ),
        (
            "a trailer",
            "2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
            "422 validation_failed",
        ),
        (
            "a size that is none",
            "zz\r\n{}\r\n0\r\n\r\n",
            "400 invalid_request",
        ),
        (
            "a size with a minus",
            "-2\r\n{}\r\n0\r\n\r\n",
            "400 invalid_request",
        ),
        (
            "a size beyond 64 bits",
            "10000000000000002\r\n{}\r\n0\r\n\r\n",
            "400 invalid_request",
        ),
        (
            "more than its size",
            "1\r\n{}\r\n0\r\n\r\n",
            "400 invalid_request",
        ),
        ("a line break alone", "2\n{}\n0\n\n", "400 invalid_request"),
    ] {
        let answer = one.say(format!(
            "{}{chunks}",
            sign_in_with("Transfer-Encoding: chunked")
        ));
        case.expect(tried, expected, raw_verdict(&answer));
        case.expect(tried, 1, answers(&answer));
    }
    let long = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(100_000));
    let answer = one.say(format!(
        "{}{long}",
        sign_in_with("Transfer-Encoding: chunked")
    ));
    case.expect(
        "an endless extension",
        "400 invalid_request",
        raw_verdict(&answer),
    );
    let unmatched = "request_count{method=\"GET\",path=\"unmatched\",status_code=\"404\"}";
    case.expect("requests out of bodies", 0.0, one.metric(unmatched));
}

/// Says one byte after the other until the connection is closed, then returns what was received.
fn drip(mut stream: TcpStream, start: &str) -> String {
    // Written in vain once the other side has closed.
    let _ = stream.write_all(start.as_bytes());
    stream.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    eventually("its end", || {
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => return Some(()),
                Ok(length) => heard.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return Some(()),
            }
        }
        thread::sleep(Duration::from_millis(50));
        let _ = stream.write_all(b"x");
        None
    });
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn h06_slow_and_silent_clients_are_cut_off_and_others_are_served_meanwhile() {
    let case = Case::begin();
    let replicas =
        Replicas::with(&[("HEADER_TIMEOUT_MS", "700"), ("BODY_TIMEOUT_MS", "700")]).await;
    let one = &replicas.one;
    let account = one.register("patient");
    let head = "GET /live HTTP/1.1\r\nHost: a\r\nX-Slow: ";
    let body = sign_in_with("Content-Length: 1000");
    let _silent: Vec<_> = (0..100).map(|_| connect(one.port)).collect();

    let outcomes: Vec<(&str, String)> = thread::scope(|scope| {
        let starts = [
            ("headers", head),
            ("the first line", "GET /"),
            ("a body", body.as_str()),
        ];
        let clients: Vec<_> = (0..30)
            .map(|number| {
                let (what, start) = starts[number % 3];
                scope.spawn(move || (what, drip(connect(one.port), start)))
            })
            .collect();
        for _ in 0..5 {
            let reply = one.try_sign_in(&account.email, &account.password);
            case.expect("another user meanwhile", "200", verdict(&reply));
        }
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });

    for (what, text) in &outcomes {
        let expected = if *what == "a body" {
            "408 body_timeout"
        } else {
            "closed"
        };
        case.expect(what, expected, raw_verdict(text));
    }
    let silent = connect(one.port);
    case.expect("who says nothing", "closed", raw_verdict(&rest_of(silent)));
    let in_flight = eventually("nothing in flight", || {
        (one.metric("requests_in_flight") <= 1.0).then_some(0)
    });
    case.expect("requests in flight but this one", 0, in_flight);
    case.expect(
        "sessions",
        "live live live live live",
        replicas.sessions_of(&account).await,
    );
}

#[tokio::test]
async fn h18_who_leaves_in_the_middle_takes_no_connection_and_leaves_nothing_half_done() {
    let case = Case::begin();
    let url = cluster::new_database().await;
    let replicas = Replicas::over(&url, &[HURRIED, ("DB_POOL_SIZE", "2")], &[]).await;
    let one = &replicas.one;
    let account = one.register("leaver");
    let pair = one.sign_in(&account);
    let refresh = json!({"refresh_token": pair.refresh}).to_string();
    let before = replicas.holdings().await;
    let gone = "request_count{method=\"POST\",path=\"/auth/refresh\",status_code=\"499\"}";

    let mut holder = cluster::connect(&url).await;
    let lock = holder.transaction().await.unwrap();
    lock.execute("SELECT id FROM sessions FOR UPDATE", &[])
        .await
        .unwrap();
    for (number, how) in ["leaves", "shuts its half"].into_iter().enumerate() {
        let stream = begin(one.port, "/auth/refresh", &refresh);
        replicas.waiting(1).await;
        if number == 0 {
            drop(stream);
        } else {
            stream.shutdown(Shutdown::Write).unwrap();
            case.expect(how, "closed", raw_verdict(&rest_of(stream)));
        }
        let expected = f64::from(u32::try_from(number).unwrap() + 1);
        let seen = eventually("a 499", || {
            (one.metric(gone) >= expected).then_some(expected)
        });
        case.expect("counted as 499", expected, seen);
        replicas.waiting(0).await;
    }
    lock.rollback().await.unwrap();

    case.unchanged(&before, &replicas.holdings().await);
    for _ in 0..3 {
        let stream = begin(one.port, "/auth/token", "");
        drop(stream);
        let mut stream = connect(one.port);
        stream
            .write_all(sign_in_with("Content-Length: 100").as_bytes())
            .unwrap();
        stream.write_all(b"{\"email\": ").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let seen = raw_verdict(&rest_of(stream));
        case.expect("in the middle of a body", "400 invalid_request", seen);
    }
    case.unchanged(&before, &replicas.holdings().await);
    eventually("nothing in flight", || {
        (one.metric("requests_in_flight") <= 1.0).then_some(())
    });
    case.expect(
        "the token is unused",
        "200",
        verdict(&one.refresh(&pair.refresh)),
    );
    case.expect("live branches", 1, replicas.live_branches().await);
    for _ in 0..3 {
        let reply = one.try_sign_in(&account.email, &account.password);
        case.expect("the pool is whole", "200", verdict(&reply));
    }
}

#[tokio::test]
async fn h20_a_sign_in_that_was_taken_is_finished_when_the_service_stops() {
    let case = Case::begin();
    let url = cluster::new_database().await;
    let mut replicas = Replicas::over(&url, &[], &[]).await;
    let account = replicas.one.register("last");
    let body = json!({"email": account.email, "password": account.password}).to_string();
    let mut holder = cluster::connect(&url).await;
    let lock = holder.transaction().await.unwrap();
    lock.execute("SELECT id FROM users FOR UPDATE", &[])
        .await
        .unwrap();
    let mut idle = connect(replicas.one.port);
    idle.write_all(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let stream = begin(replicas.one.port, "/auth/token", &body);
    replicas.waiting(1).await;

    replicas.one.service.signal("TERM");

    replicas.one.service.await_line("stopping");
    case.expect("an idle connection", "200", raw_verdict(&rest_of(idle)));
    eventually("refused", || {
        TcpStream::connect(("127.0.0.1", replicas.one.port))
            .is_err()
            .then_some(())
    });
    lock.rollback().await.unwrap();
    let text = rest_of(stream);
    case.expect("the sign-in", "200", raw_verdict(&text));
    let closes = text.to_lowercase().contains("connection: close\r\n");
    case.expect("it says that the connection ends", true, closes);
    let status = replicas.one.service.ended();
    case.expect("how the process ended", 0, status.code().unwrap());
    let cut = replicas
        .one
        .service
        .lines()
        .iter()
        .any(|line| line["message"] == "connections_cut");
    case.expect("connections cut", false, cut);
    case.expect("sessions", "live", replicas.sessions_of(&account).await);
    let pair = super::Pair::of(&crate::support::Reply::parse(&text).unwrap());
    case.expect(
        "its token, elsewhere",
        "200",
        verdict(&replicas.two.me(&pair.access)),
    );
}
