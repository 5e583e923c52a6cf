//! Every endpoint in one table, and what happens to every request around them.
//!
//! warp would try one route after the other and forget which one matched. The
//! table finds the endpoint by path and method first; its filters then do
//! everything else. So an answer can never come from a neighbour, 404 and 405
//! are told apart without guessing, and the template is known as a label
//! before anything can fail.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use http::{HeaderValue, Method, Request, StatusCode, header, request::Parts};
use http_body::Body;
use matchit::Router as PathTable;
use tokio::time::Instant;
use tracing::{Instrument, Span};
use warp::reply::{Reply, Response};

use super::{
    body::RequestBody,
    context::{CORRELATION_HEADER, CorrelationId, Peer, RequestContext},
    endpoint::{Endpoint, Operation},
    forwarded,
    headers::ResponseHeaders,
    host,
    metrics::{EndpointSeries, HttpMetrics, Labels},
    problem::{BODY_TIMEOUT, INTERNAL_ERROR, METHOD_NOT_ALLOWED, Problem, REQUEST_TIMEOUT},
    rate_limit::{NetworkRateLimit, RateLimitClass},
    settings::WebSettings,
};
use crate::telemetry::{self, Incoming, Tracing};

/// The label of requests that no template matches.
const UNMATCHED: &str = "unmatched";

/// All endpoints, served.
pub struct Router {
    table: PathTable<Place>,
    settings: WebSettings,
    metrics: HttpMetrics,
    tracing: Tracing,
    headers: ResponseHeaders,
    limit: Option<NetworkRateLimit>,
}

/// The endpoints that share a path.
struct Place {
    template: &'static str,
    allow: HeaderValue,
    routes: Vec<Route>,
}

/// An endpoint, and where its answers are counted.
struct Route {
    endpoint: Endpoint,
    series: EndpointSeries,
}

/// What the table says about a request.
enum Found<'a> {
    Endpoint(&'a Route),
    /// `OPTIONS` on a path that exists.
    Options(&'a Place),
    WrongMethod(&'a Place),
    Nothing,
}

impl<'a> Found<'a> {
    fn template(&self) -> &'static str {
        match self {
            Self::Endpoint(route) => route.endpoint.operation.template,
            Self::Options(place) | Self::WrongMethod(place) => place.template,
            Self::Nothing => UNMATCHED,
        }
    }

    fn rate(&self) -> RateLimitClass {
        match self {
            Self::Endpoint(route) => route.endpoint.operation.rate_limit,
            Self::Options(_) | Self::WrongMethod(_) | Self::Nothing => RateLimitClass::Api,
        }
    }

    fn series(&self) -> Option<&'a EndpointSeries> {
        match self {
            Self::Endpoint(route) => Some(&route.series),
            Self::Options(_) | Self::WrongMethod(_) | Self::Nothing => None,
        }
    }
}

impl Router {
    /// Lays out the table.
    ///
    /// # Panics
    ///
    /// When two endpoints share method and path, or two templates cannot be told apart: a mistake in the program.
    #[must_use]
    pub fn new(
        endpoints: Vec<Endpoint>,
        settings: WebSettings,
        metrics: HttpMetrics,
        tracing: Tracing,
        limit: Option<NetworkRateLimit>,
    ) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for endpoint in endpoints {
            let Operation {
                method, template, ..
            } = &endpoint.operation;
            let known = places.iter().position(|place| place.template == *template);
            let index = known.unwrap_or_else(|| {
                places.push(Place {
                    template,
                    allow: HeaderValue::from_static(""),
                    routes: Vec::new(),
                });
                places.len() - 1
            });
            let place = &mut places[index];
            assert!(
                place.route(method).is_none(),
                "{method} {template} is stated twice"
            );
            place.routes.push(Route {
                series: EndpointSeries::new(method_label(method), &endpoint.operation),
                endpoint,
            });
        }
        let mut table = PathTable::new();
        for mut place in places {
            place.allow = place.list_methods();
            table
                .insert(place.template, place)
                .expect("templates can be told apart");
        }
        Self {
            table,
            headers: ResponseHeaders::new(&settings),
            settings,
            metrics,
            tracing,
            limit,
        }
    }

    /// Answers a request, whatever happens.
    ///
    /// What has to be known before anything can wait is found out at once: the future that is left
    /// is moved about and kept for every connection, so it holds nothing that is used up by then.
    pub fn respond<B>(
        &self,
        request: Request<B>,
        peer: Peer,
    ) -> impl Future<Output = Response> + Send + use<'_, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let started = Instant::now();
        let (found, path_values) = self.find(&parts);
        let template = found.template();
        let correlation_id = CorrelationId::of(&parts.headers);
        let method = method_label(&parts.method);
        let client_ip = forwarded::client_ip(peer, &parts.headers, &self.settings.trusted_proxies);
        let span = self.tracing.request(Incoming {
            method,
            template,
            correlation_id: correlation_id.as_str(),
            client_ip,
            head: &parts,
        });
        self.metrics.begin();
        let record = Record {
            metrics: &self.metrics,
            labels: Labels { method, template },
            series: found.series(),
            started,
            span: span.clone(),
            status: None,
            problem: None,
        };
        let context = Arc::new(RequestContext {
            client_ip,
            path_values,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: RequestBody::new(
                body,
                &parts.headers,
                self.settings.max_body_bytes,
                started + self.settings.body_timeout,
            ),
            correlation_id,
            started,
            rate_limit_status: OnceLock::new(),
        });
        let head = parts.method == Method::HEAD;
        let asked = self.headers.asked(&parts);
        let dispatched = span.in_scope(|| self.dispatch(&found, parts, &context));
        async move {
            let response = match dispatched {
                Ok(answer) => self.run(answer, &context).await,
                Err(problem) => problem.into_response(),
            };
            let (mut response, problem) = finish(response, &context, head).await;
            self.headers.complete(&asked, response.headers_mut());
            record.end(response.status(), problem);
            response
        }
        .instrument(span)
    }

    /// What the table says, and what the path holds where the template has `{…}`.
    fn find(&self, parts: &Parts) -> (Found<'_>, Vec<String>) {
        let Ok(matched) = self.table.at(parts.uri.path()) else {
            return (Found::Nothing, Vec::new());
        };
        let place = matched.value;
        if let Some(route) = place.route(&parts.method) {
            let values = matched.params.iter().map(|(_, value)| value.to_owned());
            return (Found::Endpoint(route), values.collect());
        }
        let found = if parts.method == Method::OPTIONS {
            Found::Options(place)
        } else {
            Found::WrongMethod(place)
        };
        (found, Vec::new())
    }

    /// Refuses a request of the class `api` whose source sends too many; the other classes have their own.
    fn admit(&self, found: &Found<'_>, context: &RequestContext) -> Result<(), Problem> {
        let Some(limit) = self.limit.as_ref().filter(|_| found.rate() == RateLimitClass::Api) else {
            return Ok(());
        };
        if let Some(status) = limit.admit(context.client_ip)? {
            context.rate_limit_status.get_or_init(|| status);
        }
        Ok(())
    }

    /// Hands the request to its endpoint, or answers in its place.
    fn dispatch(
        &self,
        found: &Found<'_>,
        parts: Parts,
        context: &Arc<RequestContext>,
    ) -> Result<BoxFuture<'static, Response>, Problem> {
        self.admit(found, context)?;
        host::check(&parts)?;
        match found {
            Found::Endpoint(route) => {
                let mut request = Request::from_parts(parts, context.body.clone());
                request.extensions_mut().insert(Arc::clone(context));
                Ok((route.endpoint.serve)(request))
            }
            Found::Options(place) => Ok(ready(place.options()).boxed()),
            Found::WrongMethod(place) => Err(Problem::new(
                &METHOD_NOT_ALLOWED,
                "this address does not have this method",
            )
            .header(header::ALLOW, place.allow.clone())),
            Found::Nothing => Err(Problem::not_found()),
        }
    }

    /// Waits for an endpoint's answer within the time limit; a panic ends only this request.
    async fn run(
        &self,
        answer: BoxFuture<'static, Response>,
        context: &RequestContext,
    ) -> Response {
        let answer = AssertUnwindSafe(answer).catch_unwind();
        let deadline = context.started + self.settings.request_timeout;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(response)) => response,
            // The panic hook has written the log line, with this span's fields.
            Ok(Err(_)) => {
                let detail = "something went wrong on our side; report the correlation id";
                Problem::new(&INTERNAL_ERROR, detail).into_response()
            }
            Err(_) if context.body.is_arriving() => {
                Problem::new(&BODY_TIMEOUT, "the body did not arrive in time").into_response()
            }
            Err(_) => Problem::new(&REQUEST_TIMEOUT, "the answer took too long")
                .retry_after(1)
                .into_response(),
        }
    }
}

impl Place {
    fn route(&self, method: &Method) -> Option<&Route> {
        let served_by = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut routes = self.routes.iter();
        routes.find(|route| route.endpoint.operation.method == *served_by)
    }

    fn list_methods(&self) -> HeaderValue {
        let mut methods: Vec<&str> = self
            .routes
            .iter()
            .map(|route| route.endpoint.operation.method.as_str())
            .collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.sort_unstable();
        HeaderValue::from_str(&methods.join(", ")).expect("methods are tokens")
    }

    fn options(&self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response
            .headers_mut()
            .insert(header::ALLOW, self.allow.clone());
        response
    }
}

/// Completes a reply with what is the same for all of them. Tells the code of the problem that it is.
async fn finish(
    mut response: Response,
    context: &RequestContext,
    head: bool,
) -> (Response, Option<&'static str>) {
    let problem = response.extensions_mut().remove::<Problem>();
    let code = problem.as_ref().map(|problem| problem.kind().code);
    if let Some(problem) = problem {
        log_failure(&problem);
        response = problem.render(context.correlation_id.as_str());
    }
    let whole = context.body.drain().await;
    let headers = response.headers_mut();
    if !whole {
        // What is still coming cannot be told from a next request.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(CORRELATION_HEADER, context.correlation_id.to_header());
    if let Some(status) = context.rate_limit_status.get() {
        status.tell(headers);
    }
    if head {
        response = without_body(response);
    }
    (response, code)
}

/// A reply to `HEAD`: the same headers, the length among them, and nothing else.
fn without_body(response: Response) -> Response {
    let length = response.body().size_hint().exact();
    let (mut parts, _) = response.into_parts();
    if let Some(length) = length {
        parts
            .headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Bytes::new().into())
}

/// Writes a failure of ours to the log: the one time it is written.
fn log_failure(problem: &Problem) {
    if !problem.kind().status.is_server_error() {
        return;
    }
    let code = problem.kind().code;
    let error = problem.cause_chain();
    tracing::error!(code, error, "request_failed");
}

/// The method as a label: the ones in use by name, so that a client cannot make new ones up.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

/// Counts and logs a request when it ends, also when its client has gone.
struct Record<'a> {
    metrics: &'a HttpMetrics,
    labels: Labels,
    series: Option<&'a EndpointSeries>,
    started: Instant,
    span: Span,
    status: Option<StatusCode>,
    problem: Option<&'static str>,
}

impl Record<'_> {
    fn end(mut self, status: StatusCode, problem: Option<&'static str>) {
        self.status = Some(status);
        self.problem = problem;
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        // 499 is what proxies write for a client that left before its answer.
        let status = self.status.map_or(499, |status| status.as_u16());
        let elapsed = self.started.elapsed();
        self.metrics.end(self.labels, status, elapsed, self.series);
        telemetry::end_request_span(&self.span, status, self.problem);
        self.span.in_scope(|| {
            tracing::info!(
                target: "request",
                status_code = status,
                duration_ms = milliseconds(elapsed),
                "request_completed"
            );
        });
    }
}

/// Milliseconds with two decimals: what a person reads in a log line.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
