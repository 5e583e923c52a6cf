//! A change of a value that may be missing: what a PATCH says about a field (RFC 7396).

use serde::{Deserialize, Deserializer};

/// What a change says about something that may be missing: nothing, that it goes, or what it becomes.
///
/// ```
/// use warp_skeleton::shared::Patch;
///
/// let mut body = Some("old");
/// Patch::Keep.apply(&mut body);
/// assert_eq!(body, Some("old"));
/// Patch::Set("new").apply(&mut body);
/// assert_eq!(body, Some("new"));
/// Patch::Clear.apply(&mut body);
/// assert_eq!(body, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is missing from now on.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Patch<T> {
    /// The same about something made of it.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(make(value)),
        }
    }

    /// Makes the change.
    pub fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *to = None,
            Self::Set(value) => *to = Some(value),
        }
    }
}

impl Patch<String> {
    /// The same about the text itself.
    #[must_use]
    pub fn as_deref(&self) -> Patch<&str> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(text) => Patch::Set(text),
        }
    }
}

impl<T, E> Patch<Result<T, E>> {
    /// Takes the error out: for a new value that was parsed.
    pub fn transpose(self) -> Result<Patch<T>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(parsed) => Patch::Set(parsed?),
        })
    }
}

/// With `#[serde(default)]`: an absent field keeps, null clears.
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
    use chassis_http::parse_json;

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
