//! Every endpoint, called in process over a real PostgreSQL.

mod auth;
mod support;
