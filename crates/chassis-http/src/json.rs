//! Bodies that are parsed: the media type, and JSON.
//!
//! JSON is read more strictly than `serde_json` does it by itself, because what two parsers read differently
//! can be used to get one thing past a check and another thing into the service:
//!
//! - the document is one object; serde would also fill a struct from an array, in the order of its fields;
//! - unknown and repeated fields are refused (types say `deny_unknown_fields`);
//! - U+0000 is refused in every string, because PostgreSQL cannot store it in `text`.
//!
//! Each error names the field by a JSON pointer, and none repeats what was sent (`serde_error.rs`).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::de::DeserializeOwned;
use warp::{Filter, Rejection, filters::BoxedFilter};

use super::{
    context::{RequestContext, context},
    problem::{FieldError, MALFORMED_JSON, Problem, UNSUPPORTED_MEDIA_TYPE},
    serde_error,
};

/// The media types of bodies that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

impl MediaType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }

    /// The media type in the headers: exactly one, without a content encoding.
    ///
    /// JSON is UTF-8, whatever parameters say (RFC 8259, section 11). A form has no other charset here, either.
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
            json if json == Self::Json.as_str() => Self::Json,
            form if form == Self::Form.as_str() => Self::Form,
            _ => return None,
        };
        let utf8 = |parameter: String| match parameter.split_once('=') {
            Some(("charset", charset)) => ["utf-8", "utf8"].contains(&charset.trim_matches('"')),
            _ => true,
        };
        (media_type == Self::Json || parts.all(utf8)).then_some(media_type)
    }
}

/// A filter that reads a body of one of these media types. Others are answered by a 415.
#[must_use]
pub fn raw_body(accepted: &'static [MediaType]) -> BoxedFilter<(MediaType, Bytes)> {
    context()
        .and(warp::header::headers_cloned())
        .and_then(
            move |context: Arc<RequestContext>, headers: HeaderMap| async move {
                let media_type = MediaType::of(&headers).filter(|found| accepted.contains(found));
                let media_type =
                    media_type.ok_or_else(|| unsupported(accepted, &context.method, &headers))?;
                let bytes = context.body.read().await.map_err(Problem::from)?;
                Ok::<_, Rejection>((media_type, bytes))
            },
        )
        .untuple_one()
        .boxed()
}

/// The refusal, which says what is taken instead (RFC 9110, section 15.5.16).
fn unsupported(accepted: &[MediaType], method: &Method, request: &HeaderMap) -> Problem {
    let types: Vec<&str> = accepted.iter().map(|accepted| accepted.as_str()).collect();
    let detail = format!(
        "send the body as {} in UTF-8, without a Content-Encoding",
        types.join(" or ")
    );
    let name = match *method {
        Method::POST => HeaderName::from_static("accept-post"),
        Method::PATCH => HeaderName::from_static("accept-patch"),
        _ => header::ACCEPT,
    };
    let problem = Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail);
    let problem = match HeaderValue::from_str(&types.join(", ")) {
        Ok(types) => problem.header(name, types),
        Err(_) => problem,
    };
    if request.contains_key(header::CONTENT_ENCODING) {
        let none = HeaderValue::from_static("identity");
        return problem.header(header::ACCEPT_ENCODING, none);
    }
    problem
}

/// A filter that reads a JSON body into `T`. Unknown and repeated fields and U+0000 are refused.
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

/// Refuses what is not an object: serde would also read the fields of a struct from an array, in their order.
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

/// The JSON pointer to a string with U+0000 in it, which PostgreSQL cannot store.
fn find_nul(bytes: &[u8]) -> Option<String> {
    // A raw NUL is not JSON, so only its escape can be here. Most documents have none, and are not parsed twice.
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
    use http_body_util::BodyExt;
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
        let body = problem.render("id", "/problems/").into_body();
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
            // No parameter has an effect (RFC 8259, section 11).
            ("application/json; charset=latin1", Some(MediaType::Json)),
            ("application/x-www-form-urlencoded", Some(MediaType::Form)),
            (
                "application/x-www-form-urlencoded; charset=utf8",
                Some(MediaType::Form),
            ),
            ("application/x-www-form-urlencoded; charset=latin1", None),
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
