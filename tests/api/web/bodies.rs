//! The body of a request: how long, how slow and of what kind it may be.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, header};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::json;
use warp_skeleton::features::identity::Role;

use crate::support::{Answer, TestApp, leaks};

const CHUNK: usize = 16 * 1024;

/// Sends a body as a stream of unknown length, the way `Transfer-Encoding: chunked` arrives.
async fn send_stream<E>(
    app: &TestApp,
    path: &str,
    headers: &[(&str, &str)],
    chunks: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Answer
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let mut request = Request::post(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data)));
    let peer = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    app.send(request.body(body).unwrap(), peer).await
}

/// So many chunks, and how many of them were taken.
fn chunks(
    count: usize,
) -> (
    impl Stream<Item = Result<Bytes, Infallible>>,
    Arc<AtomicUsize>,
) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let chunks = stream::iter(0..count).map(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from(vec![b' '; CHUNK]))
    });
    (chunks, taken)
}

/// A body that begins and then does not go on.
fn stalling() -> impl Stream<Item = Result<Bytes, Infallible>> {
    let begin = stream::iter([Ok(Bytes::from_static(b"{\"email\": "))]);
    begin.chain(stream::pending())
}

async fn accounts(app: &TestApp) -> i64 {
    app.count("SELECT count(*) FROM users").await
}

/// A registration of exactly this many bytes.
fn registration(length: usize) -> String {
    let json = json!({"email": "long@marked.example", "password": "marked-password"}).to_string();
    let blanks = " ".repeat(length - json.len());
    json + &blanks
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit() {
    let app = TestApp::with(&[("MAX_BODY_BYTES", "100")]).await;

    let call = app.post("/auth/register").body(registration(100));
    let answer = call.header("content-type", "application/json").send().await;

    answer.assert_status(201);
}

#[tokio::test]
async fn a_body_one_byte_beyond_the_limit_is_too_large() {
    let app = TestApp::with(&[("MAX_BODY_BYTES", "100")]).await;

    let call = app.post("/auth/register").body(registration(101));
    let answer = call.header("content-type", "application/json").send().await;

    answer.assert_problem(413, "body_too_large");
    assert_eq!(accounts(&app).await, 0);
}

#[tokio::test]
async fn the_limit_is_64_kib_when_nobody_says_otherwise() {
    let app = TestApp::start().await;

    for (length, status) in [(65_536, 201), (65_537, 413)] {
        let call = app.post("/auth/register").body(registration(length));
        let answer = call.header("content-type", "application/json").send().await;

        answer.assert_status(status);
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_counted_while_it_arrives_and_the_rest_is_drained() {
    let app = TestApp::start().await;
    let (body, taken) = chunks(20);

    let answer = send_stream(&app, "/auth/register", &[], body).await;

    answer.assert_problem(413, "body_too_large");
    assert_eq!(taken.load(Ordering::Relaxed), 20);
    assert_eq!(answer.header(header::CONNECTION), "");
    assert_eq!(accounts(&app).await, 0);
}

#[tokio::test]
async fn no_more_than_a_mebibyte_of_the_rest_is_drained() {
    let app = TestApp::start().await;
    let (body, taken) = chunks(1000);

    let answer = send_stream(&app, "/auth/register", &[], body).await;

    answer.assert_problem(413, "body_too_large");
    let taken = taken.load(Ordering::Relaxed) * CHUNK;
    assert!((1024 * 1024..1280 * 1024).contains(&taken), "{taken}");
    assert_eq!(answer.header(header::CONNECTION), "close");
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_drained_too() {
    let app = TestApp::start().await;

    for (path, status, code) in [
        ("/nothing", 404, "not_found"),
        ("/live", 405, "method_not_allowed"),
        ("/auth/logout", 401, "unauthenticated"),
    ] {
        let (body, taken) = chunks(10);
        let answer = send_stream(&app, path, &[], body).await;

        answer.assert_problem(status, code);
        assert_eq!(taken.load(Ordering::Relaxed), 10, "{path}");
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_go_on_is_refused_without_its_body() {
    let app = TestApp::start().await;
    let (body, taken) = chunks(10);

    let headers = [("expect", "100-continue")];
    let answer = send_stream(&app, "/auth/logout", &headers, body).await;

    answer.assert_problem(401, "unauthenticated");
    assert_eq!(taken.load(Ordering::Relaxed), 0);
    assert_eq!(answer.header(header::CONNECTION), "close");
}

#[tokio::test]
async fn a_body_that_stalls_is_a_408() {
    let app = TestApp::with(&[("BODY_TIMEOUT_MS", "50")]).await;

    let answer = send_stream(&app, "/auth/register", &[], stalling()).await;

    answer.assert_problem(408, "body_timeout");
    assert_eq!(answer.header(header::CONNECTION), "close");
    assert_eq!(accounts(&app).await, 0);
}

#[tokio::test]
async fn a_body_that_outlasts_the_whole_request_is_a_408_as_well() {
    let app = TestApp::with(&[("REQUEST_TIMEOUT_MS", "50")]).await;

    let answer = send_stream(&app, "/auth/register", &[], stalling()).await;

    answer.assert_problem(408, "body_timeout");
}

#[tokio::test]
async fn a_body_that_drips_is_held_to_the_same_time() {
    let app = TestApp::with(&[("BODY_TIMEOUT_MS", "200")]).await;
    let drip = stream::unfold((), |()| async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
    });

    let answer = send_stream(&app, "/auth/register", &[], drip).await;

    answer.assert_problem(408, "body_timeout");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_400() {
    let app = TestApp::start().await;
    let broken = stream::iter([
        Ok(Bytes::from_static(b"{\"email\": ")),
        Err(io::Error::other("the connection broke")),
    ]);

    let answer = send_stream(&app, "/auth/register", &[], broken).await;

    answer.assert_problem(400, "invalid_request");
    assert_eq!(accounts(&app).await, 0);
}

#[tokio::test]
async fn a_body_may_come_in_pieces() {
    let app = TestApp::start().await;
    let json = registration(90);
    let pieces: Vec<_> = json
        .bytes()
        .map(|byte| Ok::<_, Infallible>(Bytes::from(vec![byte])))
        .collect();

    let answer = send_stream(&app, "/auth/register", &[], stream::iter(pieces)).await;

    answer.assert_status(201);
}

#[tokio::test]
async fn only_json_is_read() {
    let app = TestApp::start().await;

    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/xml")],
        &[("content-type", "application/jsonx")],
        &[("content-type", "application/problem+json")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "multipart/form-data; boundary=x")],
        &[
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
        ],
        &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ],
    ] {
        let mut call = app.post("/auth/register").body(registration(90));
        for (name, value) in headers {
            call = call.header(*name, value);
        }
        let answer = call.send().await;

        answer.assert_problem(415, "unsupported_media_type");
        assert_eq!(answer.header("accept-post"), "application/json");
        let is_encoded = headers.iter().any(|(name, _)| *name == "content-encoding");
        let coding = if is_encoded { "identity" } else { "" };
        assert_eq!(answer.header(header::ACCEPT_ENCODING), coding);
    }
    assert_eq!(accounts(&app).await, 0);
}

#[tokio::test]
async fn the_media_type_may_be_written_in_any_way_that_means_json() {
    let app = TestApp::start().await;

    for media_type in [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=\"UTF-8\"",
        // No parameter has an effect (RFC 8259, section 11).
        "application/json; charset=utf8",
        "application/json; charset=latin1",
        "application/json; profile=\"https://example.com/a;b\"",
        "application/json;",
    ] {
        let call = app
            .post("/auth/register")
            .header("content-type", media_type);
        let answer = call.body("{}").send().await;

        answer.assert_invalid(&["/email required"]);
    }
}

#[tokio::test]
async fn what_is_no_json_is_a_400_that_says_where_and_repeats_nothing() {
    let app = TestApp::start().await;

    for body in [
        "",
        "{",
        "email=a",
        "{\"email\": \"marked-password\"",
        "{\"email\": 'x'}",
        "{\"email\": \"a@marked.example\", \"password\": \"marked-password\"} {}",
        "{\"email\": \"\\ud800\"}",
    ] {
        let call = app.post("/auth/register").body(body);
        let answer = call.header("content-type", "application/json").send().await;

        answer.assert_problem(400, "malformed_json");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("line"), "{detail}");
        assert!(!answer.text().contains("marked-password"));
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_400() {
    let app = TestApp::start().await;

    let call = app
        .post("/auth/register")
        .body(&b"{\"email\": \"\xff\xfe\"}"[..]);
    let answer = call.header("content-type", "application/json").send().await;

    answer.assert_problem(400, "malformed_json");
}

#[tokio::test]
async fn a_document_as_deep_as_the_limit_allows_is_refused_and_nothing_breaks() {
    let app = TestApp::start().await;

    let call = app.post("/auth/register").body("[".repeat(65_536));
    let answer = call.header("content-type", "application/json").send().await;

    answer.assert_problem(400, "malformed_json");
    app.get("/live").send().await.assert_status(200);
}

#[tokio::test]
async fn a_refused_body_leaves_nothing_of_itself_in_the_log() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;

    let call = app.patch("/auth/me").bearer(&token);
    let answer = call
        .json(&json!({"email": 7, "marked-password": 1}))
        .send()
        .await;

    answer.assert_problem(422, "validation_failed");
    let lines = leaks::lines_of(answer.header("x-correlation-id"));
    assert!(!format!("{lines:?}").contains("marked"), "{lines:#?}");
}
