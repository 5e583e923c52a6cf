//! What administrators do with the accounts of others: see, change and delete them.
//!
//! Who exists is the business of the room of users, and who may change whom is
//! decided there; what else ends with an account, in the room of auth. The
//! shell does the same without this room (`user list`, `user set-role`).
//!
//! Endpoints: `/users` and `/users/{id}`.

mod handlers;
mod payloads;
mod routes;

pub use self::routes::endpoints;
