//! What is known about a request besides the request itself.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use uuid::Uuid;
use warp::{Filter, Rejection};

use super::{body::RequestBody, rate_limit::RateLimitStatus};

/// The header that names a request, in and out.
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection from this address.
    Ip(IpAddr),
    /// A unix socket: someone on this machine.
    Local,
}

/// The name of a request in logs, traces and replies: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelationId(String);

impl CorrelationId {
    /// The client's own when it sent exactly one that is short and harmless, else a new UUID.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(CORRELATION_HEADER).iter();
        let only = sent.next().filter(|_| sent.next().is_none());
        only.and_then(|value| value.to_str().ok())
            .and_then(Self::parse)
            .unwrap_or_else(|| Self(Uuid::new_v4().to_string()))
    }

    /// The text, when every character is one that no log and no header can trip over.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(harmless);
        fits.then(|| Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As the value of a header.
    ///
    /// # Panics
    ///
    /// Never: its characters are all legal in a header.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("its characters are all legal in a header")
    }
}

/// The facts of one request that filters and handlers may ask for.
#[derive(Debug)]
pub struct RequestContext {
    /// Names the request.
    pub correlation_id: CorrelationId,
    /// The address that is held responsible, when there is one.
    pub client_ip: Option<IpAddr>,
    /// What the path held where its template has `{…}`, in order, as sent.
    pub path_values: Vec<String>,
    /// The query string as sent, empty when there is none.
    pub query: String,
    /// The body, shared with the request layer, which reads what a handler leaves.
    pub body: RequestBody,
    /// When the request began.
    pub started: Instant,
    /// How its source stands with the limit that let it through.
    pub rate_limit_status: OnceLock<RateLimitStatus>,
}

impl RequestContext {
    /// How long the request has been running.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Hands the context of the request to the next filter.
#[must_use]
pub fn context() -> impl Filter<Extract = (Arc<RequestContext>,), Error = Rejection> + Clone {
    warp::ext::get::<Arc<RequestContext>>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    #[test]
    fn a_harmless_correlation_id_is_kept() {
        for id in ["a", "A-b_c.9", &"x".repeat(64)] {
            assert_eq!(CorrelationId::parse(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn anything_else_is_not() {
        for id in [
            "",
            &"x".repeat(65),
            "a b",
            "a\r\nb",
            "é",
            "{\"a\":1}",
            "a/b",
        ] {
            assert_eq!(CorrelationId::parse(id), None, "{id:?}");
        }
    }

    #[test]
    fn two_headers_are_as_good_as_none() {
        let mut headers = HeaderMap::new();
        headers.append(CORRELATION_HEADER, HeaderValue::from_static("one"));
        headers.append(CORRELATION_HEADER, HeaderValue::from_static("two"));

        let id = CorrelationId::of(&headers);

        assert!(Uuid::parse_str(id.as_str()).is_ok());
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn whatever_is_sent_the_id_is_harmless(
            sent in prop::collection::vec(
                prop_oneof![any::<Vec<u8>>(), "[A-Za-z0-9._-]{0,70}".prop_map(String::into_bytes)],
                0..3,
            ),
        ) {
            let mut headers = HeaderMap::new();
            for value in sent.iter().filter_map(|bytes| HeaderValue::from_bytes(bytes).ok()) {
                headers.append(CORRELATION_HEADER, value);
            }

            let id = CorrelationId::of(&headers);

            prop_assert_eq!(CorrelationId::parse(id.as_str()), Some(id.clone()));
            let values: Vec<_> = headers.get_all(CORRELATION_HEADER).iter().collect();
            let is_kept = values.iter().any(|value| *value == id.as_str());
            let is_fit = |value: &HeaderValue| value.to_str().ok().and_then(CorrelationId::parse).is_some();
            prop_assert_eq!(is_kept, values.len() == 1 && is_fit(values[0]));
        }
    }
}
