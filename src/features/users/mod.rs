//! Who exists: accounts, their roles, and the hashes of their passwords.
//!
//! It has no endpoints: what people do with their own account is at `/auth`, in
//! the room that knows who is calling. This room knows nothing of sessions:
//! what ends both an account's right and its sessions is decided over there,
//! in one transaction.

mod domain;
mod error;
mod hasher;
mod payloads;
pub(crate) mod problems;
mod repository;
mod service;
mod settings;

pub use self::{
    domain::{
        Actor, Email, EmailError, Password, PasswordError, PasswordHash, PasswordPolicy, Role,
        UnknownRole, User, UserChange, UserFilter, UserId,
    },
    error::Error,
    hasher::{HashError, HashMetrics, Hasher},
    payloads::{UserView, role_schema},
    service::{Proven, Users},
    settings::{Cost, PasswordSettings},
};
