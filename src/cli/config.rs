//! `config`: the effective settings.

use std::process::ExitCode;

use crate::config::{Values, catalogue, example};

#[derive(Debug, clap::Args)]
pub(super) struct Config {
    /// Print `.env.example` instead: every setting with its default
    #[arg(long)]
    example: bool,
}

impl Config {
    pub(super) fn run(&self, values: &Values) -> ExitCode {
        if self.example {
            say!("{}", example().trim_end());
        } else {
            show(values);
        }
        ExitCode::SUCCESS
    }
}

fn show(values: &Values) {
    for (section, settings) in catalogue() {
        say!("# {section}");
        for setting in settings {
            let value = match values.text(setting.name) {
                None => "(unset)".to_owned(),
                Some(_) if setting.secret => "(redacted)".to_owned(),
                Some(text) => text,
            };
            let origin = values.origin(setting.name);
            say!("{:28} {value:32} {origin}", setting.name);
        }
    }
}
