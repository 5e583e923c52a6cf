//! The rooms: what the service is for.
//!
//! Every room has the same furniture, and arrows point one way: `routes` to
//! `handlers` to `service` to `repository` to `domain`. A room is entered
//! through its `mod.rs`, which lends out a few names. Rooms know each other in
//! one direction: [`limits`] knows [`users`], [`auth`] knows both. Only routes
//! and handlers may use the guards of [`auth`] from anywhere.

pub mod administration;
pub mod api_docs;
pub mod auth;
pub mod limits;
pub mod operations;
pub mod users;
