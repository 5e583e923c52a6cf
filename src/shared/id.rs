//! Ids that cannot be mistaken for one another.

use utoipa::openapi::{
    RefOr,
    schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type},
};
use uuid::Uuid;

/// The one spelling of an id: a request can be found in a log by the id that it names.
const SPELLING: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

/// The text is no id in the one spelling that ids have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID in lower case with dashes")]
pub struct InvalidId;

/// Reads a UUID in lower case with dashes, as [`Display`](std::fmt::Display) writes it. The library also takes upper case,
/// braces, `urn:uuid:` and no dashes.
pub(crate) fn parse_uuid(text: &str) -> Result<Uuid, InvalidId> {
    let id = Uuid::try_parse(text).map_err(|_| InvalidId)?;
    let is_plain = id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
    is_plain.then_some(id).ok_or(InvalidId)
}

/// The schema of an id in the OpenAPI document.
pub(crate) fn uuid_schema() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .pattern(Some(SPELLING))
        .build()
        .into()
}

/// Declares the type of an id: a UUIDv7, so that newer things sort behind older ones.
macro_rules! id {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(::uuid::Uuid);

        impl $name {
            /// A new one, made now.
            #[must_use]
            pub fn generate() -> Self {
                Self(::uuid::Uuid::now_v7())
            }

            /// As the database and the wire know it.
            #[must_use]
            pub fn as_uuid(&self) -> &::uuid::Uuid {
                &self.0
            }
        }

        impl From<::uuid::Uuid> for $name {
            fn from(id: ::uuid::Uuid) -> Self {
                Self(id)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::shared::InvalidId;

            fn from_str(text: &str) -> Result<Self, $crate::shared::InvalidId> {
                $crate::shared::parse_uuid(text).map(Self)
            }
        }

        // In payloads that are kept.
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <::std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl ::utoipa::PartialSchema for $name {
            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::Schema> {
                $crate::shared::uuid_schema()
            }
        }

        impl ::utoipa::ToSchema for $name {}
    };
}

pub(crate) use id;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn an_id_has_one_spelling(number in any::<u128>()) {
            let id = Uuid::from_u128(number);
            let text = id.to_string();

            prop_assert_eq!(parse_uuid(&text), Ok(id));
            for other in [
                text.replace('-', ""), format!("{{{text}}}"), format!("urn:uuid:{text}"), format!(" {text}"), format!("{text}\n"),
            ] {
                prop_assert_eq!(parse_uuid(&other), Err(InvalidId));
            }
            if text.to_uppercase() != text {
                prop_assert_eq!(parse_uuid(&text.to_uppercase()), Err(InvalidId));
            }
        }
    }
}
