//! `openapi`: the API's document.

use std::process::ExitCode;

use crate::{app::App, clock::Clock, config::Settings, routes};

pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let app = App::build(settings, Clock::system())?;
    let document = routes::document(&routes::features(&app, false));
    say!("{}", document.to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}
