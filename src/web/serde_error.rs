//! Turns serde's words about a wrong shape into field errors that repeat nothing the client sent.

use std::borrow::Cow;

use serde_path_to_error::{Path, Segment};

use super::problem::FieldError;

/// The place serde was at, as a JSON pointer (RFC 6901).
pub(super) fn pointer(path: &Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// What serde says, cut down to what comes from our own types.
///
/// serde quotes values (`invalid type: string "…", expected u8`), but what
/// follows `expected` is always ours, and so are the names of missing and
/// repeated fields.
pub(super) fn field_error(pointer: String, message: &str) -> FieldError {
    let expected = message
        .rsplit_once("expected ")
        .map(|(_, rest)| rest.split(" at line ").next().unwrap_or(rest));
    let named = |message: &str| message.split('`').nth(1).map(str::to_owned);
    let (pointer, code, detail): (String, _, Cow<'static, str>) =
        if message.starts_with("missing field") {
            let name = named(message).unwrap_or_default();
            (
                format!("{pointer}/{name}"),
                "required",
                "this field is required".into(),
            )
        } else if message.starts_with("duplicate field") {
            let name = named(message).unwrap_or_default();
            let place = format!("/{name}");
            let pointer = pointer.strip_suffix(&place).unwrap_or(&pointer);
            (
                format!("{pointer}{place}"),
                "duplicate_field",
                "this field may be given once".into(),
            )
        } else if message.starts_with("unknown field") {
            let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            let known = expected.map_or("no fields".to_owned(), str::to_owned);
            (
                parent.to_owned(),
                "unknown_field",
                format!("the known ones are {known}").into(),
            )
        } else if message.starts_with("invalid type") {
            let expected = expected.unwrap_or("another type");
            (
                pointer,
                "invalid_type",
                format!("expected {expected}").into(),
            )
        } else {
            let detail = match expected {
                Some(expected) => format!("expected {expected}").into(),
                None => "the value is not one that can be used here".into(),
            };
            (pointer, "invalid_value", detail)
        };
    FieldError {
        pointer: pointer.into(),
        code,
        detail,
    }
}
