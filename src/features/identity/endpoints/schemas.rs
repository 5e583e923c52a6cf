//! Schemas of what requests hold, as exact as a schema can be: what fits one is refused by rules that it cannot state
//! only, such as a list of common passwords.

use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};

/// What every text has to be: PostgreSQL stores no U+0000.
const WITHOUT_NUL: &str = r"^[^\u0000]*$";

/// The schema of an address, as `Email` reads it. Only `Email` counts how long its parts are.
#[must_use]
pub fn email_schema() -> Object {
    const ATOM: &str = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
    const LABEL: &str = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?";
    // Two characters at least, and a letter among them.
    const TOP: &str =
        "([A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]|[0-9][0-9-]*[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?)";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("At most 254 characters; compared without case."))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
        .pattern(Some(format!(r"^{ATOM}(\.{ATOM})*@({LABEL}\.)+{TOP}$")))
        .max_length(Some(254))
        .build()
}

/// The schema of a password that has to be the right one.
pub(super) fn password_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .pattern(Some(WITHOUT_NUL))
        .build()
}

/// The schema of a new password, with the default of the least length.
#[must_use]
pub fn new_password_schema() -> Object {
    ObjectBuilder::from(password_schema())
        .description(Some("8 to 128 characters, and no common password."))
        .min_length(Some(8))
        .max_length(Some(128))
        .build()
}

/// The schema of a token.
pub(super) fn token_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(WITHOUT_NUL))
        .build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{features::identity::Email, properties};

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn an_address_fits_its_schema_exactly_when_it_is_taken(
            text in prop_oneof![
                "[A-Za-z0-9.@_+ é-]{0,12}",
                "[a-z0-9.+'-]{1,4}@[a-z0-9.-]{1,8}",
                "[a-z0-9]{1,3}(\\.[a-z]{1,3}){0,2}@([a-z0-9-]{1,3}\\.){1,2}[a-z0-9-]{1,4}",
            ],
        ) {
            let schema = serde_json::to_value(email_schema()).unwrap();
            let fits = jsonschema::is_valid(&schema, &json!(text));
            prop_assert_eq!(fits, Email::parse(&text).is_ok(), "{}", text);
        }
    }
}
