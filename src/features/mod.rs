//! The rooms: what the service is for.
//!
//! Every room has the same furniture, and arrows point one way: `routes` to
//! `handlers` to `service` to `repository` to `domain`. A room is entered
//! through its `mod.rs`.

pub mod administration;
pub mod auth;
pub mod limits;
pub mod system;
pub mod users;
