//! The body of a request: counted and timed while it arrives, then parsed strictly.
//!
//! The request layer keeps a handle on the body that it lends to warp, so that
//! it can read what nobody else did before it answers. A client that is still
//! sending then sees the answer instead of a reset connection.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, Sleep};
use warp::{Filter, Rejection, filters::BoxedFilter};

use super::{
    context::{RequestContext, context},
    problem::{
        BODY_TIMEOUT, BODY_TOO_LARGE, FieldError, INVALID_REQUEST, MALFORMED_JSON, Problem,
        UNSUPPORTED_MEDIA_TYPE,
    },
    serde_error,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type AnyBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// How much of an unwanted body is read and dropped, and for how long.
const DRAIN_BYTES: u64 = 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Why a body could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than `MAX_BODY_BYTES`.
    #[error("the body is too large")]
    TooLarge,
    /// It took longer than `BODY_TIMEOUT_MS`.
    #[error("the body did not arrive in time")]
    TimedOut,
    /// The connection broke, or the framing was wrong.
    #[error("the body broke off")]
    BrokeOff,
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Problem::new(
                &BODY_TOO_LARGE,
                "the body is longer than this service accepts",
            ),
            BodyError::TimedOut => Problem::new(&BODY_TIMEOUT, "the body did not arrive in time"),
            BodyError::BrokeOff => Problem::new(&INVALID_REQUEST, "the body broke off"),
        }
    }
}

/// A handle on the body of a request; clones share it.
#[derive(Clone, Default)]
pub struct RequestBody(Option<Arc<Mutex<Reading>>>);

struct Reading {
    body: AnyBody,
    limit: u64,
    received: u64,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// The client waits for `100 Continue`, which reading would send.
    waits: bool,
    ended: Option<Result<(), BodyError>>,
}

impl RequestBody {
    /// Wraps a body with its limit in bytes and the time by which it has to be here.
    pub fn new<B>(body: B, headers: &HeaderMap, limit: u64, deadline: Instant) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self(None);
        }
        let reading = Reading {
            body: Box::pin(body.map_err(Into::into)),
            limit,
            received: 0,
            deadline,
            timer: None,
            waits: headers.contains_key(header::EXPECT),
            ended: None,
        };
        Self(Some(Arc::new(Mutex::new(reading))))
    }

    /// Reads it all.
    pub async fn read(&self) -> Result<Bytes, BodyError> {
        if self
            .lock()
            .is_some_and(|reading| reading.is_announced_too_large())
        {
            return Err(BodyError::TooLarge);
        }
        let mut body = self.clone();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole.freeze())
    }

    /// Whether a handler is, or was, still waiting for the client to send.
    #[must_use]
    pub fn is_arriving(&self) -> bool {
        self.lock()
            .is_some_and(|reading| reading.timer.is_some() && reading.ended.is_none())
    }

    /// Reads and drops the rest, within bounds. Says whether the end was reached.
    pub async fn drain(&self) -> bool {
        let Some(shared) = &self.0 else { return true };
        let rest = async {
            let mut dropped = 0;
            loop {
                let frame = std::future::poll_fn(|cx| Self::poll_raw(shared, cx)).await;
                match frame {
                    None => return true,
                    Some(Err(_)) => return false,
                    Some(Ok(frame)) => dropped += length_of(&frame),
                }
                if dropped > DRAIN_BYTES {
                    return false;
                }
            }
        };
        let untouched = self
            .lock()
            .is_some_and(|reading| reading.waits && reading.received == 0);
        if untouched || self.lock().is_some_and(|reading| reading.is_hopeless()) {
            return false;
        }
        tokio::time::timeout(DRAIN_TIME, rest)
            .await
            .unwrap_or(false)
    }

    fn poll_raw(
        shared: &Mutex<Reading>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        lock(shared).body.as_mut().poll_frame(cx)
    }

    fn lock(&self) -> Option<MutexGuard<'_, Reading>> {
        self.0.as_deref().map(lock)
    }
}

/// A poisoned lock is entered all the same: each poll leaves the state whole.
fn lock(shared: &Mutex<Reading>) -> MutexGuard<'_, Reading> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn length_of(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

impl Reading {
    fn is_announced_too_large(&self) -> bool {
        self.body.size_hint().lower() > self.limit
    }

    /// So much is still announced that waiting for it would not help.
    fn is_hopeless(&self) -> bool {
        self.body.size_hint().lower() > DRAIN_BYTES
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(ended) = self.ended {
            return Poll::Ready(ended.err().map(Err));
        }
        let deadline = self.deadline;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        let end = match self.body.as_mut().poll_frame(cx) {
            Poll::Pending => {
                ready!(timer.as_mut().poll(cx));
                Err(BodyError::TimedOut)
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.received += length_of(&frame);
                if self.received <= self.limit {
                    return Poll::Ready(Some(Ok(frame)));
                }
                Err(BodyError::TooLarge)
            }
            Poll::Ready(Some(Err(_))) => Err(BodyError::BrokeOff),
            Poll::Ready(None) => Ok(()),
        };
        self.ended = Some(end);
        Poll::Ready(end.err().map(Err))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.lock() {
            Some(mut reading) => reading.poll_next(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_none_or(|reading| reading.ended.is_some())
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().map_or_else(
            || SizeHint::with_exact(0),
            |reading| reading.body.size_hint(),
        )
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody")
    }
}

/// The media type of a body, as far as this service tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

impl MediaType {
    /// What the headers announce: exactly one type, in UTF-8, not encoded.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let encoded = headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let announced = types.next()?.to_str().ok()?;
        if encoded || types.next().is_some() {
            return None;
        }
        let mut parts = announced
            .split(';')
            .map(|part| part.trim().to_ascii_lowercase());
        let media_type = match parts.next()?.as_str() {
            "application/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            _ => return None,
        };
        let utf8 = |parameter: String| match parameter.split_once('=') {
            Some(("charset", charset)) => charset.trim_matches('"') == "utf-8",
            _ => true,
        };
        parts.all(utf8).then_some(media_type)
    }
}

/// Reads a body of one of these kinds.
#[must_use]
pub fn raw_body(accepted: &'static [MediaType]) -> BoxedFilter<(MediaType, Bytes)> {
    context()
        .and(warp::header::headers_cloned())
        .and_then(
            move |context: Arc<RequestContext>, headers: HeaderMap| async move {
                let media_type = MediaType::of(&headers).filter(|found| accepted.contains(found));
                let media_type = media_type.ok_or_else(unsupported)?;
                let bytes = context.body.read().await.map_err(Problem::from)?;
                Ok::<_, Rejection>((media_type, bytes))
            },
        )
        .untuple_one()
        .boxed()
}

fn unsupported() -> Problem {
    let detail = "send the body as application/json in UTF-8, without a Content-Encoding";
    Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail)
}

/// Reads a JSON body into `T`. Unknown and repeated fields and U+0000 are refused.
#[must_use]
pub fn json_body<T: DeserializeOwned + Send + 'static>() -> BoxedFilter<(T,)> {
    raw_body(&[MediaType::Json])
        .and_then(|_, bytes: Bytes| async move { parse_json(&bytes).map_err(Rejection::from) })
        .boxed()
}

/// Parses JSON as strictly as [`json_body`] does.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    require_object(bytes)?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json);
    let value = parsed.map_err(|error| {
        let pointer = serde_error::pointer(error.path());
        match error.inner().classify() {
            serde_json::error::Category::Data => Problem::invalid(vec![serde_error::field_error(
                pointer,
                &error.inner().to_string(),
            )]),
            _ => malformed(error.inner()),
        }
    })?;
    json.end().map_err(|error| malformed(&error))?;
    match find_nul(bytes) {
        Some(pointer) => Err(Problem::invalid(vec![FieldError {
            pointer: pointer.into(),
            code: "nul_character",
            detail: "the character U+0000 is not allowed".into(),
        }])),
        None => Ok(value),
    }
}

/// serde would also read the fields of a struct from an array, in their order.
fn require_object(bytes: &[u8]) -> Result<(), Problem> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        return Ok(());
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| malformed(&error))?;
    Err(Problem::invalid(vec![FieldError {
        pointer: "".into(),
        code: "invalid_type",
        detail: "expected an object".into(),
    }]))
}

fn malformed(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    let detail = format!("the body is not valid JSON: see line {line}, column {column}");
    Problem::new(&MALFORMED_JSON, detail)
}

/// Where a string of the document holds U+0000, which PostgreSQL cannot store.
fn find_nul(bytes: &[u8]) -> Option<String> {
    // A raw NUL is no JSON, so only its escape can be here; most documents hold none.
    if !bytes.windows(6).any(|window| window == br"\u0000") {
        return None;
    }
    let document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    nul_within(&document)
}

fn nul_within(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => text.contains('\0').then(String::new),
        serde_json::Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(format!("/{index}{}", nul_within(item)?))),
        serde_json::Value::Object(fields) => fields
            .iter()
            .find_map(|(name, item)| Some(format!("/{name}{}", nul_within(item)?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::properties;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Note {
        title: String,
        stars: Option<u8>,
    }

    fn code_of(json: &str) -> String {
        let problem = parse_json::<Note>(json.as_bytes()).unwrap_err();
        let body = problem.render("id").into_body();
        let body = futures_util::FutureExt::now_or_never(body.collect());
        let bytes = body.unwrap().unwrap().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let first = &json["errors"][0];
        match first["code"].as_str() {
            Some(code) => format!("{code} {}", first["pointer"].as_str().unwrap()),
            None => json["code"].as_str().unwrap().to_owned(),
        }
    }

    #[test]
    fn a_good_document_is_read() {
        let note: Note = parse_json(br#"{"title": "a \\u0000 spelled out", "stars": 3}"#).unwrap();

        assert_eq!(note.stars, Some(3));
    }

    #[test]
    fn each_mistake_has_its_own_code_and_place() {
        for (json, expected) in [
            ("", "malformed_json"),
            ("{", "malformed_json"),
            (r#"{"title": "a"} {}"#, "malformed_json"),
            ("\u{feff}{}", "malformed_json"),
            (r#"{"title": "\ud800"}"#, "malformed_json"),
            ("[]", "invalid_type "),
            ("{}", "required /title"),
            (r#"{"title": 1}"#, "invalid_type /title"),
            (r#"{"title": "a", "stars": 300}"#, "invalid_value /stars"),
            (r#"{"title": "a", "title": "b"}"#, "duplicate_field /title"),
            (r#"{"title": "a", "role": "OWNER"}"#, "unknown_field "),
            (r#"{"title": "a\u0000"}"#, "nul_character /title"),
        ] {
            assert_eq!(code_of(json), expected, "{json}");
        }
    }

    #[test]
    fn what_was_sent_is_never_repeated() {
        let problem = parse_json::<Note>(br#"{"title": "a", "stars": "hunter2"}"#).unwrap_err();

        assert!(!format!("{problem:?}").contains("hunter2"));
    }

    #[test]
    fn media_types_are_told_apart() {
        for (text, expected) in [
            ("application/json", Some(MediaType::Json)),
            ("Application/JSON; charset=UTF-8", Some(MediaType::Json)),
            ("application/json; charset=latin1", None),
            ("application/x-www-form-urlencoded", Some(MediaType::Form)),
            ("text/plain", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, text.parse().unwrap());
            assert_eq!(MediaType::of(&headers), expected, "{text}");
        }
    }

    /// A document of this depth in a field that takes a number.
    fn nested(open: &str, depth: usize) -> String {
        format!("{{\"title\": \"a\", \"stars\": {}", open.repeat(depth))
    }

    /// The code of the problem, without a look at its fields.
    fn refused(json: &str) -> &'static str {
        parse_json::<Note>(json.as_bytes()).unwrap_err().kind().code
    }

    #[test]
    fn depth_ends_nothing_but_the_request() {
        for depth in [10, 127, 128, 1_000, 100_000] {
            for open in ["[", "{\"a\":"] {
                let code = refused(&nested(open, depth));
                assert!(
                    ["validation_failed", "malformed_json"].contains(&code),
                    "{code}"
                );
            }
            assert_eq!(refused(&"[".repeat(depth)), "malformed_json");
        }
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn any_text_comes_back_as_it_was_written(title in any::<String>(), stars in any::<Option<u8>>()) {
            let json = serde_json::json!({"title": title, "stars": stars}).to_string();
            match parse_json::<Note>(json.as_bytes()) {
                Ok(note) => prop_assert_eq!(note, Note { title, stars }),
                Err(_) => prop_assert!(title.contains('\0')),
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop_oneof![
            any::<Vec<u8>>(),
            "[\\[\\]{}\",:0-9aeltu\\\\ -]{0,40}".prop_map(String::into_bytes),
        ]) {
            if let Err(problem) = parse_json::<Note>(&bytes) {
                prop_assert!(problem.kind().status.is_client_error());
            }
        }

        #[test]
        fn a_field_nobody_knows_or_everybody_knows_already_is_refused(
            name in prop_oneof![Just("title".to_owned()), Just("stars".to_owned()), any::<String>()],
            value in prop_oneof![Just("null"), Just("1"), Just("\"a\""), Just("[[]]"), Just("{\"title\": 1}")],
        ) {
            let known = "\"title\": \"a\", \"stars\": 1";
            let name = serde_json::Value::from(name).to_string();
            for json in [
                format!("{{{known}, {name}: {value}}}"),
                format!("{{{name}: {value}, {known}}}"),
            ] {
                prop_assert_eq!(refused(&json), "validation_failed");
            }
        }

        #[test]
        fn nul_is_refused_wherever_it_stands(before in "[^\0]{0,8}", after in "[^\0]{0,8}") {
            let json = serde_json::json!({"title": format!("{before}\0{after}")}).to_string();
            prop_assert_eq!(code_of(&json), "nul_character /title");
        }
    }
}
