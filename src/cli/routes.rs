//! `routes`: every endpoint.

use std::process::ExitCode;

use crate::{app::App, routes, settings::Settings, shared::clock::Clock};

pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let app = App::build(settings, Clock::system())?;
    say!(
        "{:7} {:22} {:10} {:7} PURPOSE",
        "METHOD",
        "PATH",
        "WHO",
        "RATE"
    );
    for feature in routes::features(&app) {
        for endpoint in &feature.endpoints {
            let stated = endpoint.operation();
            say!(
                "{:7} {:22} {:10} {:7} {}",
                stated.method.as_str(),
                stated.template,
                stated.access,
                stated.rate_limit,
                stated.summary
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
