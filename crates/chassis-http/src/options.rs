//! The options of a router.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// Limits, trusted proxies and headers of a [`Router`](crate::Router).
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// How long an endpoint may take to answer, from the head of the request. Beyond it the answer is a 503.
    pub request_timeout: Duration,
    /// How long a body may take to arrive, from the head of the request. Beyond it the answer is a 408.
    pub body_timeout: Duration,
    /// The longest body in bytes. A longer one is answered by a 413.
    pub max_body_bytes: u64,
    /// Networks of proxies whose `X-Forwarded-For` is used. Empty: the header is ignored.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose scripts may read responses (CORS). Empty: no CORS headers at all.
    pub cors_allowed_origins: Vec<HeaderValue>,
    /// Whether browsers may send cookies with the requests of those scripts.
    pub cors_credentials: bool,
    /// `max-age` of `Strict-Transport-Security` in whole seconds; `None` leaves the header out.
    pub hsts_max_age: Option<Duration>,
    /// Whether that header is to hold for all subdomains of the host, too, which browsers then refuse to ask without TLS.
    pub hsts_include_subdomains: bool,
    /// Added to every response, unless its endpoint has set them: headers of the service's own.
    pub response_headers: HeaderMap,
    /// What the `type` of a problem begins with: the code follows. A path or a URL.
    pub problem_type_prefix: Cow<'static, str>,
}

impl Default for HttpOptions {
    /// 30 seconds for the answer and the body, 64 KiB, no proxies, no CORS, no HSTS, problem types below `/problems/`.
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            max_body_bytes: 64 * 1024,
            trusted_proxies: Vec::new(),
            cors_allowed_origins: Vec::new(),
            cors_credentials: false,
            hsts_max_age: None,
            hsts_include_subdomains: false,
            response_headers: HeaderMap::new(),
            problem_type_prefix: Cow::Borrowed("/problems/"),
        }
    }
}
