//! What a PATCH says of a field: nothing at all, null, or a value.

use serde::{Deserialize, Deserializer};

use crate::domain::Patch;

/// With `#[serde(default)]`: absent keeps, null clears (RFC 7396).
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::deserialize(deserializer)?;
        Ok(value.map_or(Self::Clear, Self::Set))
    }
}

/// Reads a field that may be absent, but not null: there is nothing it could be cleared to.
///
/// With `#[serde(default, deserialize_with = "present")]`.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::parse_json;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Change {
        #[serde(default, deserialize_with = "present")]
        title: Option<String>,
        #[serde(default)]
        stars: Patch<u8>,
    }

    fn read(json: &str) -> Result<(Option<String>, Patch<u8>), &'static str> {
        let read: Result<Change, _> = parse_json(json.as_bytes());
        read.map(|change| (change.title, change.stars))
            .map_err(|problem| problem.kind().code)
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        assert_eq!(read("{}"), Ok((None, Patch::Keep)));
        assert_eq!(read(r#"{"stars": null}"#), Ok((None, Patch::Clear)));
        assert_eq!(read(r#"{"stars": 3}"#), Ok((None, Patch::Set(3))));
        assert_eq!(read(r#"{"stars": "3"}"#), Err("validation_failed"));
    }

    #[test]
    fn what_cannot_be_cleared_is_not_null() {
        assert_eq!(read(r#"{"title": null}"#), Err("validation_failed"));
        assert_eq!(
            read(r#"{"title": "a"}"#),
            Ok((Some("a".to_owned()), Patch::Keep))
        );
    }
}
