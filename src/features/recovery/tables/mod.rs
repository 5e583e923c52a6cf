//! The SQL of this feature, a file for each table. `accounts.rs` has the columns of `users` that belong to it.

pub(super) mod accounts;
pub(super) mod mail_requests;
pub(super) mod recovery_requests;
