//! An endpoint, stated once.
//!
//! The statement names method, path template, purpose, who may call it, and
//! what goes in and out. From it follow the filter that serves it, the label
//! of its spans and metrics, the answers to other methods, its place in the
//! OpenAPI document, the `routes` listing and the role-by-route test.

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
        response::Response as ReplyDoc,
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
    guard::{Access, Guard},
    openapi,
    problem::{
        BODY_TIMEOUT, BODY_TOO_LARGE, INTERNAL_ERROR, INVALID_REQUEST, MALFORMED_JSON, NOT_FOUND,
        Problem, ProblemType, REQUEST_TIMEOUT, TOO_MANY_REQUESTS, UNAVAILABLE,
        UNSUPPORTED_MEDIA_TYPE, VALIDATION_FAILED,
    },
    query::{no_query, query},
    rate::{Rate, Throttle},
};

/// What is stated about an endpoint.
#[derive(Clone)]
pub struct Operation {
    /// The method; `HEAD` follows from `GET`.
    pub method: Method,
    /// The path, with `{name}` where a value goes.
    pub template: &'static str,
    /// Its purpose, in a line.
    pub summary: &'static str,
    /// Who may call it.
    pub access: Access,
    /// How eagerly.
    pub rate: Rate,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<BodyDoc>,
    pub(super) replies: Vec<(StatusCode, ReplyDoc)>,
    pub(super) problems: Vec<&'static ProblemType>,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Operation {
    /// Every status it may answer with.
    pub fn statuses(&self) -> impl Iterator<Item = StatusCode> {
        let replies = self.replies.iter().map(|(status, _)| *status);
        replies.chain(self.problems.iter().map(|kind| kind.status))
    }

    /// Every kind of problem it may answer with.
    #[must_use]
    pub fn problems(&self) -> &[&'static ProblemType] {
        &self.problems
    }
}

type Serve = dyn Fn(Request<RequestBody>) -> BoxFuture<'static, Response> + Send + Sync;

/// An endpoint: its statement, and the filter that serves it.
#[derive(Clone)]
pub struct Endpoint {
    pub(super) operation: Operation,
    pub(super) serve: Arc<Serve>,
}

impl Endpoint {
    /// What was stated.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }
}

/// The endpoints of one room, with the words the documentation introduces it by.
pub struct Room {
    /// The room's name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What it serves.
    pub endpoints: Vec<Endpoint>,
}

/// Begins to state an endpoint. Whom the guard rejects is rejected before the body and the query are looked at.
///
/// ```
/// use http::{Method, StatusCode};
/// use warp::Filter;
/// use warp_skeleton::web::{anyone, endpoint};
///
/// let hello = endpoint(Method::GET, "/hello", "Greet", anyone())
///     .replies_text("text/plain")
///     .handled_by(|request| request.map(|| "hello"));
///
/// assert_eq!(hello.operation().template, "/hello");
/// ```
///
/// Without a word on who may call it there is no endpoint:
///
/// ```compile_fail
/// # use http::Method;
/// # use warp::Filter;
/// # use warp_skeleton::web::endpoint;
/// endpoint(Method::GET, "/hello", "Greet").handled_by(|request| request.map(|| "hello"));
/// ```
pub fn endpoint<F>(
    method: Method,
    template: &'static str,
    summary: &'static str,
    guard: Guard<F>,
) -> Draft<F> {
    let mut problems: Vec<&'static ProblemType> = vec![
        &INVALID_REQUEST,
        &VALIDATION_FAILED,
        &INTERNAL_ERROR,
        &UNAVAILABLE,
        &REQUEST_TIMEOUT,
    ];
    problems.extend(guard.problems);
    Draft {
        operation: Operation {
            method,
            template,
            summary,
            access: guard.access,
            rate: Rate::Api,
            parameters: Vec::new(),
            body: None,
            replies: Vec::new(),
            problems,
            schemas: Vec::new(),
        },
        request: guard.filter,
        takes_query: false,
    }
}

/// An endpoint being stated. `F` is the filter so far: what it extracts is what the handler gets.
#[must_use]
pub struct Draft<F> {
    operation: Operation,
    request: F,
    takes_query: bool,
}

impl<F> Draft<F> {
    /// Never refuses it for coming too eagerly: for probes and documentation.
    pub fn exempt(mut self) -> Self {
        self.operation.rate = Rate::Exempt;
        self
    }

    /// Takes the value that the path holds at `{name}`. One that does not parse is not found.
    ///
    /// # Panics
    ///
    /// When the template has fewer names than values are taken from it: a mistake in the program.
    pub fn path_value<T>(mut self, about: &str) -> Draft<F::Longer>
    where
        F: Append<T>,
        T: FromStr + ToSchema + Send + 'static,
    {
        let taken = |parameter: &&Parameter| parameter.parameter_in == ParameterIn::Path;
        let index = self.operation.parameters.iter().filter(taken).count();
        let name = openapi::name_in_path(self.operation.template, index)
            .expect("the template has a {name} for each value that is taken from it");
        let parameter = openapi::path_parameter(name, about, T::schema());
        self.operation.parameters.push(parameter);
        self.operation.problems.push(&NOT_FOUND);
        let value = context().and_then(move |context: Arc<RequestContext>| async move {
            let text = context.path_values.get(index);
            let value = text.and_then(|text| text.parse().ok());
            value.ok_or_else(|| Rejection::from(Problem::not_found()))
        });
        self.extend(value.boxed())
    }

    /// Takes the query string.
    pub fn query<T>(mut self) -> Draft<F::Longer>
    where
        F: Append<T>,
        T: DeserializeOwned + IntoParams + Send + 'static,
    {
        self.takes_query = true;
        let parameters = T::into_params(|| Some(ParameterIn::Query));
        self.operation.parameters.extend(parameters);
        self.extend(query())
    }

    /// Takes a JSON body.
    pub fn body<T>(self) -> Draft<F::Longer>
    where
        F: Append<T>,
        T: DeserializeOwned + ToSchema + Send + 'static,
    {
        let doc = openapi::json_body::<T>();
        self.with_schema::<T>().body_by(json_body(), doc)
    }

    /// Takes a body by a filter of the room's own, with the words for it.
    pub fn body_by<T>(mut self, filter: BoxedFilter<(T,)>, doc: BodyDoc) -> Draft<F::Longer>
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
        self.extend(filter)
    }

    /// Adds a schema to the document that a body of one's own refers to.
    pub fn with_schema<T: ToSchema>(mut self) -> Self {
        openapi::collect::<T>(&mut self.operation.schemas);
        self
    }

    /// Answers with JSON.
    pub fn replies<T: ToSchema>(self, status: StatusCode) -> Self {
        let doc = openapi::json_reply::<T>(status);
        self.with_schema::<T>().replies_by(status, doc)
    }

    /// Answers without a body.
    pub fn replies_empty(self, status: StatusCode) -> Self {
        let doc = openapi::empty_reply(status);
        self.replies_by(status, doc)
    }

    /// Answers with text of this media type.
    pub fn replies_text(self, media_type: &str) -> Self {
        let doc = openapi::text_reply(media_type);
        self.replies_by(StatusCode::OK, doc)
    }

    /// Answers with something that the other ways do not describe.
    pub fn replies_by(mut self, status: StatusCode, doc: ReplyDoc) -> Self {
        self.operation.replies.push((status, doc));
        self
    }

    /// May also fail in these ways, besides those that follow from its parts.
    pub fn fails(mut self, problems: &[&'static ProblemType]) -> Self {
        self.operation.problems.extend(problems);
        self
    }

    fn extend<T>(self, filter: BoxedFilter<(T,)>) -> Draft<F::Longer>
    where
        F: Append<T>,
    {
        Draft {
            operation: self.operation,
            request: self.request.append(filter),
            takes_query: self.takes_query,
        }
    }

    /// Completes the endpoint: what was extracted, then whatever the closure adds, goes to the handler.
    pub fn handled_by<G, R>(self, complete: impl FnOnce(F) -> G) -> Endpoint
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
        let filter = complete(request)
            .map(Reply::into_response)
            .recover(into_problem)
            .unify()
            .boxed();
        let service = warp::service(filter);
        let serve = move |request| {
            let mut service = service.clone();
            // Called when it is first polled, so that nothing of it can panic before.
            let answer = async move {
                let answered = service.call(request).await;
                answered.unwrap_or_else(|never: Infallible| match never {})
            };
            Box::pin(answer) as BoxFuture<'static, Response>
        };
        let mut operation = self.operation;
        if operation.rate != Rate::Exempt {
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
}

impl Draft<BoxedFilter<()>> {
    /// Puts it into the class of this throttle, which is asked before anything of the request is read.
    pub fn throttled(mut self, throttle: Throttle) -> Self {
        self.operation.rate = throttle.rate;
        self.request = self.request.and(throttle.filter).boxed();
        self
    }
}

/// The one place where a rejection becomes a reply.
///
/// Ours carry their problem. Of warp's own, those that only say "not mine"
/// mean that a filter inside the endpoint did not match.
async fn into_problem(rejection: Rejection) -> Result<Response, Infallible> {
    use warp::reject;

    let problem = if let Some(problem) = rejection.find::<Problem>() {
        problem.clone()
    } else if rejection.is_not_found() {
        Problem::not_found()
    } else if rejection.find::<reject::InvalidQuery>().is_some() {
        Problem::new(&INVALID_REQUEST, "the query string cannot be read")
    } else if rejection.find::<reject::MissingHeader>().is_some()
        || rejection.find::<reject::InvalidHeader>().is_some()
    {
        Problem::new(&INVALID_REQUEST, "a header is missing or cannot be read")
    } else {
        Problem::internal(UnknownRejection(format!("{rejection:?}")))
    };
    Ok(problem.into_response())
}

#[derive(Debug, thiserror::Error)]
#[error("a filter rejected the request in a way nobody translates: {0}")]
struct UnknownRejection(String);

/// A filter that can be made to extract one thing more.
///
/// warp keeps its arithmetic on tuples to itself, so it is spelled out here
/// for as many values as an endpoint takes: caller, path, query, body.
pub trait Append<T> {
    /// The filter that extracts `T` as well.
    type Longer;

    /// Runs `next` after this one and keeps what both extract.
    fn append(self, next: BoxedFilter<(T,)>) -> Self::Longer;
}

/// A filter that can be made to refuse a query string.
pub trait RefuseQuery {
    /// Rejects what has a query string, after everything else was looked at.
    #[must_use]
    fn refuse_query(self) -> Self;
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name,)* Next> Append<Next> for BoxedFilter<($($name,)*)>
        where
            $($name: Send + 'static,)*
            Next: Send + 'static,
        {
            type Longer = BoxedFilter<($($name,)* Next,)>;

            fn append(self, next: BoxedFilter<(Next,)>) -> Self::Longer {
                self.and(next).boxed()
            }
        }

        impl<$($name: Send + 'static,)*> RefuseQuery for BoxedFilter<($($name,)*)> {
            fn refuse_query(self) -> Self {
                self.and(no_query()).boxed()
            }
        }
    };
}

tuples!();
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
