//! Calls to other services, as part of the trace they are made in.

use std::future::Future;

use http::{Request, Response};
use tracing::{Instrument, field::Empty};

use super::spans::{Tracing, fail};

impl Tracing {
    /// Sends a request inside a client span, with the headers that let the other service continue the trace.
    ///
    /// `send` takes the request and makes the call with any client. The span has host and port
    /// of the address, and neither path nor query, which can contain secrets.
    ///
    /// # Errors
    ///
    /// The client's own.
    ///
    /// ```
    /// # use chassis_telemetry::{TelemetryOptions, Tracing};
    /// # let tracing = Tracing::new(&TelemetryOptions::new("notes"));
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let request = http::Request::get("http://prices.example/today").body(())?;
    /// let response = tracing
    ///     .call(request, async |request: http::Request<()>| {
    ///         // Here goes `client.request(request).await`.
    ///         Ok::<_, std::io::Error>(http::Response::new(()))
    ///     })
    ///     .await?;
    /// assert_eq!(response.status(), 200);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub async fn call<B, R, E, F>(
        &self,
        mut request: Request<B>,
        send: impl FnOnce(Request<B>) -> F,
    ) -> Result<Response<R>, E>
    where
        F: Future<Output = Result<Response<R>, E>>,
    {
        let (method, uri) = (request.method(), request.uri());
        let span = tracing::info_span!(
            "http_call",
            otel.name = method.as_str(),
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = method.as_str(),
            http.response.status_code = Empty,
            server.address = uri.host(),
            server.port = uri.port_u16(),
            error.r#type = Empty,
        );
        span.in_scope(|| self.propagate(request.headers_mut()));
        let outcome = send(request).instrument(span.clone()).await;
        if let Ok(response) = &outcome {
            let status = response.status();
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                fail(&span);
                span.record("error.type", tracing::field::display(status.as_u16()));
            }
        } else {
            fail(&span);
            // The text of an error can contain anything, so only its type is recorded.
            span.record("error.type", std::any::type_name::<E>());
        }
        outcome
    }
}
