//! The definition of an endpoint.
//!
//! A definition names method, path template, purpose, who may call the endpoint, and its inputs and
//! outputs. Everything else is derived from it: the filter that serves requests, the labels of spans
//! and metrics, the answers to other methods, the entry in the OpenAPI document, the line that the
//! `routes` command prints, and the test that calls each route as each role.

use std::{convert::Infallible, str::FromStr, sync::Arc};

use futures_util::future::BoxFuture;
use http::{Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use tower_service::Service;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        RefOr,
        path::{Parameter, ParameterIn},
        request_body::RequestBody as BodyDoc,
        response::Response as ResponseDoc,
        schema::Schema,
    },
};
use warp::{
    Filter, Rejection,
    filters::BoxedFilter,
    reply::{Reply, Response},
};

use super::{
    body::{RequestBody, json_body},
    context::{RequestContext, context},
    guard::{Access, Guard, ReadGuard, WriteGuard},
    handler::{Append, RefuseQuery, Serve, into_problem},
    openapi,
    problem::{
        BODY_TIMEOUT, BODY_TOO_LARGE, INTERNAL_ERROR, INVALID_REQUEST, MALFORMED_JSON, NOT_FOUND,
        Problem, ProblemType, REQUEST_TIMEOUT, TOO_MANY_REQUESTS, UNAVAILABLE,
        UNSUPPORTED_MEDIA_TYPE, VALIDATION_FAILED,
    },
    query::query,
    rate_limit::{RateLimitClass, RateLimiter},
};

/// The definition of an endpoint, without the filter that serves it.
#[derive(Clone)]
pub struct Operation {
    /// The method; `HEAD` follows from `GET`.
    pub method: Method,
    /// The path, with `{name}` where a value goes.
    pub template: &'static str,
    /// Its purpose, in one line.
    pub summary: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The class of its rate limit.
    pub rate_limit: RateLimitClass,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<BodyDoc>,
    pub(super) responses: Vec<(StatusCode, ResponseDoc)>,
    pub(super) problems: Vec<&'static ProblemType>,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Operation {
    /// Every status of its responses.
    pub fn statuses(&self) -> impl Iterator<Item = StatusCode> {
        let responses = self.responses.iter().map(|(status, _)| *status);
        responses.chain(self.problems.iter().map(|kind| kind.status))
    }

    /// Every type of problem among its responses.
    #[must_use]
    pub fn problems(&self) -> &[&'static ProblemType] {
        &self.problems
    }
}

type ServeRequest = dyn Fn(Request<RequestBody>) -> BoxFuture<'static, Response> + Send + Sync;

/// An endpoint: its definition, and the filter that serves its requests.
#[derive(Clone)]
pub struct Endpoint {
    pub(super) operation: Operation,
    pub(super) serve: Arc<ServeRequest>,
}

impl Endpoint {
    /// The definition.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }
}

/// The endpoints of one feature, and how the documentation introduces them.
pub struct Feature {
    /// The feature's name: the tag of its endpoints in the OpenAPI document.
    pub name: &'static str,
    /// What the feature is for, in one line.
    pub description: &'static str,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// Defines a `GET` endpoint, which only reads; it also answers `HEAD`.
///
/// The guard rejects a caller before the query or the body is looked at.
///
/// ```
/// use warp_skeleton::web::{get, public};
///
/// async fn hello() -> &'static str {
///     "hello"
/// }
///
/// let endpoint = get("/hello", "Greet", public())
///     .responds_text("text/plain")
///     .handler(hello);
///
/// assert_eq!(endpoint.operation().template, "/hello");
/// ```
///
/// There is no endpoint without a guard:
///
/// ```compile_fail
/// # use warp_skeleton::web::get;
/// # async fn hello() -> &'static str { "hello" }
/// get("/hello", "Greet").handler(hello);
/// ```
pub fn get<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<ReadGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::GET, template, summary, guard.into().into())
}

/// Defines a `POST` endpoint.
///
/// Endpoints that write take a guard for writing:
///
/// ```
/// use warp::Filter;
/// use warp_skeleton::web::{Access, WriteGuard, post};
///
/// async fn create() -> &'static str {
///     "created"
/// }
///
/// let guard = WriteGuard::new(Access::SignedIn, &[], warp::any().boxed());
/// post("/notes", "Create a note", guard).handler(create);
/// ```
///
/// A guard for reading is not enough:
///
/// ```compile_fail
/// use warp::Filter;
/// use warp_skeleton::web::{Access, ReadGuard, post};
///
/// async fn create() -> &'static str {
///     "created"
/// }
///
/// let guard = ReadGuard::new(Access::SignedIn, &[], warp::any().boxed());
/// post("/notes", "Create a note", guard).handler(create);
/// ```
pub fn post<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<WriteGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::POST, template, summary, guard.into().into())
}

/// Defines a `PUT` endpoint; see [`post`].
pub fn put<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<WriteGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::PUT, template, summary, guard.into().into())
}

/// Defines a `PATCH` endpoint; see [`post`].
pub fn patch<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<WriteGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::PATCH, template, summary, guard.into().into())
}

/// Defines a `DELETE` endpoint; see [`post`].
pub fn delete<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<WriteGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::DELETE, template, summary, guard.into().into())
}

/// An endpoint that is being defined.
///
/// `F` is the filter so far and `S` the values of [`with`](Self::with). The handler's parameters
/// are what `F` extracts (guard, path, query, body, in the order in which they were added) and
/// then the values of `S`.
#[must_use]
pub struct EndpointBuilder<F, S = ()> {
    operation: Operation,
    request: F,
    state: S,
    takes_query: bool,
}

impl<F> EndpointBuilder<F> {
    fn new(method: Method, template: &'static str, summary: &'static str, guard: Guard<F>) -> Self {
        let mut problems: Vec<&'static ProblemType> = vec![
            &INVALID_REQUEST,
            &VALIDATION_FAILED,
            &INTERNAL_ERROR,
            &UNAVAILABLE,
            &REQUEST_TIMEOUT,
        ];
        problems.extend(guard.problems);
        Self {
            operation: Operation {
                method,
                template,
                summary,
                access: guard.access,
                rate_limit: RateLimitClass::Api,
                parameters: Vec::new(),
                body: None,
                responses: Vec::new(),
                problems,
                schemas: Vec::new(),
            },
            request: guard.filter,
            state: (),
            takes_query: false,
        }
    }
}

impl<F, S> EndpointBuilder<F, S> {
    /// Exempts the endpoint from rate limits: for probes and documentation.
    pub fn exempt(mut self) -> Self {
        self.operation.rate_limit = RateLimitClass::Exempt;
        self
    }

    /// Takes the value at the next `{name}` of the path. A value that does not parse is answered by a 404.
    ///
    /// # Panics
    ///
    /// When the template has fewer names than values are taken from it: a mistake in the program.
    pub fn path_value<T>(mut self, description: &str) -> EndpointBuilder<F::Longer, S>
    where
        F: Append<T>,
        T: FromStr + ToSchema + Send + 'static,
    {
        let taken = |parameter: &&Parameter| parameter.parameter_in == ParameterIn::Path;
        let index = self.operation.parameters.iter().filter(taken).count();
        let name = openapi::name_in_path(self.operation.template, index)
            .expect("the template has a {name} for each value that is taken from it");
        let parameter = openapi::path_parameter(name, description, T::schema());
        self.operation.parameters.push(parameter);
        self.operation.problems.push(&NOT_FOUND);
        let value = context().and_then(move |context: Arc<RequestContext>| async move {
            let text = context.path_values.get(index);
            let value = text.and_then(|text| text.parse().ok());
            value.ok_or_else(|| Rejection::from(Problem::not_found()))
        });
        self.extract(value.boxed())
    }

    /// Takes the query string. An endpoint that does not take it rejects every query string.
    pub fn query<T>(mut self) -> EndpointBuilder<F::Longer, S>
    where
        F: Append<T>,
        T: DeserializeOwned + IntoParams + Send + 'static,
    {
        self.takes_query = true;
        let parameters = T::into_params(|| Some(ParameterIn::Query));
        self.operation.parameters.extend(parameters);
        self.extract(query())
    }

    /// Takes a JSON body.
    pub fn body<T>(self) -> EndpointBuilder<F::Longer, S>
    where
        F: Append<T>,
        T: DeserializeOwned + ToSchema + Send + 'static,
    {
        let doc = openapi::json_body::<T>();
        self.with_schema::<T>().body_with(json_body(), doc)
    }

    /// Takes a body through the feature's own filter, with its description.
    pub fn body_with<T>(
        mut self,
        filter: BoxedFilter<(T,)>,
        doc: BodyDoc,
    ) -> EndpointBuilder<F::Longer, S>
    where
        F: Append<T>,
    {
        self.operation.body = Some(doc);
        self.operation.problems.extend([
            &MALFORMED_JSON,
            &BODY_TIMEOUT,
            &BODY_TOO_LARGE,
            &UNSUPPORTED_MEDIA_TYPE,
        ]);
        self.extract(filter)
    }

    /// Takes something else of the request, headers for example, through any filter.
    pub fn extract<T>(self, filter: BoxedFilter<(T,)>) -> EndpointBuilder<F::Longer, S>
    where
        F: Append<T>,
    {
        EndpointBuilder {
            operation: self.operation,
            request: self.request.append(filter),
            state: self.state,
            takes_query: self.takes_query,
        }
    }

    /// Passes a clone of this value to the handler on each request, after all that was extracted.
    pub fn with<T>(self, value: T) -> EndpointBuilder<F, (S, T)> {
        EndpointBuilder {
            operation: self.operation,
            request: self.request,
            state: (self.state, value),
            takes_query: self.takes_query,
        }
    }

    /// Adds a schema to the document to which the description of a body or a response refers.
    pub fn with_schema<T: ToSchema>(mut self) -> Self {
        openapi::collect::<T>(&mut self.operation.schemas);
        self
    }

    /// Documents a JSON response.
    pub fn responds<T: ToSchema>(self, status: StatusCode) -> Self {
        let doc = openapi::json_response::<T>(status);
        self.with_schema::<T>().responds_with(status, doc)
    }

    /// Documents a response without a body.
    pub fn responds_empty(self, status: StatusCode) -> Self {
        let doc = openapi::empty_response(status);
        self.responds_with(status, doc)
    }

    /// Documents a response (200) with text of this media type.
    pub fn responds_text(self, media_type: &str) -> Self {
        let doc = openapi::text_response(media_type);
        self.responds_with(StatusCode::OK, doc)
    }

    /// Documents a response that the other methods do not describe.
    pub fn responds_with(mut self, status: StatusCode, doc: ResponseDoc) -> Self {
        self.operation.responses.push((status, doc));
        self
    }

    /// Documents problems besides those that follow from the guard, the path, the query and the body.
    pub fn problems(mut self, problems: &[&'static ProblemType]) -> Self {
        self.operation.problems.extend(problems);
        self
    }

    /// Completes the endpoint with an async function that takes what was extracted and then the values of
    /// [`with`](Self::with).
    pub fn handler<H>(self, handler: H) -> Endpoint
    where
        F: RefuseQuery + Serve<S, H>,
    {
        let request = if self.takes_query {
            self.request
        } else {
            self.request.refuse_query()
        };
        complete(self.operation, request.serve(self.state, handler))
    }
}

impl EndpointBuilder<BoxedFilter<()>> {
    /// Puts the endpoint into the class of this limiter, which is asked before the request is read.
    pub fn rate_limited(mut self, limiter: RateLimiter) -> Self {
        self.operation.rate_limit = limiter.class;
        self.request = self.request.and(limiter.filter).boxed();
        self
    }
}

fn complete(mut operation: Operation, filter: BoxedFilter<(Response,)>) -> Endpoint {
    let service = warp::service(filter);
    let serve = move |request| {
        let mut service = service.clone();
        // Called when it is first polled, so that a panic in it is caught with those of the handler.
        let answer = async move {
            let answered = service.call(request).await;
            answered.unwrap_or_else(|never: Infallible| match never {})
        };
        Box::pin(answer) as BoxFuture<'static, Response>
    };
    if operation.rate_limit != RateLimitClass::Exempt {
        operation.problems.push(&TOO_MANY_REQUESTS);
    }
    operation
        .problems
        .sort_by_key(|kind| (kind.status.as_u16(), kind.code));
    operation.problems.dedup();
    Endpoint {
        operation,
        serve: Arc::new(serve),
    }
}

// The former names, as long as features use them.

/// Defines an endpoint with any method and any guard; [`get`], [`post`] and the others replace it.
pub fn endpoint<F>(
    method: Method,
    template: &'static str,
    summary: &'static str,
    guard: impl Into<Guard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(method, template, summary, guard.into())
}

impl<F> EndpointBuilder<F> {
    /// Completes the endpoint with a filter; [`handler`](Self::handler) replaces it.
    pub fn handled_by<G, R>(self, finish: impl FnOnce(F) -> G) -> Endpoint
    where
        F: RefuseQuery,
        G: Filter<Extract = (R,), Error = Rejection> + Clone + Send + Sync + 'static,
        R: Reply + Send + 'static,
    {
        let request = if self.takes_query {
            self.request
        } else {
            self.request.refuse_query()
        };
        let filter = finish(request)
            .map(Reply::into_response)
            .recover(into_problem)
            .unify()
            .boxed();
        complete(self.operation, filter)
    }
}
