//! Accounts, credentials and sessions: who exists, who is calling, and what administrators may change.
//!
//! The three share transactions, so they are one feature: disabling an account ends its
//! sessions, a changed password ends the other ones, and a request that changes something
//! is checked again inside the transaction that writes.
//!
//! An access token names its session and is believed no further: session and user are read on
//! each request, so that a sign-out, a lowered role or a disabled account counts at once, on
//! every replica. A refresh token is good for one exchange; one that is presented again later
//! reveals that two parties hold it, and ends the session.
//!
//! Endpoints: everything below `/auth`, `/users` and `/users/{id}`.

mod access_token;
mod activity;
pub mod cleanup;
mod email;
mod endpoints;
mod error;
mod events;
mod guard;
mod hasher;
mod password;
mod password_settings;
mod problems;
mod refresh_token;
mod role;
mod service;
mod session;
mod settings;
mod tables;
mod user;

pub use self::{
    access_token::{AccessToken, Bearer, InvalidToken, Tokens},
    activity::{Activity, ActivityWriter, channel as activity_channel},
    email::{Email, EmailError},
    endpoints::{UserView, own_endpoints, role_schema, users_endpoints},
    error::Error,
    events::{Event, Events, Outcome},
    guard::{require, signed_in},
    hasher::{HashError, HashMetrics, Hasher},
    password::{Password, PasswordError, PasswordHash, PasswordPolicy},
    password_settings::{Cost, PasswordSettings},
    refresh_token::{Presented, REPLAY_WINDOW, RefreshToken, RefreshTokenHash, Verdict},
    role::{Role, UnknownRole},
    service::{Auth, Grant, Proven, Users},
    session::{Revocation, Session, SessionId, SignedIn},
    settings::AuthSettings,
    user::{Actor, User, UserChange, UserFilter, UserId},
};
