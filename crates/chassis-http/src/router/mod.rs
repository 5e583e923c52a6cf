//! The router: finds the endpoint of a request, and does what every request needs around it.
//!
//! warp by itself tries one route after the other and forgets which one matched. Here a table finds the endpoint
//! by path and method first; the filters of that endpoint do everything else. So no answer comes from another
//! endpoint's filter, 404 and 405 are told apart without guessing, and the path template is known as a label
//! before anything can fail.
//!
//! A request passes these steps. Steps 1 to 3 run before the first `await`, so that the future which is moved
//! about and kept for every connection holds nothing that they alone use.
//!
//! 1. Look-up, correlation id, client address, span. From here on the request is recorded whatever happens,
//!    because [`RequestRecord`] writes on drop.
//! 2. Admission: the rate limit of the default class, then the `Host` header.
//! 3. Dispatch: the endpoint's filters get the request, with its [`RequestContext`] in the extensions. `OPTIONS`,
//!    405 and 404 are answered here.
//! 4. The answer is awaited up to the time limit. A panic in it is caught: it ends this request alone.
//! 5. Completion: a problem becomes JSON and, if it is a failure of the service, a log line with its causes; the
//!    rest of the body is drained; headers are added; for `HEAD` the body is removed.

mod record;
mod table;

use std::{
    error::Error,
    fmt,
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, OnceLock},
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use http::{HeaderValue, Method, Request, header, request::Parts};
use http_body::Body;
use tokio::time::Instant;
use tracing::{Instrument, Span};
use warp::reply::{Reply, Response};

use self::{
    record::{RequestRecord, log_failure},
    table::{Found, RoutingTable},
};
use super::{
    body::RequestBody,
    context::RequestContext,
    correlation_id::{CORRELATION_HEADER, CorrelationId},
    endpoint::Endpoint,
    forwarded,
    headers::ResponseHeaders,
    host,
    metrics::{HttpMetrics, Labels, method_label},
    options::HttpOptions,
    problem::{BODY_TIMEOUT, INTERNAL_ERROR, METHOD_NOT_ALLOWED, Problem, REQUEST_TIMEOUT},
    rate_limit::{NetworkRateLimit, RateLimitClass},
};

/// A request that has just arrived, for the function that makes its span.
#[derive(Debug, Clone, Copy)]
pub struct IncomingRequest<'a> {
    /// The method, `OTHER` if it is not one of the usual ones: a client cannot make new values of a label.
    pub method: &'static str,
    /// The path template of the endpoint, or `unmatched`.
    pub template: &'static str,
    /// The correlation id.
    pub correlation_id: &'a str,
    /// The address of the client, as far as it is known.
    pub client_ip: Option<IpAddr>,
    /// Method, URI, version and headers.
    pub head: &'a Parts,
}

type MakeSpan = dyn Fn(IncomingRequest<'_>) -> Span + Send + Sync;

type IsStarted = dyn Fn() -> bool + Send + Sync;

/// What a request is refused for while the service starts.
#[derive(Debug, thiserror::Error)]
#[error("the service is still starting")]
struct NotStarted;

/// All endpoints of a listener.
pub struct Router {
    table: RoutingTable,
    options: HttpOptions,
    metrics: HttpMetrics,
    headers: ResponseHeaders,
    make_span: Box<MakeSpan>,
    limit: Option<NetworkRateLimit>,
    is_started: Box<IsStarted>,
}

impl Router {
    /// A router for these endpoints, without a rate limit and with [`default_span`] as the span of a request.
    ///
    /// # Panics
    ///
    /// When two endpoints share method and path, or two templates match the same paths.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, options: HttpOptions, metrics: HttpMetrics) -> Self {
        Self {
            table: RoutingTable::new(endpoints),
            headers: ResponseHeaders::new(&options),
            options,
            metrics,
            make_span: Box::new(default_span),
            limit: None,
            is_started: Box::new(|| true),
        }
    }

    /// Answers with a 503 while this returns false: for a service that listens before it knows that it can work, so that its
    /// probes answer. Endpoints of the class [`RateLimitClass::EXEMPT`] answer all the time: probes, metrics, documentation.
    #[must_use]
    pub fn with_start(mut self, is_started: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.is_started = Box::new(is_started);
        self
    }

    /// Limits the endpoints of the class [`RateLimitClass::DEFAULT`] per client network.
    #[must_use]
    pub fn with_rate_limit(mut self, limit: NetworkRateLimit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Makes the span of each request with this function.
    ///
    /// The request runs within the span. When it ends the router records `http.response.status_code` and, for
    /// 5xx, `otel.status_code` (`ERROR`) and `error.type` (the code of the problem) if the span declares them.
    #[must_use]
    pub fn with_span(
        mut self,
        make_span: impl Fn(IncomingRequest<'_>) -> Span + Send + Sync + 'static,
    ) -> Self {
        self.make_span = Box::new(make_span);
        self
    }

    /// Answers a request. `peer` is the address of the connection's other end, `None` for a unix socket.
    ///
    /// Dropping the future cancels the request.
    pub fn respond<B>(
        &self,
        request: Request<B>,
        peer: Option<IpAddr>,
    ) -> impl Future<Output = Response> + Send + use<'_, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let (found, path_values) = self.table.find(&parts);
        let deadline = started + self.options.body_timeout;
        let context = Arc::new(RequestContext {
            client_ip: forwarded::client_ip(peer, &parts.headers, &self.options.trusted_proxies),
            method: parts.method.clone(),
            scope: found.scope(),
            path_values,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: RequestBody::new(body, &parts.headers, self.options.max_body_bytes, deadline),
            correlation_id: CorrelationId::of(&parts.headers),
            started,
            rate_limit_status: OnceLock::new(),
            response_headers: Mutex::default(),
        });
        let record = self.begin(&found, &parts, &context);
        let span = record.span.clone();
        let head = parts.method == Method::HEAD;
        let cors = self.headers.cors_request(&parts);
        let dispatched = span.in_scope(|| self.dispatch(&found, parts, &context));
        async move {
            let mut response = match dispatched {
                Ok(answer) => self.run(answer, &context).await,
                Err(problem) => problem.into_response(),
            };
            let problem = self.finish(&mut response, &context, head).await;
            self.headers.complete(&cors, response.headers_mut());
            record.end(response.status(), problem);
            response
        }
        .instrument(span)
    }

    /// Makes the span and begins the record of a request.
    fn begin<'a>(
        &'a self,
        found: &Found<'a>,
        parts: &Parts,
        context: &RequestContext,
    ) -> RequestRecord<'a> {
        let (method, template) = (method_label(&parts.method), found.template());
        let span = (self.make_span)(IncomingRequest {
            method,
            template,
            correlation_id: context.correlation_id.as_str(),
            client_ip: context.client_ip,
            head: parts,
        });
        self.metrics.begin();
        RequestRecord {
            metrics: &self.metrics,
            labels: Labels { method, template },
            series: found.series(),
            is_probe: found.is_probe(),
            started: context.started,
            span,
            status: None,
            problem: None,
        }
    }

    /// Passes the request to its endpoint, or answers it if there is none.
    fn dispatch(
        &self,
        found: &Found<'_>,
        parts: Parts,
        context: &Arc<RequestContext>,
    ) -> Result<BoxFuture<'static, Response>, Problem> {
        self.admit(found, context)?;
        host::check(&parts)?;
        let needs_start =
            matches!(found, Found::Endpoint(_)) && found.rate_limit() != RateLimitClass::EXEMPT;
        if needs_start && !(self.is_started)() {
            return Err(Problem::unavailable(NotStarted));
        }
        match found {
            Found::Endpoint(route) => {
                let mut request = Request::from_parts(parts, context.body.clone());
                request.extensions_mut().insert(Arc::clone(context));
                Ok((route.endpoint.serve)(request))
            }
            Found::Options(entry) => Ok(ready(entry.options()).boxed()),
            Found::WrongMethod(entry) => Err(Problem::new(
                &METHOD_NOT_ALLOWED,
                "this address does not have this method",
            )
            .header(header::ALLOW, entry.allow.clone())),
            Found::Nothing => Err(Problem::not_found()),
        }
    }

    /// Applies the rate limit of the default class. The other classes have limiters of their own.
    fn admit(&self, found: &Found<'_>, context: &RequestContext) -> Result<(), Problem> {
        let limit = self.limit.as_ref();
        let Some(limit) = limit.filter(|_| found.rate_limit() == RateLimitClass::DEFAULT) else {
            return Ok(());
        };
        if let Some(status) = limit.admit(context.client_ip)? {
            context.rate_limit_status.get_or_init(|| status);
        }
        Ok(())
    }

    /// Awaits an endpoint's answer up to the time limit.
    async fn run(
        &self,
        answer: BoxFuture<'static, Response>,
        context: &RequestContext,
    ) -> Response {
        let answer = AssertUnwindSafe(answer).catch_unwind();
        let deadline = context.started + self.options.request_timeout;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(response)) => response,
            // The panic hook has logged the message, within this request's span.
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

    /// Completes a response, and returns the code of its problem if it is one.
    async fn finish(
        &self,
        response: &mut Response,
        context: &RequestContext,
        head: bool,
    ) -> Option<&'static str> {
        let problem = response.extensions_mut().remove::<Problem>();
        let code = problem.as_ref().map(|problem| problem.kind().code);
        if let Some(problem) = problem {
            log_failure(&problem);
            let id = context.correlation_id.as_str();
            *response = problem.render(id, &self.options.problem_type_prefix);
        }
        let is_drained = context.body.drain().await;
        let is_failure = response.status().is_client_error() || response.status().is_server_error();
        let headers = response.headers_mut();
        if !is_drained {
            // The rest of the body could not be told from a next request.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(CORRELATION_HEADER, context.correlation_id.to_header());
        if !is_failure {
            context.add_response_headers_to(headers).await;
        }
        if let Some(status) = context.rate_limit_status.get() {
            status.add_to(headers);
        }
        if head {
            remove_body(response);
        }
        code
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The span of a request, if the service makes none of its own.
#[must_use]
pub fn default_span(request: IncomingRequest<'_>) -> Span {
    tracing::info_span!(
        target: "request",
        "request",
        correlation_id = request.correlation_id,
        http.request.method = request.method,
        http.route = request.template,
        http.response.status_code = tracing::field::Empty,
    )
}

/// Makes the response one to `HEAD`: the same headers, with the length of the body, and no body.
fn remove_body(response: &mut Response) {
    let body = std::mem::replace(response.body_mut(), Bytes::new().into());
    if let Some(length) = body.size_hint().exact() {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}
