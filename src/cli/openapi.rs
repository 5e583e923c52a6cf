//! `openapi`: the API's document.

use std::process::ExitCode;

use crate::{app::App, clock::Clock, routes, settings::Settings};

pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let app = App::build(settings, Clock::system())?;
    let public_url = settings.web.public_url.as_ref();
    let document = routes::document(&routes::features(&app, false), public_url);
    say!("{}", document.to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}
