//! A production-ready web service to fork: warp filters, hand-written SQL on
//! PostgreSQL, sessions with roles, logs, traces and metrics.
//!
//! Read it in this order.
//!
//! 1. [`features`] is what the service does, a folder for each subject:
//!    [`features::identity`] knows which accounts exist, who is calling and what
//!    they may change, [`features::limits`] how often one may try,
//!    [`features::operations`] what operators ask, and [`features::api_docs`]
//!    documents the API.
//! 2. [`shared`] has the types that several features use, [`web`] is the crate
//!    [`chassis_http`] with which they define their endpoints, [`database`] the ones in which they
//!    write their SQL.
//! 3. [`routes`] lists the rooms, [`app`] puts the parts together, [`server`]
//!    carries requests to them, and [`telemetry`] shows what happened.
//! 4. [`settings`] lists every setting, [`chassis_settings`] alone reads the
//!    environment, [`clock`] alone the time, and [`cli`] is what a person types.
//!
//! A request walks through [`server`] (connection, timers, limits), then
//! [`web::Router`] (which endpoint, correlation id, span, time limit), then one
//! endpoint's filters (guard, path, query, body), then handler, service and
//! repository, and back the same way. `docs/architecture.md` draws it, and says
//! who may use whom; a test holds this crate to that.

pub mod app;
pub mod cli;
pub mod features;
pub mod grants;
pub mod migrations;
#[cfg(test)]
mod properties;
pub mod routes;
pub mod server;
pub mod settings;
pub mod shared;
pub mod tasks;
pub mod telemetry;
pub mod web;

pub use chassis_postgres as database;
pub use chassis_settings as config;

pub use self::shared::{self as domain, clock};
