//! SQL, one file for each table.

pub(super) mod rate_limits;
