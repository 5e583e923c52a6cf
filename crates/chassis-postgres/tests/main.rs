//! The crate over a real PostgreSQL: `TEST_DATABASE_URL`, or the throw-away server of `scripts/postgres`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod databases;
mod failures;
mod migrations;
mod reads;
mod support;
mod tls;
mod transactions;
