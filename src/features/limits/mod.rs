//! Limits on attempts with passwords and tokens, counted across all replicas.
//!
//! Each attempt takes a token from the bucket of the network it comes from, and one from the bucket
//! of the account it is about: many networks cannot guess at one account, nor one network at many.
//! A network from which the account signed in before has a bucket of its own for it. A signed-in user who confirms the password draws on a third bucket, apart from the one that
//! strangers draw on, so that they cannot lock a user out of an account that the user is signed in to.
//!
//! The buckets are rows of one table, so that replicas share them. Each process also counts in memory and
//! asks there first; `service.rs` says what that is for, and what happens when the table cannot be asked.

mod error;
mod filter;
mod key;
mod service;
mod settings;
mod sweep;
mod tables;

pub use self::{
    error::Error,
    filter::SourceAttempt,
    key::LimitKey,
    service::Limits,
    settings::{LimitSettings, OnFailure},
    sweep::{SWEEP_INTERVAL, sweep},
};
