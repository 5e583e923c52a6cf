//! Limits and timeouts of a request.

use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;

use super::public_url::PublicUrl;
use crate::config::{Section, Setting, SettingError, Values};

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

impl Section for WebSettings {
    const SETTINGS: &'static [Setting] = &[
        Setting::new(
            "REQUEST_TIMEOUT_MS",
            "30000",
            "how long an answer may take before it is a 503",
        ),
        Setting::new(
            "BODY_TIMEOUT_MS",
            "30000",
            "how long a body may take to arrive before it is a 408",
        ),
        Setting::new(
            "MAX_BODY_BYTES",
            "65536",
            "how long a body may be before it is a 413",
        ),
        Setting::new(
            "TRUSTED_PROXIES",
            "",
            "networks (CIDR, comma-separated) whose X-Forwarded-For is believed, read from the right",
        ),
        Setting::new(
            "CORS_ALLOWED_ORIGINS",
            "",
            "origins (comma-separated, like https://app.example.com) whose scripts may call the API",
        ),
        Setting::new(
            "HSTS_MAX_AGE",
            "0",
            "seconds for which browsers are to insist on TLS, when it is in front; 0: no header",
        ),
        Setting::new(
            "PUBLIC_URL",
            "",
            "the origin clients reach the service at, like https://api.example.com; links are built from it",
        ),
    ];

    fn read(values: &Values) -> Result<Self, SettingError> {
        let hsts_max_age = Duration::from_secs(values.number("HSTS_MAX_AGE", 0, 63_072_000)?);
        let origins = values.list("CORS_ALLOWED_ORIGINS");
        let origins: Option<_> = origins.iter().map(|item| parse_origin(item)).collect();
        let public_url = match values.text("PUBLIC_URL") {
            None => None,
            Some(text) => Some(
                PublicUrl::parse(&text)
                    .ok_or_else(|| values.unusable("PUBLIC_URL", PublicUrl::EXPECTED))?,
            ),
        };
        Ok(Self {
            public_url,
            cors_allowed_origins: origins.ok_or_else(|| {
                values.unusable(
                    "CORS_ALLOWED_ORIGINS",
                    "origins like https://app.example.com, without a path",
                )
            })?,
            hsts_max_age: Some(hsts_max_age).filter(|age| !age.is_zero()),
            request_timeout: values.millis("REQUEST_TIMEOUT_MS", 1)?,
            body_timeout: values.millis("BODY_TIMEOUT_MS", 1)?,
            max_body_bytes: values.number("MAX_BODY_BYTES", 0, 1 << 30)?,
            trusted_proxies: values
                .list("TRUSTED_PROXIES")
                .iter()
                .map(|item| parse_network(item))
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    values.unusable("TRUSTED_PROXIES", "addresses or networks like 10.0.0.0/8")
                })?,
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
