//! `openapi`: the API's document.

use std::process::ExitCode;

use crate::{app::App, routes, settings::Settings, shared::clock::Clock};

pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let app = App::build(settings, Clock::system())?;
    let document = routes::document(&app);
    say!("{}", document.to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}
