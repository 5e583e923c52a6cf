//! `config`: the effective settings.

use std::process::ExitCode;

use chassis_settings::Values;

use crate::settings;

#[derive(Debug, clap::Args)]
pub(super) struct Config {
    /// Print `.env.example` instead: every setting with its default
    #[arg(long)]
    example: bool,
}

impl Config {
    pub(super) fn run(&self, values: &Values) -> ExitCode {
        if self.example {
            say!("{}", settings::catalogue().example().trim_end());
        } else {
            show(values);
        }
        ExitCode::SUCCESS
    }
}

fn show(values: &Values) {
    let mut section = "";
    for entry in values.entries() {
        if entry.section != section {
            section = entry.section;
            say!("# {section}");
        }
        say!("{:28} {:32} {}", entry.name, entry.value, entry.origin);
    }
}
