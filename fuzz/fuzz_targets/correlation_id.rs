//! Correlation ids: whatever is sent, what is kept can stand in a header, a log line and a trace.

#![no_main]

use chassis_http::{CORRELATION_HEADER, CorrelationId};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|values: Vec<&[u8]>| {
    let mut headers = HeaderMap::new();
    let values = values.into_iter().take(3).map(HeaderValue::from_bytes);
    for value in values.filter_map(Result::ok) {
        headers.append(CORRELATION_HEADER, value);
    }
    let id = CorrelationId::of(&headers);
    let text = id.as_str();
    assert!((1..=64).contains(&text.len()));
    assert!(
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    );
    assert_eq!(id.to_header(), text);
    assert_eq!(CorrelationId::parse(text), Some(id.clone()));
    let mut sent = headers.get_all(CORRELATION_HEADER).iter();
    let only = sent.next().filter(|_| sent.next().is_none());
    let is_kept = only.is_some_and(|value| value == text);
    let is_harmless = only
        .and_then(|value| value.to_str().ok())
        .and_then(CorrelationId::parse);
    assert_eq!(is_kept, is_harmless.is_some());
});
