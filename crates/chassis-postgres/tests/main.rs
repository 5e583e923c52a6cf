//! The crate over a real PostgreSQL.
