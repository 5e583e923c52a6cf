//! SQL, one file per table.

pub(super) mod api_keys;
