//! Users as JSON, in and out.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::domain::User;

/// An account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    id: Uuid,
    #[schema(example = "test@example.com", format = Email)]
    email: String,
    #[schema(schema_with = role_schema)]
    role: &'static str,
    is_active: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: *user.id.as_uuid(),
            email: user.email.as_str().to_owned(),
            role: user.role.as_str(),
            is_active: user.is_active,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// The roles by name, for every schema that mentions one.
fn role_schema() -> utoipa::openapi::schema::Object {
    let names = super::Role::ALL.map(super::Role::as_str);
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(names))
        .build()
}

/// Which accounts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListUsers {
    /// How many, from 1 to 100; 20 when absent.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 100)]
    pub(super) limit: Option<String>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
    /// The beginning of the e-mail address.
    pub(super) q: Option<String>,
    /// Only this role.
    #[param(schema_with = role_schema)]
    pub(super) role: Option<String>,
    /// Only accounts that may, or may not, sign in.
    #[param(value_type = Option<bool>)]
    pub(super) is_active: Option<String>,
}

/// What to change about an account; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeUser {
    /// The new role, not above one's own.
    #[schema(schema_with = role_schema, required = false)]
    pub(super) role: Option<String>,
    /// Whether it may sign in. Disabling an account ends its sessions.
    #[schema(required = false)]
    pub(super) is_active: Option<bool>,
}
