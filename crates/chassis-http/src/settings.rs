//! The options of a router as settings.

use std::time::Duration;

use chassis_settings::{
    Declaration, Section, SettingError, Values, list, millis, number, parse_with, seconds,
    settings, switch,
};
use http::HeaderValue;
use ipnet::IpNet;

use crate::{HttpOptions, is_origin};

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
        list(parse_with(parse_origin, "origins like https://app.example.com, without a path and the scheme's own port"));

    /// seconds for which browsers are to insist on TLS, when it is in front; 0: no header
    HSTS_MAX_AGE: Duration = "0", seconds(0..=63_072_000);

    /// whether browsers are to insist on TLS for all subdomains of the host, too: only if each of them has it
    HSTS_INCLUDE_SUBDOMAINS: bool = "off", switch();
}

impl Section for HttpOptions {
    const TITLE: &'static str = "Requests";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let hsts_max_age = values.read(&HSTS_MAX_AGE)?;
        Ok(Self {
            request_timeout: values.read(&REQUEST_TIMEOUT_MS)?,
            body_timeout: values.read(&BODY_TIMEOUT_MS)?,
            max_body_bytes: values.read(&MAX_BODY_BYTES)?,
            trusted_proxies: values.read(&TRUSTED_PROXIES)?,
            cors_allowed_origins: values.read(&CORS_ALLOWED_ORIGINS)?,
            cors_credentials: false,
            hsts_max_age: Some(hsts_max_age).filter(|age| !age.is_zero()),
            hsts_include_subdomains: values.read(&HSTS_INCLUDE_SUBDOMAINS)?,
            ..Self::default()
        })
    }
}

/// An origin, as the header that it is compared with.
fn parse_origin(text: &str) -> Option<HeaderValue> {
    let value = HeaderValue::from_str(text).ok();
    value.filter(|_| is_origin(text))
}

/// A network, or a single address as the network of one.
fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok();
    network.or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)))
}

#[cfg(test)]
mod tests {
    use chassis_settings::Catalogue;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<HttpOptions, SettingError> {
        let catalogue = Catalogue::new().section::<HttpOptions>();
        HttpOptions::read(&catalogue.load_pairs(pairs.iter().copied()).unwrap())
    }

    #[test]
    fn the_defaults_are_those_of_the_options() {
        let (read, options) = (read(&[]).unwrap(), HttpOptions::default());

        assert_eq!(read.request_timeout, options.request_timeout);
        assert_eq!(read.body_timeout, options.body_timeout);
        assert_eq!(read.max_body_bytes, options.max_body_bytes);
        assert_eq!(read.trusted_proxies, options.trusted_proxies);
        assert_eq!(read.cors_allowed_origins, options.cors_allowed_origins);
        assert_eq!(read.hsts_max_age, options.hsts_max_age);
        assert_eq!(
            read.hsts_include_subdomains,
            options.hsts_include_subdomains
        );
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        let origins = "https://app.example.com, http://localhost:5173,http://[::1]:8000";
        let options = read(&[("CORS_ALLOWED_ORIGINS", origins)]).unwrap();
        let expected = [
            "https://app.example.com",
            "http://localhost:5173",
            "http://[::1]:8000",
        ];
        assert_eq!(options.cors_allowed_origins, expected);

        for wrong in [
            "*",
            "https://app.example.com/",
            "https://App.example.com",
            "https://app.example.com:443",
        ] {
            let error = read(&[("CORS_ALLOWED_ORIGINS", wrong)]).unwrap_err();
            let expected = "CORS_ALLOWED_ORIGINS (from the environment): expected origins like https://app.example.com, without a path and the scheme's own port";
            assert_eq!(error.to_string(), expected, "{wrong}");
        }
    }

    #[test]
    fn a_proxy_is_a_network_or_one_address() {
        let proxies = "10.0.0.0/8, 192.0.2.7,fd00::/8,::1";
        let options = read(&[("TRUSTED_PROXIES", proxies)]).unwrap();
        let texts = options.trusted_proxies.iter().map(ToString::to_string);
        let expected = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "::1/128"];
        assert_eq!(texts.collect::<Vec<_>>(), expected);

        for wrong in ["proxy.example.com", "10.0.0.0/33", "10.0.0"] {
            let error = read(&[("TRUSTED_PROXIES", wrong)]).unwrap_err();
            let expected = "TRUSTED_PROXIES (from the environment): expected addresses or networks like 10.0.0.0/8";
            assert_eq!(error.to_string(), expected, "{wrong}");
        }
    }

    #[test]
    fn no_seconds_of_hsts_are_no_header() {
        let seconds = |text| read(&[("HSTS_MAX_AGE", text)]).unwrap().hsts_max_age;

        assert_eq!(seconds("0"), None);
        assert_eq!(seconds("60"), Some(Duration::from_mins(1)));
    }
}
