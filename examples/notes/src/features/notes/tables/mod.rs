//! SQL, one file per table.

pub(super) mod notes;
