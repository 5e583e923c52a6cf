//! Every endpoint, called in process over a real PostgreSQL.

#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on should stop"
)]

mod api_docs;
// api_keys: begin
mod api_keys;
// api_keys: end
// browser_sessions: begin
mod browser_sessions;
// browser_sessions: end
mod identity;
mod jobs;
mod limits;
mod operations;
mod recovery;
mod support;
mod web;
