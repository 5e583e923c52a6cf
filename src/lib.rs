//! A web service: accounts with roles, sessions, probes, metrics and a documented API.
//!
//! This crate is the service. What every service needs (settings, telemetry, PostgreSQL access, HTTP, the
//! accept loop) is the chassis, the crates `chassis-*` in `crates/`, which know nothing of this one.
//!
//! # Where things are
//!
//! - [`features`]: what the service does. [`features::identity`] has accounts, credentials and sessions,
//!   [`features::limits`] the limits on sign-ins, [`features::operations`] health, information and metrics,
//!   [`features::api_docs`] the documentation of the API. Each feature has one file per endpoint.
//! - [`routes`]: the list of features; from it come the router, the OpenAPI document and the `routes` command.
//! - [`app`]: the composition root: settings in, connected services out.
//! - [`settings`]: the list of settings, section by section.
//! - [`tasks`]: the runner of periodic tasks.
//! - [`migrations`] and [`grants`]: the schema, and what the service's database role may do with it.
//! - [`shared`]: types that several features use: ids, text, time, pages, the clock.
//! - [`cli`]: one file per sub-command; [`cli::main`] is where the process begins.
//!
//! # The way of a request
//!
//! 1. [`chassis_server`] accepts the connection and applies timeouts and the connection limit.
//! 2. [`chassis_http::Router`] finds the endpoint, assigns the correlation id, opens the span, applies the rate
//!    limit and the time limit. To add a header to every reply, see `crates/chassis-http/src/headers.rs`.
//! 3. The endpoint's filters run: guard, path, query, body (`src/features/*/endpoints/`).
//! 4. The handler calls the use case, which calls `tables/`, where the SQL is.
//! 5. A failure is a [`chassis_http::Problem`]. When PostgreSQL is out of reach the failure is a
//!    [`chassis_postgres::DatabaseError`], which [`shared::problems`] turns into a 503; `/ready` fails meanwhile.
//!
//! `docs/architecture.md` explains the design.

pub mod app;
pub mod cli;
pub mod features;
pub mod grants;
pub mod migrations;
pub mod program;
#[cfg(test)]
mod properties;
pub mod routes;
pub mod settings;
pub mod shared;
pub mod tasks;
