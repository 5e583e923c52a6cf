//! The definition of an endpoint.
//!
//! A definition names method, path template, purpose, who may call the endpoint, and its inputs and
//! outputs. Everything else is derived from it: the filter that serves requests, the labels of spans
//! and metrics, the answers to other methods, the entry in the OpenAPI document, the line that the
//! `routes` command prints, and the test that calls each route as each role.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Method, Request, StatusCode};
use utoipa::openapi::{
    RefOr, path::Parameter, request_body::RequestBody as BodyDoc,
    response::Response as ResponseDoc, schema::Schema,
};
use warp::reply::Response;

use super::{body::RequestBody, guard::Access, problem::ProblemType, rate_limit::RateLimitClass};

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
    /// What a credential that is good for some endpoints alone has to be good for. `None`: no such credential is taken.
    pub scope: Option<&'static str>,
    /// The class of its rate limit.
    pub rate_limit: RateLimitClass,
    /// Whether machines ask it every few seconds, so that its successes are logged at DEBUG only.
    pub is_probe: bool,
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

pub(super) type ServeRequest =
    dyn Fn(Request<RequestBody>) -> BoxFuture<'static, Response> + Send + Sync;

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
