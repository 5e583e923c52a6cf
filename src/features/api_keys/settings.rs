//! The settings of keys.

use std::time::Duration;

use chassis_settings::{Declaration, Section, SettingError, Values, hours, settings};

settings! {
    /// how long an API key that was rotated is still good, so that its users can take the new one
    KEY_OVERLAP_HOURS: Duration = "24", hours(0..=720);
}

/// The settings of keys.
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// How long a key that was rotated is still good.
    pub overlap: Duration,
}

impl Section for KeySettings {
    const TITLE: &'static str = "API keys";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        Ok(Self {
            overlap: values.read(&KEY_OVERLAP_HOURS)?,
        })
    }
}
