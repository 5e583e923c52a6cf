//! What leaves the process as traces, decoded from what is really sent.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use serde_json::{Value, json};

use super::{
    cluster,
    collector::{Collector, attribute, hex},
    support::{Reply, Service, ask, eventually},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The spans of a sign-in: the server's, and inside it those of hashing and of SQL.
const SIGN_IN: [&str; 8] = [
    "POST /auth/token",
    "auth_networks_find_by_email",
    "auth_networks_remember",
    "begin",
    "commit",
    "password_hash",
    "sessions_open",
    "users_lock_for_no_key_update",
];

/// Sends spans at once.
fn eager<'a>(endpoint: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut settings = vec![
        ("OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    settings.extend(more);
    settings
}

fn account() -> Value {
    json!({"email": "traced@marked.example", "password": "marked-password-1"})
}

/// Signs in as part of the caller's trace.
fn sign_in(service: &Service, flags: &str) -> Reply {
    let traceparent = format!("00-{TRACE}-{CALLER}-{flags}");
    let headers = [
        ("Content-Type", "application/json"),
        ("traceparent", traceparent.as_str()),
        ("tracestate", "vendor=opaque"),
        ("User-Agent", "a test"),
    ];
    let body = account().to_string();
    ask(service.port(), "POST", "/auth/token", &headers, &body)
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| {
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        panic!("no span {name} among {names:?}")
    })
}

/// The line that says how the one request to this template ended.
fn completed(service: &Service, path: &str) -> Value {
    eventually("the request's line", || {
        let mut lines = service.lines().into_iter();
        lines.find(|line| line["message"] == "request_completed" && line["path"] == path)
    })
}

#[tokio::test]
async fn a_login_is_a_trace_that_continues_the_callers() {
    let url = cluster::new_database().await;
    let collector = Collector::start();
    let service = Service::start(&url, &eager(&collector.endpoint(), &[]));
    assert_eq!(service.post("/auth/register", None, &account()).status, 201);

    assert_eq!(sign_in(&service, "01").status, 200);

    let server = eventually("the server span", || {
        let spans = collector.trace(TRACE);
        spans
            .into_iter()
            .find(|span| span.name == "POST /auth/token")
    });
    let spans = collector.trace(TRACE);
    assert_eq!(hex(&server.parent_span_id), CALLER);
    assert_eq!(server.trace_state, "vendor=opaque");
    assert_eq!(server.kind(), SpanKind::Server);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/auth/token"),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "a test"),
    ] {
        assert_eq!(
            attribute(&server.attributes, name).as_deref(),
            Some(value),
            "{name}"
        );
    }
    let line = completed(&service, "/auth/token");
    assert_eq!(line["trace_id"], TRACE);
    assert_eq!(line["span_id"], hex(&server.span_id).as_str());
    assert_eq!(
        attribute(&server.attributes, "correlation_id").unwrap(),
        line["correlation_id"].as_str().unwrap()
    );

    // All of them: a crate whose spans are no longer recorded would be missing here, and nowhere else.
    let names = spans.iter().map(|span| span.name.as_str());
    // A connection is opened by the first request that needs one, which need not be this one.
    let tree: BTreeSet<_> = names.filter(|name| *name != "connect").collect();
    let expected = BTreeSet::from(SIGN_IN);
    assert_eq!(tree, expected);
    let hash = named(&spans, "password_hash");
    assert!(
        attribute(&hash.attributes, "queue_ms")
            .unwrap()
            .parse::<f64>()
            .unwrap()
            >= 0.0
    );
    let statements: Vec<_> = spans
        .iter()
        .filter(|span| attribute(&span.attributes, "db.query.summary").is_some())
        .collect();
    assert!(statements.len() >= 3, "{statements:#?}");
    for span in &statements {
        assert_eq!(span.kind(), SpanKind::Client);
        assert_eq!(
            attribute(&span.attributes, "db.system.name").unwrap(),
            "postgresql"
        );
        assert_ne!(
            attribute(&span.attributes, "db.operation.name").unwrap(),
            ""
        );
    }
    let named_statements = statements
        .iter()
        .filter(|span| !["begin", "commit"].contains(&span.name.as_str()));
    assert!(named_statements.count() >= 3, "{statements:#?}");
    for span in spans.iter().filter(|span| span.span_id != server.span_id) {
        assert_eq!(span.parent_span_id, server.span_id, "{}", span.name);
    }
    let text = format!("{spans:?}");
    for secret in ["marked", "eyJ"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_machine_without_certificates_may_send_spans_in_the_clear() {
    let url = cluster::new_database().await;
    let collector = Collector::start();
    let bare = [("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")];
    let service = Service::start(&url, &eager(&collector.endpoint(), &bare));
    assert_eq!(service.post("/auth/register", None, &account()).status, 201);

    sign_in(&service, "01");

    eventually("a span", || {
        (!collector.trace(TRACE).is_empty()).then_some(())
    });
}

#[tokio::test]
async fn what_is_not_sampled_or_excluded_is_not_sent_and_keeps_its_ids() {
    let url = cluster::new_database().await;
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let settings = eager(&endpoint, &[("LOG_LEVEL", "info,request=debug")]);
    let mut service = Service::start(&url, &settings);
    assert_eq!(service.post("/auth/register", None, &account()).status, 201);

    assert_eq!(sign_in(&service, "00").status, 200);
    let sampled = format!("00-{TRACE}-{CALLER}-01");
    let probe = ask(
        service.port(),
        "GET",
        "/live",
        &[("traceparent", &sampled)],
        "",
    );
    assert_eq!(probe.status, 200);
    service.signal("TERM");
    service.ended();

    assert!(collector.exports() > 0, "the registration was recorded");
    assert_eq!(collector.trace(TRACE).len(), 0);
    for path in ["/auth/token", "/live"] {
        let line = completed(&service, path);
        assert_eq!(line["trace_id"], TRACE);
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
    }
}

#[tokio::test]
async fn with_a_ratio_of_nothing_only_callers_have_traces() {
    let url = cluster::new_database().await;
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let settings = eager(&endpoint, &[("TRACE_SAMPLE_RATIO", "0")]);
    let mut service = Service::start(&url, &settings);
    assert_eq!(service.post("/auth/register", None, &account()).status, 201);
    assert_eq!(sign_in(&service, "01").status, 200);

    service.signal("TERM");
    service.ended();

    let spans = collector.spans();
    assert_ne!(spans.len(), 0);
    assert!(
        spans.iter().all(|span| hex(&span.trace_id) == TRACE),
        "{spans:#?}"
    );
}

#[tokio::test]
async fn the_standard_variables_are_honoured() {
    let url = cluster::new_database().await;
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20key"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=blue,deployment.environment.name=stage",
        ),
        ("OTEL_SERVICE_NAME", "named-by-standard"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let service = Service::start(&url, &settings);
    service.get("/nothing");

    let (head, resource) = collector.first_export();

    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf\r\n"),
        "{head}"
    );
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    assert!(head.contains("api-key: a key\r\n"), "{head}");
    for (name, value) in [
        ("service.name", "named-by-standard"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("team", "blue"),
        ("deployment.environment.name", "stage"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(
            attribute(&resource.attributes, name).as_deref(),
            Some(value),
            "{name}"
        );
    }
    assert_eq!(service.lines()[0]["service"], "named-by-standard");
}

#[tokio::test]
async fn headers_for_traces_replace_those_for_everything() {
    let url = cluster::new_database().await;
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let file = std::env::temp_dir().join(format!("headers-{}", std::process::id()));
    std::fs::write(&file, "authorization=Bearer%20mine").unwrap();
    let general = "authorization=Bearer%20cluster,x-cluster=yes";
    let settings = [
        ("OTEL_EXPORTER_OTLP_HEADERS", general),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS_FILE",
            file.to_str().unwrap(),
        ),
    ];
    let service = Service::start(&url, &eager(&endpoint, &settings));
    service.get("/nothing");

    let (head, _) = collector.first_export();
    std::fs::remove_file(&file).unwrap();

    assert!(head.contains("authorization: bearer mine\r\n"), "{head}");
    assert!(!head.contains("cluster"), "{head}");
    assert!(head.contains("user-agent: "), "{head}");
}

#[tokio::test]
async fn a_trace_is_recorded_by_the_id_that_it_has() {
    let url = cluster::new_database().await;
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let mut service = Service::start(&url, &eager(&endpoint, &[("TRACE_SAMPLE_RATIO", "0.5")]));
    for _ in 0..40 {
        service.get("/nothing");
    }

    service.signal("TERM");
    service.ended();

    let spans = collector.spans();
    assert_ne!(spans.len(), 0);
    for span in spans {
        // The highest bit of the 63 that a ratio is taken of.
        assert!(span.trace_id[8] < 0x80, "{}", hex(&span.trace_id));
    }
}

#[tokio::test]
async fn a_failure_is_found_by_the_correlation_id_of_its_answer() {
    let url = cluster::new_database().await;
    let collector = Collector::start();
    let settings = [
        ("PASSWORD_HASH_CONCURRENCY", "1"),
        ("PASSWORD_HASH_WAIT_MS", "1"),
        ("SCRYPT_LOG_N", "14"),
        ("SCRYPT_P", "5"),
        ("RATE_LIMIT", "off"),
    ];
    let service = Service::start(&url, &eager(&collector.endpoint(), &settings));
    // Of several logins at once, all but one find the queue closed.
    let port = service.port();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let headers = [("Content-Type", "application/json")];
                ask(
                    port,
                    "POST",
                    "/auth/token",
                    &headers,
                    &account().to_string(),
                )
            })
        })
        .collect();
    let replies: Vec<Reply> = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .collect();
    let failed = replies.iter().find(|reply| reply.status == 503).unwrap();
    let id = failed.json()["correlation_id"].clone();

    let span = eventually("the failed request's span", || {
        let spans = collector.spans();
        spans
            .into_iter()
            .find(|span| attribute(&span.attributes, "correlation_id").as_deref() == id.as_str())
    });

    assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(
        attribute(&span.attributes, "error.type"),
        failed.json()["code"].as_str().map(Into::into)
    );
    completed(&service, "/auth/token");
    let lines = service.lines();
    let of_request: Vec<_> = lines
        .iter()
        .filter(|line| line["correlation_id"] == id)
        .collect();
    let failures = of_request
        .iter()
        .filter(|line| line["message"] == "request_failed");
    assert_eq!(failures.count(), 1, "{of_request:#?}");
    for line in of_request {
        assert_eq!(line["trace_id"], hex(&span.trace_id).as_str());
    }
    let children = collector.trace(&hex(&span.trace_id));
    let hash = children
        .iter()
        .find(|span| span.name == "password_hash")
        .unwrap();
    assert_eq!(
        attribute(&hash.attributes, "error.type").as_deref(),
        Some("busy")
    );
}

#[tokio::test]
async fn a_background_task_is_a_trace_of_its_own() {
    let url = cluster::new_database().await;
    let collector = Collector::start();
    let service = Service::start(&url, &eager(&collector.endpoint(), &[]));

    let root = eventually("the clean-up", || {
        let spans = collector.spans();
        spans
            .into_iter()
            .find(|span| span.name == "session_cleanup")
    });

    assert_eq!(root.parent_span_id, Vec::<u8>::new());
    let trace = collector.trace(&hex(&root.trace_id));
    assert!(
        trace.iter().any(|span| span.parent_span_id == root.span_id),
        "{trace:#?}"
    );
    let line = service.await_line("session_cleanup_completed");
    assert_eq!(line["trace_id"], hex(&root.trace_id).as_str());
    assert_eq!(line["task"], "session_cleanup");
}

/// How long this many requests take, one after the other.
fn time_of(service: &Service, requests: u32) -> Duration {
    let started = Instant::now();
    for _ in 0..requests {
        assert_eq!(service.get("/auth/me").status, 401);
    }
    started.elapsed()
}

/// How many spans the service counts as lost for this reason.
fn dropped_spans(service: &Service, reason: &str) -> u64 {
    let metrics = service.get("/metrics").body;
    let series = format!("spans_dropped_total{{reason=\"{reason}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_hanging_collector_slows_neither_requests_nor_the_end() {
    let url = cluster::new_database().await;
    let collector = Collector::hanging();
    let endpoint = collector.endpoint();
    let more = [
        ("TOKIO_WORKER_THREADS", "1"),
        // So little that the queue overflows at once.
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "60000"),
        ("SHUTDOWN_TIMEOUT_MS", "3000"),
    ];
    let mut hung = Service::start(&url, &eager(&endpoint, &more));
    let mut free = Service::start(&url, &[("TOKIO_WORKER_THREADS", "1")]);
    time_of(&hung, 20);
    eventually("an export that hangs", || {
        (collector.exports() > 0).then_some(())
    });

    let (with, without) = (time_of(&hung, 200), time_of(&free, 200));

    // A request that waited for the collector would have taken a minute.
    assert!(
        with < without * 20 + Duration::from_secs(2),
        "{with:?} against {without:?}"
    );
    let line = hung.await_line("trace_queue_full");
    assert!(line["spans"].as_u64() >= Some(1), "{line}");
    let dropped = dropped_spans(&hung, "queue_full");
    // Each request has a span at least; a few wait, and a few are on their way.
    assert!(dropped >= 200 - 8 - 2 * 4, "{dropped}");
    assert_eq!(dropped_spans(&free, "queue_full"), 0);
    let started = Instant::now();
    hung.signal("TERM");
    assert_eq!(hung.ended().code(), Some(0));
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert!(
        hung.lines()
            .iter()
            .any(|line| line["message"] == "trace_shutdown_failed")
    );
    free.signal("TERM");
    assert_eq!(free.ended().code(), Some(0));
}

#[tokio::test]
async fn a_dead_collector_is_reported_once_and_not_for_every_span() {
    let url = cluster::new_database().await;
    let nowhere = "http://127.0.0.1:1";
    let mut service = Service::start(&url, &eager(nowhere, &[("OTEL_BSP_SCHEDULE_DELAY", "1")]));
    let report = service.await_line("trace_export_failed");
    let error = report["error"].as_str().unwrap();
    assert!(error.to_lowercase().contains("refused"), "{error}");
    for _ in 0..50 {
        assert_eq!(service.get("/nothing").status, 404);
    }
    eventually("lost spans", || {
        (dropped_spans(&service, "export_failed") >= 50).then_some(())
    });

    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0));

    let lines = service.lines();
    let reports = lines
        .iter()
        .filter(|line| line["message"] == "trace_export_failed");
    assert_eq!(reports.count(), 1, "{lines:#?}");
    let others = lines.iter().filter(|line| {
        let target = line["target"].as_str().unwrap();
        target.starts_with("opentelemetry")
    });
    assert!(others.count() <= 1, "{lines:#?}");
}
