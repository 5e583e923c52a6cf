//! The crate over a real PostgreSQL: `TEST_DATABASE_URL`, or the throw-away server of `scripts/postgres`.

mod migrations;
mod reads;
mod support;
mod transactions;
