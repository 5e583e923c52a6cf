//! The headers that every response of the router gets: caching, security, CORS, and those of the service.
//!
//! `X-Correlation-ID` and the rate limit's headers depend on the request and are added by the router itself. A service
//! adds headers of its own by `HttpOptions::response_headers`.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};

use super::options::HttpOptions;

/// The default for responses, which are data: nothing in them is run, framed or loaded from elsewhere.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Request headers that a script of another origin may send, besides those the Fetch standard always allows.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, baggage, content-type, traceparent, tracestate, x-correlation-id",
);

/// Response headers that a script of another origin may read, besides those the Fetch standard always allows.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept-patch, accept-post, allow, link, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-correlation-id",
);

/// For how many seconds a browser may cache the answer to a preflight request.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The headers of responses, from the options.
pub(super) struct ResponseHeaders {
    origins: Vec<HeaderValue>,
    credentials: bool,
    transport_security: Option<HeaderValue>,
    own: HeaderMap,
}

/// The part of a request that the CORS headers of its response depend on.
#[derive(Default)]
pub(super) struct CorsRequest {
    origin: Option<HeaderValue>,
    preflight: bool,
}

impl ResponseHeaders {
    pub(super) fn new(options: &HttpOptions) -> Self {
        // The directive is of the site's whole domain, which other services may share, so it is an option of its own.
        let subdomains = if options.hsts_include_subdomains {
            "; includeSubDomains"
        } else {
            ""
        };
        let transport_security = |age: Duration| {
            let text = format!("max-age={}{subdomains}", age.as_secs());
            HeaderValue::from_str(&text).expect("a number is ASCII")
        };
        Self {
            origins: options.cors_allowed_origins.clone(),
            credentials: options.cors_credentials,
            transport_security: options.hsts_max_age.map(transport_security),
            own: options.response_headers.clone(),
        }
    }

    /// Reads the CORS headers of a request.
    pub(super) fn cors_request(&self, parts: &Parts) -> CorsRequest {
        if self.origins.is_empty() {
            return CorsRequest::default();
        }
        let method = &header::ACCESS_CONTROL_REQUEST_METHOD;
        CorsRequest {
            origin: parts.headers.get(header::ORIGIN).cloned(),
            preflight: parts.method == Method::OPTIONS && parts.headers.contains_key(method),
        }
    }

    /// Adds the headers. Those of the service, `Cache-Control` and `Content-Security-Policy` stay as they are if the endpoint set them.
    pub(super) fn complete(&self, cors: &CorsRequest, headers: &mut HeaderMap) {
        let set_unless_present = |headers: &mut HeaderMap, name: HeaderName, value: HeaderValue| {
            headers.entry(name).or_insert(value);
        };
        let fixed = HeaderValue::from_static;
        for (name, value) in &self.own {
            set_unless_present(headers, name.clone(), value.clone());
        }
        set_unless_present(headers, header::CACHE_CONTROL, fixed("no-store"));
        set_unless_present(headers, header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert(header::REFERRER_POLICY, fixed("no-referrer"));
        if let Some(value) = &self.transport_security {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, value.clone());
        }
        self.add_cors(cors, headers);
    }

    /// Lets scripts of the allowed origins read the response (the Fetch standard, section 3.3).
    ///
    /// `Access-Control-Allow-Credentials` is for services that take cookies: a token travels in a header that the script
    /// sets.
    fn add_cors(&self, cors: &CorsRequest, headers: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = cors
            .origin
            .as_ref()
            .filter(|origin| self.origins.contains(origin))
        else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        if self.credentials {
            let name = header::ACCESS_CONTROL_ALLOW_CREDENTIALS;
            headers.insert(name, HeaderValue::from_static("true"));
        }
        if let Some(methods) = headers
            .get(header::ALLOW)
            .filter(|_| cors.preflight)
            .cloned()
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
        }
    }
}
