//! The definition of an endpoint in the making: each method adds a part, and to the filter what belongs to it.

use std::{str::FromStr, sync::Arc};

use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        path::{Parameter, ParameterIn},
        request_body::RequestBody as BodyDoc,
        response::Response as ResponseDoc,
    },
};
use warp::{Filter, Rejection, filters::BoxedFilter};

use super::{
    context::{RequestContext, context},
    endpoint::{Endpoint, Operation, ServeRequest},
    guard::Guard,
    handler::{Accepts, Append, ServeFn},
    json::json_body,
    problem::{
        BODY_TIMEOUT, BODY_TOO_LARGE, INTERNAL_ERROR, INVALID_REQUEST, MALFORMED_JSON, NOT_FOUND,
        Problem, ProblemType, REQUEST_TIMEOUT, TOO_MANY_REQUESTS, UNAVAILABLE,
        UNSUPPORTED_MEDIA_TYPE, VALIDATION_FAILED,
    },
    query::{no_query, query},
    rate_limit::{RateLimitClass, RateLimiter},
    schema,
};

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
    refuses_query: bool,
}

impl<F> EndpointBuilder<F> {
    pub(super) fn new(
        method: Method,
        template: &'static str,
        summary: &'static str,
        guard: Guard<F>,
    ) -> Self {
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
                scope: None,
                rate_limit: RateLimitClass::DEFAULT,
                is_probe: false,
                parameters: Vec::new(),
                body: None,
                responses: Vec::new(),
                problems,
                schemas: Vec::new(),
            },
            request: guard.filter,
            state: (),
            refuses_query: true,
        }
    }
}

impl<F, S> EndpointBuilder<F, S> {
    /// Opens the endpoint to credentials that are good for some endpoints alone and have this scope, such as the key of a
    /// machine: RFC 6749, section 3.3. The guard asks for it by [`RequestContext::scope`]; without one the endpoint refuses
    /// them.
    pub fn scope(mut self, scope: &'static str) -> Self {
        self.operation.scope = Some(scope);
        self
    }

    /// Makes the endpoint a probe: exempt from rate limits, and its successes are logged at DEBUG, because an
    /// orchestrator asks it every few seconds and its lines would bury all others. Failures are logged at INFO. A query
    /// string is ignored.
    pub fn probe(mut self) -> Self {
        self.operation.is_probe = true;
        self.exempt().ignores_query()
    }

    /// Ignores the query string: for what browsers, monitors and caches ask, which add parameters of their own.
    pub fn ignores_query(mut self) -> Self {
        self.refuses_query = false;
        self
    }

    /// Exempts the endpoint from rate limits: for documentation.
    pub fn exempt(mut self) -> Self {
        self.operation.rate_limit = RateLimitClass::EXEMPT;
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
        let name = schema::name_in_path(self.operation.template, index)
            .expect("the template has a {name} for each value that is taken from it");
        let parameter = schema::path_parameter(name, description, T::schema());
        self.operation.parameters.push(parameter);
        self.operation.problems.push(&NOT_FOUND);
        let value = context().and_then(move |context: Arc<RequestContext>| async move {
            let text = context.path_values.get(index);
            let value = text.and_then(|text| text.parse().ok());
            value.ok_or_else(|| Rejection::from(Problem::not_found()))
        });
        self.extract(value.boxed())
    }

    /// Takes the query string. An endpoint that neither takes nor [ignores](Self::ignores_query) it rejects every query
    /// string.
    pub fn query<T>(mut self) -> EndpointBuilder<F::Longer, S>
    where
        F: Append<T>,
        T: DeserializeOwned + IntoParams + Send + 'static,
    {
        self.refuses_query = false;
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
        let doc = schema::json_body::<T>();
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
            refuses_query: self.refuses_query,
        }
    }

    /// Passes a clone of this value to the handler on each request, after all that was extracted.
    pub fn with<T>(self, value: T) -> EndpointBuilder<F, (S, T)> {
        EndpointBuilder {
            operation: self.operation,
            request: self.request,
            state: (self.state, value),
            refuses_query: self.refuses_query,
        }
    }

    /// Adds a schema to the document to which the description of a body or a response refers.
    pub fn with_schema<T: ToSchema>(mut self) -> Self {
        schema::collect::<T>(&mut self.operation.schemas);
        self
    }

    /// Documents a JSON response.
    pub fn responds<T: ToSchema>(self, status: StatusCode) -> Self {
        let doc = schema::json_response::<T>(status);
        self.with_schema::<T>().responds_with(status, doc)
    }

    /// Documents a response without a body.
    pub fn responds_empty(self, status: StatusCode) -> Self {
        let doc = schema::empty_response(status);
        self.responds_with(status, doc)
    }

    /// Documents a response (200) with text of this media type.
    pub fn responds_text(self, media_type: &str) -> Self {
        let doc = schema::text_response(media_type);
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
        F: Accepts<S, H> + Clone,
    {
        let handler = F::boxed_handler(self.state, handler);
        let refused = self
            .refuses_query
            .then(|| self.request.clone().serve(F::refusal(no_query)));
        complete(self.operation, self.request.serve(handler), refused)
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

/// `refused`: what serves a request with a query string, where there may be none.
fn complete(mut operation: Operation, served: ServeFn, refused: Option<ServeFn>) -> Endpoint {
    if operation.rate_limit != RateLimitClass::EXEMPT {
        operation.problems.push(&TOO_MANY_REQUESTS);
    }
    operation
        .problems
        .sort_by_key(|kind| (kind.status.as_u16(), kind.code));
    operation.problems.dedup();
    let ServeFn(serve) = served;
    let serve: Arc<ServeRequest> = match refused {
        None => serve.into(),
        // It goes through the same filters: who may not call the endpoint is told that first.
        Some(ServeFn(refuse)) => Arc::new(move |request| {
            let query = request.uri().query().unwrap_or_default();
            if query.is_empty() {
                serve(request)
            } else {
                refuse(request)
            }
        }),
    };
    Endpoint { operation, serve }
}
