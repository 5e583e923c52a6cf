//! A production-ready web service to fork: warp filters, hand-written SQL on
//! PostgreSQL, sessions with roles, logs, traces and metrics.
//!
//! Read it in this order. [`features`] is what the service does:
//! [`features::users`] knows who exists, [`features::auth`] who is calling,
//! [`features::administration`] what may be done to the accounts of others,
//! [`features::limits`] how often one may try, [`features::system`] what
//! operators ask. Each room makes its types of what is in [`domain`], states its
//! endpoints in the words of [`web`] and writes its SQL in the words of
//! [`database`]. [`routes`] lists the rooms, [`app`] puts the parts together,
//! [`server`] carries requests to them, and [`telemetry`] shows what happened.
//! [`config`] alone reads the environment; [`cli`] is what a person types.
//!
//! A request walks through [`server`] (connection, timers, limits), then
//! [`web::Site`] (which endpoint, correlation id, span, time limit), then one
//! endpoint's filters (guard, path, query, body), then handler, service and
//! repository, and back the same way.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod domain;
pub mod features;
#[cfg(test)]
mod properties;
pub mod routes;
pub mod server;
pub mod telemetry;
pub mod web;
