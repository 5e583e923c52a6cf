//! Mail on the built program and on real sockets.

mod commands;
mod connections;
mod mailpit;
pub mod server;
mod smtp;
mod tls;

use warp_skeleton::{
    app::templates,
    features::mail::{MAIL_TEST, Mail, Message, Parts},
    settings::{Settings, values},
    shared::clock::Clock,
};

use super::support::run;

/// No database: mail needs none.
const URL: &str = "postgres://me:marked-dsn@localhost/notes";

const FROM: (&str, &str) = ("MAIL_FROM", "Acme <no-reply@acme.example>");

const TO: &str = "marked-recipient@example.org";

/// Runs `mail test` to its end.
fn send_test(settings: &[(&str, &str)]) -> std::process::Output {
    let settings = [&[FROM], settings].concat();
    run(URL, &settings, &["mail", "test", "--to", TO], "")
}

/// The handle of a service with these settings, in this process.
fn mail(settings: &[(&str, &str)]) -> (Mail, prometheus::Registry) {
    let all = [&[FROM, ("APP_ENV", "test")], settings].concat();
    let settings = Settings::read(&values(all).unwrap()).unwrap();
    let registry = prometheus::Registry::new();
    let mail = Mail::new(Parts {
        settings: &settings.mail,
        templates: &templates(),
        registry: &registry,
        clock: Clock::system(),
    });
    (mail.unwrap(), registry)
}

/// A message to this recipient.
fn message(to: &str) -> Message<'_> {
    Message {
        id: uuid::Uuid::now_v7(),
        to,
        template: &MAIL_TEST,
        context: minijinja::context! {},
    }
}
