//! What several features use.

pub mod problems;
