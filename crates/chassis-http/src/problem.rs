//! What a client may know of a failure: RFC 9457, `application/problem+json`.

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use warp::{
    reject::Reject,
    reply::{Reply, Response},
};

use crate::telemetry;

/// One kind of failure, with everything that never changes about it.
///
/// Each room declares its own beside its errors; an endpoint lists the ones it
/// may answer with, and `/problems/{code}` shows them to a person.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// The stable name clients branch on.
    pub code: &'static str,
    /// The status it comes with.
    pub status: StatusCode,
    /// What it is called.
    pub title: &'static str,
    /// What happened and what to do about it, for a person who looks it up.
    pub about: &'static str,
}

/// A path no endpoint has, or a thing that is not there for this caller.
pub static NOT_FOUND: ProblemType = ProblemType {
    code: "not_found",
    status: StatusCode::NOT_FOUND,
    title: "Not found",
    about: "Nothing is at this address, or it is not yours to see: the two look alike on purpose. \
            Check the path (a trailing slash makes another one) and the id.",
};

/// A path that exists, asked with a method it does not have.
pub static METHOD_NOT_ALLOWED: ProblemType = ProblemType {
    code: "method_not_allowed",
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "Method not allowed",
    about: "The address exists, but not for this method. The Allow header lists the methods it has.",
};

/// A header that cannot be understood.
pub static INVALID_REQUEST: ProblemType = ProblemType {
    code: "invalid_request",
    status: StatusCode::BAD_REQUEST,
    title: "Invalid request",
    about: "A header of the request is malformed, repeated or missing. The detail says which.",
};

/// A body that is not JSON.
pub static MALFORMED_JSON: ProblemType = ProblemType {
    code: "malformed_json",
    status: StatusCode::BAD_REQUEST,
    title: "Malformed JSON",
    about: "The body is not one JSON document in UTF-8. The detail gives line and column.",
};

/// A body that came too slowly.
pub static BODY_TIMEOUT: ProblemType = ProblemType {
    code: "body_timeout",
    status: StatusCode::REQUEST_TIMEOUT,
    title: "Body timeout",
    about: "The body did not arrive in time. Send the request again over a better connection.",
};

/// A body beyond `MAX_BODY_BYTES`.
pub static BODY_TOO_LARGE: ProblemType = ProblemType {
    code: "body_too_large",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    title: "Body too large",
    about: "The body is longer than this service accepts. The limit is counted while it arrives, \
            whatever its Content-Length says.",
};

/// A body of a kind the endpoint does not read.
pub static UNSUPPORTED_MEDIA_TYPE: ProblemType = ProblemType {
    code: "unsupported_media_type",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    title: "Unsupported media type",
    about: "Send the body as application/json in UTF-8, without a Content-Encoding.",
};

/// Fields or query parameters that break a rule.
pub static VALIDATION_FAILED: ProblemType = ProblemType {
    code: "validation_failed",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "Validation failed",
    about: "The request was understood, but some of its fields break a rule. Each entry of \
            'errors' names the field by a JSON pointer, with a code and an explanation.",
};

/// More requests than the source, or the account they are about, is allowed.
pub static TOO_MANY_REQUESTS: ProblemType = ProblemType {
    code: "too_many_requests",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "Too many requests",
    about: "More requests came than this service takes from one source, or for one account. Wait as \
            long as Retry-After says. The RateLimit headers of other replies tell how much is left.",
};

/// A bug of ours.
pub static INTERNAL_ERROR: ProblemType = ProblemType {
    code: "internal_error",
    status: StatusCode::INTERNAL_SERVER_ERROR,
    title: "Internal error",
    about: "Something failed that should not have. Report the correlation id: it finds the log line.",
};

/// Something the service depends on is out, or it has too much to do.
pub static UNAVAILABLE: ProblemType = ProblemType {
    code: "unavailable",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Unavailable",
    about: "The service cannot do this right now. Wait as long as Retry-After says and try again.",
};

/// The handler took longer than `REQUEST_TIMEOUT_MS`.
pub static REQUEST_TIMEOUT: ProblemType = ProblemType {
    code: "request_timeout",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Request timeout",
    about: "The answer took longer than the service allows itself. Try again later; if the request \
            changes something, look first whether it already has.",
};

/// The kinds every service has; the rooms add theirs.
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

/// One field that broke a rule. Says nothing of the value that was sent.
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

/// A failure on its way to the client.
///
/// As a reply it is an envelope: the request layer writes the body, because
/// only it knows the correlation id, and logs the cause, once.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: &'static ProblemType,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem of this kind; the detail tells a person what to do and repeats nothing that was sent.
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

    /// A bug of ours: the client learns nothing but the correlation id.
    #[must_use]
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let detail = "something went wrong on our side; report the correlation id";
        Self::new(&INTERNAL_ERROR, detail).caused_by(cause)
    }

    /// Something we depend on is out.
    #[must_use]
    pub fn unavailable(cause: impl Error + Send + Sync + 'static) -> Self {
        let detail = "the service cannot answer this right now; try again shortly";
        Self::new(&UNAVAILABLE, detail)
            .retry_after(1)
            .caused_by(cause)
    }

    /// Nothing there, or nothing this caller may see.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(&NOT_FOUND, "there is nothing at this address")
    }

    /// Fields that broke rules.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(&VALIDATION_FAILED, "some fields break a rule; see errors");
        problem.errors = errors;
        problem
    }

    /// Keeps the cause for the log; the client never sees it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// Adds a header to the reply.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says how many seconds to wait before trying again.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// What kind of problem it is.
    #[must_use]
    pub fn kind(&self) -> &'static ProblemType {
        self.kind
    }

    /// The whole chain of causes on one line, for the log.
    #[must_use]
    pub fn cause_chain(&self) -> Option<String> {
        self.cause.as_deref().map(|cause| telemetry::chain(cause))
    }

    /// The finished reply, with the one thing only the request layer knows.
    ///
    /// # Panics
    ///
    /// Never: strings and numbers always serialize.
    #[must_use]
    pub fn render(&self, correlation_id: &str) -> Response {
        let body = ProblemView {
            r#type: format!("/problems/{}", self.kind.code),
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
