//! `config`: the effective settings.

use std::process::ExitCode;

use crate::config::{Values, catalogue};

pub(super) fn run(values: &Values) -> anyhow::Result<ExitCode> {
    for (section, settings) in catalogue() {
        println!("# {section}");
        for setting in settings {
            let value = match values.text(setting.name) {
                None => "(unset)".to_owned(),
                Some(_) if setting.secret => "(redacted)".to_owned(),
                Some(text) => text,
            };
            let origin = values.origin(setting.name);
            println!("{:28} {value:32} {origin}", setting.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}
