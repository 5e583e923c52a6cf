//! Targets of requests: whatever is asked for, the answer is one that is meant, and the service is no oracle.
//!
//! The whole router answers, without a database behind it.

#![no_main]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use chassis_http::Router;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Empty};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use warp_skeleton::{
    app::App,
    routes,
    settings::{self, Settings},
    shared::clock::Clock,
};

const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made")
});

static ROUTER: LazyLock<Arc<Router>> = LazyLock::new(|| {
    let pairs = [
        ("APP_ENV", "test"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
    ];
    let values = settings::values(pairs).expect("the pairs are settings");
    let settings = Settings::read(&values).expect("the settings can be used");
    let _entered = RUNTIME.enter();
    let app = App::build(&settings, Clock::system()).expect("nothing is connected to");
    routes::router(&app)
});

fuzz_target!(|input: (u8, &[u8])| {
    let (method, target) = input;
    let Ok(uri) = Uri::try_from(target) else {
        return;
    };
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = METHODS[usize::from(method) % METHODS.len()].clone();
    *request.uri_mut() = uri.clone();
    request
        .headers_mut()
        .insert(header::HOST, header::HeaderValue::from_static("localhost"));
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (status, body) = RUNTIME.block_on(async {
        let response = ROUTER.respond(request, Some(peer)).await;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("the body is in memory");
        (status, body.to_bytes())
    });
    let is_meant = matches!(status, 200 | 204 | 304 | 400 | 401 | 404 | 405 | 415 | 422)
        // Probes tell that there is no database.
        || (status == 503 && matches!(uri.path(), "/ready" | "/health"));
    assert!(is_meant, "{status} for {uri}");
    if status == 404 {
        let body = String::from_utf8_lossy(&body);
        assert!(
            body.is_empty() || body.contains("\"code\":\"not_found\""),
            "{body}"
        );
    }
});
