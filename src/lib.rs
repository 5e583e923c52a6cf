//! A web service: accounts with roles, sessions, probes, metrics and a documented API.
//!
//! This crate is the service. What every service needs (settings, telemetry, PostgreSQL access, HTTP, the
//! accept loop) is the chassis, the crates `chassis-*` in `crates/`, which know nothing of this one.
//!
//! # Where things are
//!
//! - [`features`]: what the service does. [`features::identity`] has accounts, credentials and sessions,
//!   [`features::limits`] the limits on sign-ins,
//!   [`features::jobs`] work that outlives a request,
//!   [`features::mail`] what sends messages,
//!   [`features::recovery`] links in mails,
//!   [`features::browser_sessions`] sessions that a cookie holds,
//!   [`features::api_keys`] keys of machines,
//!   [`features::operations`] health, information and metrics, [`features::api_docs`] the documentation of the API.
//!   Each feature has one file per endpoint (the probes share one). Where a session ends: [`features::identity::Revocation`] lists the reasons and their places.
//! - [`routes`]: the list of features; from it come the router, the OpenAPI document and the `routes` command.
//! - [`app`]: the composition root: settings in, connected services out.
//! - [`settings`]: the list of settings, section by section.
//! - [`tasks`]: the runner of periodic tasks; [`app::App::start_tasks`] lists them.
//! - [`migrations`] and [`grants`]: the schema, and what the service's database role may do with it.
//! - [`shared`]: types that several features use: ids, text, time, pages, the clock.
//! - [`program`]: name, version and revision of this build.
//! - [`cli`]: one file per sub-command; [`cli::main`] is where the process begins.
//!
//! # The way of a request
//!
//! 1. [`chassis_server`] accepts the connection and applies timeouts and the connection limit.
//! 2. [`chassis_http::Router`] finds the endpoint, assigns the correlation id, opens the span, applies the rate
//!    limit and the time limit.
//! 3. The endpoint's filters run: guard, path, query, body (`src/features/*/endpoints/`).
//! 4. The handler, or a method of the feature that it shares with others, calls `tables/`, where the SQL is.
//! 5. On the way back the router adds headers, writes the log line and counts the request. To add a header to every
//!    response, put it into [`chassis_http::HttpOptions::response_headers`] in [`app::App::serve`].
//! 6. A failure is a [`chassis_http::Problem`].
//!
//! # When PostgreSQL is down
//!
//! A statement fails as a [`chassis_postgres::DatabaseError`], which [`shared::problems`] turns into a 503 with
//! `Retry-After`. A read is repeated once on a new connection, a write never: the documentation of
//! [`chassis_postgres`] says why, and what is unknown after a lost `COMMIT`. `/ready` is 503 meanwhile
//! (`src/features/operations/endpoints/probes.rs`), `/live` stays 200, and the next request or probe after the
//! outage reconnects. `docs/architecture.md` has the whole course, `docs/observability.md` the log lines of such a
//! request, `docs/runbooks/DatabaseDown.md` what to do, and `tests/process/faults/` breaks PostgreSQL for real.
//!
//! `docs/architecture.md` explains the design; `docs/how-to/` has recipes, such as `add-an-endpoint.md`.

pub mod app;
pub mod cli;
pub mod features;
pub mod grants;
pub mod migrations;
mod parts;
pub mod program;
#[cfg(test)]
mod properties;
pub mod routes;
pub mod settings;
pub mod shared;
pub mod tasks;
