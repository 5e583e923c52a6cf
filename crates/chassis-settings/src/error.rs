//! What is wrong with a setting.

use std::fmt::Display;

/// A setting that cannot be used, in one line for the person who deploys the service.
///
/// The text names the setting, the source that gave the value, and what would have been right. It never shows the
/// value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} (from {origin}): expected {expected}")]
pub struct SettingError {
    /// The setting, or the source when no single setting is to blame.
    pub name: String,
    /// Where the value came from, like `the environment`.
    pub origin: String,
    /// What would have been right.
    pub expected: String,
}

impl SettingError {
    pub(crate) fn new(
        name: impl Into<String>,
        origin: impl Into<String>,
        expected: impl Display,
    ) -> Self {
        Self {
            name: name.into(),
            origin: origin.into(),
            expected: expected.to_string(),
        }
    }
}
