//! Calls to other services, as part of the trace they are made in.

use std::future::Future;

use http::{Request, Response};
use tracing::{Instrument, field::Empty};

use super::spans::{Tracing, fail};

impl Tracing {
    /// Sends a request inside a client span, with the headers that let the other service continue the trace.
    ///
    /// Any client will do: `send` takes the request and makes the call. The address
    /// is noted without path and query, which may hold what spans must not.
    ///
    /// ```
    /// # use warp_skeleton::{config::{Section, Values}, telemetry::{TelemetrySettings, Tracing}};
    /// # let values = Values::from_pairs([("", ""); 0])?;
    /// # let tracing = Tracing::new(&TelemetrySettings::read(&values)?);
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let request = http::Request::get("http://prices.example/today").body(())?;
    /// let response = tracing
    ///     .call(request, async |request: http::Request<()>| {
    ///         // Here goes `client.request(request).await`.
    ///         Ok::<_, std::io::Error>(http::Response::new(()))
    ///     })
    ///     .await?;
    /// assert_eq!(response.status(), 200);
    /// # anyhow::Ok(())
    /// # })?;
    /// # anyhow::Ok(())
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
            // What an error says may hold anything; its type may not.
            span.record("error.type", std::any::type_name::<E>());
        }
        outcome
    }
}
