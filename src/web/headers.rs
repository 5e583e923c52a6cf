//! Headers that every reply gets, whatever it is about.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};

use super::settings::WebSettings;

/// Replies are data: nothing in them is to be run, framed or loaded from elsewhere.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What a script of another origin may send besides what it always may.
const SENT: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, traceparent, tracestate, x-correlation-id",
);

/// What it may read besides what it always may.
const READ: HeaderValue = HeaderValue::from_static(
    "allow, link, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-correlation-id",
);

/// How long a browser may remember what it may send.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// The headers of this service's replies.
pub(super) struct ResponseHeaders {
    origins: Vec<HeaderValue>,
    transport_security: Option<HeaderValue>,
}

/// What of a request its reply's headers depend on.
#[derive(Default)]
pub(super) struct Asked {
    origin: Option<HeaderValue>,
    preflight: bool,
}

impl ResponseHeaders {
    pub(super) fn new(settings: &WebSettings) -> Self {
        let transport_security = |age: Duration| {
            let text = format!("max-age={}", age.as_secs());
            HeaderValue::from_str(&text).expect("a number is ASCII")
        };
        Self {
            origins: settings.cors_allowed_origins.clone(),
            transport_security: settings.hsts_max_age.map(transport_security),
        }
    }

    /// Looks at what a script of another origin asks.
    pub(super) fn asked(&self, parts: &Parts) -> Asked {
        if self.origins.is_empty() {
            return Asked::default();
        }
        let method = &header::ACCESS_CONTROL_REQUEST_METHOD;
        Asked {
            origin: parts.headers.get(header::ORIGIN).cloned(),
            preflight: parts.method == Method::OPTIONS && parts.headers.contains_key(method),
        }
    }

    /// Adds what is missing. A reply that says itself how it may be kept, or what it may load, is believed.
    pub(super) fn complete(&self, asked: &Asked, headers: &mut HeaderMap) {
        let default = |headers: &mut HeaderMap, name: HeaderName, value: HeaderValue| {
            headers.entry(name).or_insert(value);
        };
        let fixed = HeaderValue::from_static;
        default(headers, header::CACHE_CONTROL, fixed("no-store"));
        default(headers, header::CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert(header::REFERRER_POLICY, fixed("no-referrer"));
        if let Some(value) = &self.transport_security {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, value.clone());
        }
        self.share(asked, headers);
    }

    /// Lets scripts of the allowed origins read the reply (the Fetch standard, section 3.3).
    ///
    /// Credentials are never allowed: tokens travel in a header that a script sets itself.
    fn share(&self, asked: &Asked, headers: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = asked
            .origin
            .as_ref()
            .filter(|origin| self.origins.contains(origin))
        else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, READ);
        if let Some(methods) = headers
            .get(header::ALLOW)
            .filter(|_| asked.preflight)
            .cloned()
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, SENT);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
        }
    }
}
