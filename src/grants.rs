//! What the service may do with each table, for installations with two roles.
//!
//! The one list of privileges: `migrate up` grants exactly these to the role that the service
//! connects as, when another one migrates. A new table gets a line here, in the release that
//! creates it; a line whose table is gone does no harm. `docs/how-to/use-two-database-roles.md`
//! says what the two roles are for.

use chassis_postgres::{
    DatabaseSettings, Grants,
    Privilege::{Delete, Insert, Select, Update},
    TableGrant,
};

/// Every table of the service, and what it does with it.
pub static TABLES: &[TableGrant] = &[
    TableGrant::new("users", &[Select, Insert, Update, Delete]),
    TableGrant::new("credentials", &[Select, Insert, Update, Delete]),
    TableGrant::new("sessions", &[Select, Insert, Update, Delete]),
    TableGrant::new("refresh_tokens", &[Select, Insert, Update, Delete]),
    TableGrant::new("auth_networks", &[Select, Insert, Update, Delete]),
    TableGrant::new("rate_limits", &[Select, Insert, Update, Delete]),
    TableGrant::new("jobs", &[Select, Insert, Update, Delete]),
    TableGrant::new("job_schedules", &[Select, Insert, Update, Delete]),
    TableGrant::new("mail_requests", &[Select, Insert, Update, Delete]),
    TableGrant::new("recovery_requests", &[Select, Insert, Update, Delete]),
    TableGrant::new("api_keys", &[Select, Insert, Update, Delete]),
];

/// These, for the role that the service connects as by these settings.
#[must_use]
pub fn of(settings: &DatabaseSettings) -> Grants<'_> {
    Grants::new(settings.target.role(), TABLES)
}
