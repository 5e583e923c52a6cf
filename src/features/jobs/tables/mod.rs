//! The tables, one file each; what a worker does with `jobs` has a file of its own.
//!
//! `$1` of nearly every statement is the offset that is added to PostgreSQL's clock, in seconds: zero outside tests.

pub(super) mod claims;
pub(super) mod jobs;
pub(super) mod schedules;
