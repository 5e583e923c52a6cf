//! Traces in a real Jaeger: the one on `PATH`, started by `scripts/jaeger`. Held against 2.13 (the
//! module v1.76.0, built from source).

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use super::{
    cluster,
    support::{Folder, Service, connect, eventually, rest_of},
};

/// A checkout's scripts and configuration in a folder of the test's own, and three free ports.
struct Checkout {
    folder: Folder,
    ports: [(&'static str, u16); 3],
}

impl Checkout {
    fn new() -> Self {
        let folder = Folder::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in [
            "scripts/jaeger",
            "scripts/lib.sh",
            "ops/jaeger/dev.yml",
            "Cargo.toml",
        ] {
            let to = folder.join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root.join(file), to).unwrap();
        }
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [viewer, grpc, otlp] = listeners.map(|listener| listener.local_addr().unwrap().port());
        let ports = [
            ("JAEGER_PORT", viewer),
            ("JAEGER_GRPC_PORT", grpc),
            ("OTLP_PORT", otlp),
        ];
        Self { folder, ports }
    }

    fn jaeger(&self, command: &str, settings: &[(&str, &str)]) -> Output {
        Command::new(self.folder.join("scripts/jaeger"))
            .arg(command)
            .envs(self.ports.map(|(name, port)| (name, port.to_string())))
            .envs(settings.iter().copied())
            .output()
            .unwrap()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.jaeger("stop", &[]);
    }
}

#[test]
fn each_of_its_ports_is_looked_at_before_it_is_started() {
    let checkout = Checkout::new();

    for (name, port) in checkout.ports {
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let refused = checkout.jaeger("start", &[]);

        assert!(!refused.status.success(), "{name}: {refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr);
        let expected = format!("port {port} is used by another program: set {name}");
        assert!(said.contains(&expected), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_read_back_from_a_real_jaeger_which_does_not_trace_itself() {
    if Command::new("jaeger").arg("version").output().is_err() {
        println!("SKIPPED: there is no jaeger on PATH");
        return;
    }
    let checkout = Checkout::new();
    // Where it would send traces of its own, at once.
    let own = TcpListener::bind("127.0.0.1:0").unwrap();
    let own_endpoint = format!("http://{}", own.local_addr().unwrap());
    let eager = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", own_endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
    ];
    let started = checkout.jaeger("start", &eager);
    assert!(started.status.success(), "{started:?}");
    let [(_, viewer), _, (_, otlp)] = checkout.ports;
    let url = cluster::new_database().await;
    let endpoint = format!("http://127.0.0.1:{otlp}");
    let settings = [
        ("OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let service = Service::start(&url, &settings);
    let account = json!({"email": "jaeger@marked.example", "password": "marked-password-1"});
    assert_eq!(service.post("/auth/register", None, &account).status, 201);

    let signed_in = service.post("/auth/token", None, &account);

    assert_eq!(signed_in.status, 200);
    let id = signed_in.header("x-correlation-id");
    let line = eventually("its line", || {
        service
            .lines()
            .into_iter()
            .find(|line| line["message"] == "request_completed" && line["correlation_id"] == id)
    });
    let trace = line["trace_id"].as_str().unwrap();
    let spans = eventually("the trace", || spans_of(viewer, trace));
    for expected in [
        "POST /auth/token",
        "password_hash",
        "sessions_open",
        "commit",
    ] {
        assert!(
            spans.iter().any(|span| span["operationName"] == expected),
            "{expected} is missing: {spans:?}"
        );
    }
    let roots = spans.iter().filter(|span| {
        let references = span["references"].as_array();
        references.is_none_or(Vec::is_empty)
    });
    let roots: Vec<_> = roots.map(|span| &span["operationName"]).collect();
    assert_eq!(roots, ["POST /auth/token"]);
    // At its end it would send what it has at the latest.
    checkout.jaeger("stop", &[]);
    own.set_nonblocking(true).unwrap();
    assert!(own.accept().is_err(), "it sends traces of its own");
}

/// The spans of a trace once its root has arrived, by the API of the viewer.
fn spans_of(viewer: u16, trace: &str) -> Option<Vec<Value>> {
    let mut stream = connect(viewer);
    // By HTTP/1.0, so that the body is not sent in chunks.
    let request = format!("GET /api/traces/{trace} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let reply = rest_of(stream);
    let (_, body) = reply.split_once("\r\n\r\n")?;
    let found: Value = serde_json::from_str(body).ok()?;
    let spans = found["data"][0]["spans"].as_array()?.clone();
    let is_whole = spans
        .iter()
        .any(|span| span["operationName"] == "POST /auth/token");
    is_whole.then_some(spans)
}
