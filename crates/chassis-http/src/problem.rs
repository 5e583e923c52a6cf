//! What a client is told of a failure: `application/problem+json` (RFC 9457).
//!
//! A [`Problem`] is created where something fails and travels outward: as the `Err` of a handler, or as a warp
//! rejection of a filter. As a [`Reply`] it is an empty response with the problem in its extensions. Only the
//! router renders it, because only the router knows the correlation id, and logs its cause, once.

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use warp::{
    reject::Reject,
    reply::{Reply, Response},
};

/// A type of problem: everything that is the same each time.
///
/// Features declare theirs as statics beside their errors. An endpoint lists those it may answer with, and a
/// service can show a page for each.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// The stable name that clients branch on.
    pub code: &'static str,
    /// The status of the response.
    pub status: StatusCode,
    /// A short title.
    pub title: &'static str,
    /// What happened and what to do about it, for a developer who looks it up.
    pub about: &'static str,
}

/// No endpoint has this path, or the resource does not exist for this caller.
pub static NOT_FOUND: ProblemType = ProblemType {
    code: "not_found",
    status: StatusCode::NOT_FOUND,
    title: "Not found",
    about: "Nothing is at this address, or it is not yours to see: the two look alike on purpose. \
            Check the path (a trailing slash makes another one) and the id.",
};

/// The path exists, but not with this method.
pub static METHOD_NOT_ALLOWED: ProblemType = ProblemType {
    code: "method_not_allowed",
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "Method not allowed",
    about: "The address exists, but not for this method. The Allow header lists the methods it has.",
};

/// A header is malformed, repeated or missing.
pub static INVALID_REQUEST: ProblemType = ProblemType {
    code: "invalid_request",
    status: StatusCode::BAD_REQUEST,
    title: "Invalid request",
    about: "A header of the request is malformed, repeated or missing. The detail says which.",
};

/// The body is not JSON.
pub static MALFORMED_JSON: ProblemType = ProblemType {
    code: "malformed_json",
    status: StatusCode::BAD_REQUEST,
    title: "Malformed JSON",
    about: "The body is not one JSON document in UTF-8. The detail gives line and column.",
};

/// The body arrived too slowly.
pub static BODY_TIMEOUT: ProblemType = ProblemType {
    code: "body_timeout",
    status: StatusCode::REQUEST_TIMEOUT,
    title: "Body timeout",
    about: "The body did not arrive in time. Send the request again over a better connection.",
};

/// The body is longer than [`HttpOptions::max_body_bytes`](crate::HttpOptions::max_body_bytes).
pub static BODY_TOO_LARGE: ProblemType = ProblemType {
    code: "body_too_large",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    title: "Body too large",
    about: "The body is longer than this service accepts. The limit is counted while it arrives, \
            whatever its Content-Length says.",
};

/// The endpoint does not read bodies of this media type.
pub static UNSUPPORTED_MEDIA_TYPE: ProblemType = ProblemType {
    code: "unsupported_media_type",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    title: "Unsupported media type",
    about: "Send the body in a media type that the endpoint takes, which the answer names, in UTF-8 and without a Content-Encoding.",
};

/// Fields or query parameters break a rule.
pub static VALIDATION_FAILED: ProblemType = ProblemType {
    code: "validation_failed",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "Validation failed",
    about: "The request was understood, but some of its fields break a rule. Each entry of \
            'errors' names the field by a JSON pointer, with a code and an explanation.",
};

/// A rate limit refused the request.
pub static TOO_MANY_REQUESTS: ProblemType = ProblemType {
    code: "too_many_requests",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "Too many requests",
    about: "More requests came than this service takes from one source, or for one account. Wait as \
            long as Retry-After says. The RateLimit headers of other replies tell how much is left.",
};

/// A bug in the service.
pub static INTERNAL_ERROR: ProblemType = ProblemType {
    code: "internal_error",
    status: StatusCode::INTERNAL_SERVER_ERROR,
    title: "Internal error",
    about: "Something failed that should not have. Report the correlation id: it finds the log line.",
};

/// A dependency of the service does not work, or the service is overloaded.
pub static UNAVAILABLE: ProblemType = ProblemType {
    code: "unavailable",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Unavailable",
    about: "The service cannot do this right now. Wait as long as Retry-After says and try again.",
};

/// The handler took longer than [`HttpOptions::request_timeout`](crate::HttpOptions::request_timeout).
pub static REQUEST_TIMEOUT: ProblemType = ProblemType {
    code: "request_timeout",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Request timeout",
    about: "The answer took longer than the service allows itself. Try again later; if the request \
            changes something, look first whether it already has.",
};

/// The types of this crate. Features add theirs.
pub static COMMON: [&ProblemType; 12] = [
    &NOT_FOUND,
    &METHOD_NOT_ALLOWED,
    &INVALID_REQUEST,
    &MALFORMED_JSON,
    &BODY_TIMEOUT,
    &BODY_TOO_LARGE,
    &UNSUPPORTED_MEDIA_TYPE,
    &VALIDATION_FAILED,
    &TOO_MANY_REQUESTS,
    &INTERNAL_ERROR,
    &UNAVAILABLE,
    &REQUEST_TIMEOUT,
];

/// A field that breaks a rule. It does not repeat the value that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where in the body, as a JSON pointer (RFC 6901); for a query parameter, its name after a slash.
    #[schema(example = "/email")]
    pub pointer: Cow<'static, str>,
    /// The rule that was broken.
    #[schema(example = "required")]
    pub code: &'static str,
    /// The rule in words.
    pub detail: Cow<'static, str>,
}

/// A failure on its way to the client; the module's documentation says how it gets there.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: &'static ProblemType,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem of this type. The detail says what to do about it and must not repeat what was sent.
    #[must_use]
    pub fn new(kind: &'static ProblemType, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }
    }

    /// A bug in the service: the client gets a correlation id and nothing about the cause.
    #[must_use]
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let detail = "something went wrong on our side; report the correlation id";
        Self::new(&INTERNAL_ERROR, detail).caused_by(cause)
    }

    /// A dependency does not work: a 503 with `Retry-After`.
    #[must_use]
    pub fn unavailable(cause: impl Error + Send + Sync + 'static) -> Self {
        let detail = "the service cannot answer this right now; try again shortly";
        Self::new(&UNAVAILABLE, detail)
            .retry_after(1)
            .caused_by(cause)
    }

    /// A 404: the resource does not exist, or this caller may not see it.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(&NOT_FOUND, "there is nothing at this address")
    }

    /// A 422 for these fields.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(&VALIDATION_FAILED, "some fields break a rule; see errors");
        problem.errors = errors;
        problem
    }

    /// Adds the cause, which is logged and never sent.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The type of the problem.
    #[must_use]
    pub fn kind(&self) -> &'static ProblemType {
        self.kind
    }

    /// The cause and its causes on one line, for the log.
    #[must_use]
    pub fn cause_chain(&self) -> Option<String> {
        self.cause.as_deref().map(|cause| chain(cause))
    }

    /// The response; its `type` is the code after `type_prefix`.
    ///
    /// # Panics
    ///
    /// Never: strings and numbers always serialize.
    #[must_use]
    pub fn render(&self, correlation_id: &str, type_prefix: &str) -> Response {
        let body = ProblemView {
            r#type: format!("{type_prefix}{}", self.kind.code),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: &self.detail,
            code: self.kind.code,
            correlation_id,
            errors: &self.errors,
        };
        let json = serde_json::to_vec(&body).expect("strings and numbers always serialize");
        let mut response = Response::new(json.into());
        *response.status_mut() = self.kind.status;
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.extend(self.headers.iter().cloned());
        response
    }
}

/// The body of every failure.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView<'a> {
    /// A relative reference to the page that explains the code.
    #[schema(example = "/problems/validation_failed")]
    r#type: String,
    /// What the kind of problem is called.
    title: &'a str,
    /// The status code once more.
    status: u16,
    /// What happened this time.
    detail: &'a str,
    /// The stable name to branch on.
    #[schema(example = "validation_failed")]
    code: &'a str,
    /// Finds the request in the logs and traces.
    correlation_id: &'a str,
    /// The fields that broke a rule.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
}

/// An error and its sources on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind.code, self.kind.status.as_u16())
    }
}

impl Reject for Problem {}

impl Reply for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self.kind.status;
        response.extensions_mut().insert(self);
        response
    }
}
