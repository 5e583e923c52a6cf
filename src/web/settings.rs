//! Limits and timeouts of a request.

use std::time::Duration;

use chassis_http::HttpOptions;
use chassis_settings::{
    Declaration, Section, SettingError, Values, list, millis, number, optional, parse_with,
    seconds, settings,
};
use http::HeaderValue;
use ipnet::IpNet;

use super::public_url::PublicUrl;

settings! {
    /// how long an answer may take before it is a 503
    REQUEST_TIMEOUT_MS: Duration = "30000", millis(1);

    /// how long a body may take to arrive before it is a 408
    BODY_TIMEOUT_MS: Duration = "30000", millis(1);

    /// how long a body may be before it is a 413
    MAX_BODY_BYTES: u64 = "65536", number(0..=1 << 30);

    /// networks (CIDR, comma-separated) whose X-Forwarded-For is believed, read from the right
    TRUSTED_PROXIES: Vec<IpNet>,
        list(parse_with(parse_network, "addresses or networks like 10.0.0.0/8"));

    /// origins (comma-separated, like https://app.example.com) whose scripts may call the API
    CORS_ALLOWED_ORIGINS: Vec<HeaderValue>,
        list(parse_with(parse_origin, "origins like https://app.example.com, without a path"));

    /// seconds for which browsers are to insist on TLS, when it is in front; 0: no header
    HSTS_MAX_AGE: Duration = "0", seconds(0..=63_072_000);

    /// the origin clients reach the service at, like https://api.example.com; links are built from it
    PUBLIC_URL: Option<PublicUrl>, optional(parse_with(PublicUrl::parse, PublicUrl::EXPECTED));
}

/// Where the pages about problems are: `/problems/{code}`.
pub const PROBLEM_TYPE_PREFIX: &str = "/problems/";

/// What a request may take, and whom to believe about it.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// How long a body may take to arrive, from the start of the request.
    pub body_timeout: Duration,
    /// How long a body may be, in bytes.
    pub max_body_bytes: u64,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose scripts may call the API from a browser.
    pub cors_allowed_origins: Vec<HeaderValue>,
    /// How long browsers are to insist on TLS; `None` says nothing about it.
    pub hsts_max_age: Option<Duration>,
    /// Where clients reach the service: what links to it are built from.
    pub public_url: Option<PublicUrl>,
}

impl From<&WebSettings> for HttpOptions {
    fn from(settings: &WebSettings) -> Self {
        Self {
            request_timeout: settings.request_timeout,
            body_timeout: settings.body_timeout,
            max_body_bytes: settings.max_body_bytes,
            trusted_proxies: settings.trusted_proxies.clone(),
            cors_allowed_origins: settings.cors_allowed_origins.clone(),
            hsts_max_age: settings.hsts_max_age,
            problem_type_prefix: PROBLEM_TYPE_PREFIX.into(),
        }
    }
}

impl Section for WebSettings {
    const TITLE: &'static str = "Requests";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let hsts_max_age = values.read(&HSTS_MAX_AGE)?;
        Ok(Self {
            public_url: values.read(&PUBLIC_URL)?,
            cors_allowed_origins: values.read(&CORS_ALLOWED_ORIGINS)?,
            hsts_max_age: Some(hsts_max_age).filter(|age| !age.is_zero()),
            request_timeout: values.read(&REQUEST_TIMEOUT_MS)?,
            body_timeout: values.read(&BODY_TIMEOUT_MS)?,
            max_body_bytes: values.read(&MAX_BODY_BYTES)?,
            trusted_proxies: values.read(&TRUSTED_PROXIES)?,
        })
    }
}

/// An origin as browsers write it (RFC 6454, section 6.2): scheme, host and perhaps port, in lower case.
fn parse_origin(text: &str) -> Option<HeaderValue> {
    let (scheme, authority) = text.split_once("://")?;
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    let fits = matches!(scheme, "http" | "https")
        && !authority.is_empty()
        && authority.bytes().all(is_plain);
    HeaderValue::from_str(text).ok().filter(|_| fits)
}

/// A network, or a single address as the network of one.
fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok();
    network.or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)))
}
