//! The correlation id: the name of a request in logs, traces and responses.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header with the correlation id, in requests and responses.
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

/// The name of a request in logs, traces and responses: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelationId(String);

impl CorrelationId {
    /// The id that the client sent, if it sent exactly one and [`parse`](Self::parse) accepts it; otherwise a new
    /// random UUID.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(CORRELATION_HEADER).iter();
        let only = sent.next().filter(|_| sent.next().is_none());
        only.and_then(|value| value.to_str().ok())
            .and_then(Self::parse)
            .unwrap_or_else(Self::random)
    }

    fn random() -> Self {
        // Not by Display, which every request would pay for.
        let mut text = Uuid::encode_buffer();
        let text = Uuid::new_v4().hyphenated().encode_lower(&mut text);
        Self(text.to_owned())
    }

    /// Accepts 1 to 64 characters that need no escaping in a header, a log line or a URL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(harmless);
        fits.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as the value of a header.
    ///
    /// # Panics
    ///
    /// Never: its characters are all legal in a header.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("its characters are all legal in a header")
    }
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
