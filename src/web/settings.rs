//! Limits and timeouts of a request.

use std::time::Duration;

use ipnet::IpNet;

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
    ];

    fn read(values: &Values) -> Result<Self, SettingError> {
        Ok(Self {
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

/// A network, or a single address as the network of one.
fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok();
    network.or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)))
}
