//! How eagerly passwords and tokens may be guessed at, across all replicas.
//!
//! Each attempt takes a token from the bucket of the source it comes from, and
//! one from the bucket of the account it is about: many sources cannot guess
//! at one account, nor one source at many. A bucket of a session's own user is
//! apart from the one that strangers draw on, so that nobody can lock a person
//! out of what they are signed in to.
//!
//! The buckets are rows of one table, so that replicas share them. This
//! process keeps the same account of sources in memory first, so that a flood
//! costs the database nothing, and there is a limit left when it is out.

mod domain;
mod error;
mod repository;
mod service;
mod settings;
pub mod sweep;

pub use self::{
    domain::{LimitKey, OnFailure},
    error::Error,
    service::Limits,
    settings::LimitSettings,
};
