//! What administrators ask, as JSON and in queries.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::role_schema;

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
