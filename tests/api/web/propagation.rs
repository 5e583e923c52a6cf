//! What the service tells whoever it calls about where the call comes from.

use chassis_http::{Endpoint, get, public};
use chassis_telemetry::Tracing;
use warp::reply::Response;
use warp_skeleton::settings::{self, Settings};

use crate::support::{Answer, TestApp};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// `GET /call`: calls another service, and answers with the headers it sent there.
fn calling_endpoint() -> Endpoint {
    let settings = Settings::read(&settings::values([("", ""); 0]).unwrap()).unwrap();
    let tracing = Tracing::new(&settings.telemetry);
    get("/call", "Call on", public())
        .with(tracing)
        .handler(call_on)
}

async fn call_on(tracing: Tracing) -> Response {
    let request = http::Request::get("http://elsewhere.example/").body(());
    let sent = tracing.call(request.unwrap(), async |request| {
        let mut response = Response::default();
        *response.headers_mut() = request.headers().clone();
        Ok::<_, std::io::Error>(response)
    });
    sent.await.unwrap()
}

async fn answer_to(headers: &[(&str, &str)]) -> Answer {
    let app = TestApp::with_endpoints(&[], vec![calling_endpoint()]).await;
    let mut call = app.get("/call");
    for (name, value) in headers {
        call = call.header(*name, value);
    }
    call.send().await
}

#[tokio::test]
async fn what_a_caller_sent_is_passed_on() {
    for flags in ["00", "01"] {
        let traceparent = format!("00-{TRACE}-b7ad6b7169203331-{flags}");

        let answer = answer_to(&[
            ("traceparent", &traceparent),
            ("tracestate", "vendor=opaque"),
            ("baggage", "tenant=blue"),
        ])
        .await;

        // Nothing is recorded here, so the one who is called is the caller's own child.
        assert_eq!(answer.header("traceparent"), traceparent);
        assert_eq!(answer.header("tracestate"), "vendor=opaque");
        assert_eq!(answer.header("baggage"), "tenant=blue");
    }
}

#[tokio::test]
async fn without_a_caller_the_ids_of_the_log_lines_are_passed_on() {
    let answer = answer_to(&[]).await;

    let lines = crate::support::leaks::lines_of(answer.header("x-correlation-id"));
    let (trace_id, span_id) = (&lines[0]["trace_id"], &lines[0]["span_id"]);
    let expected = format!(
        "00-{}-{}-00",
        trace_id.as_str().unwrap(),
        span_id.as_str().unwrap()
    );
    assert_eq!(answer.header("traceparent"), expected);
}
