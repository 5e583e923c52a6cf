//! SQL, one file per table.

pub(super) mod auth_networks;
pub(super) mod credentials;
pub(super) mod refresh_tokens;
pub(super) mod sessions;
pub(super) mod user_locks;
pub(super) mod users;
pub(super) mod writer;
