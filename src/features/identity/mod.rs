//! Accounts, credentials and sessions: who exists, who is calling, and what administrators may change.
//!
//! The three share transactions, so they are one feature: disabling an account ends its sessions, a changed password ends
//! the others, and a request that changes something is checked again inside the transaction that writes.
//!
//! An access token only names its session. Session and user are read on each request, so that a sign-out, a lowered role
//! or a disabled account counts at once, on every replica. A refresh token is good for one exchange; one that comes back
//! within 10 s gets the same successor again, and one that comes back later reveals that two parties hold it, and ends the
//! session.
//!
//! Endpoints: everything below `/auth`, `/users` and `/users/{id}`.

mod access_token;
mod accounts;
mod activity;
// api_keys: begin
mod api_keys;
// api_keys: end
mod auth;
mod auth_events;
mod authentication;
// browser_sessions: begin
mod browser_sessions;
// browser_sessions: end
mod cleanup;
mod client_info;
mod email;
mod email_cursor;
mod endpoints;
mod error;
pub mod event;
mod flows;
mod guard;
mod hasher;
mod limit_keys;
mod mask_sweep;
mod networks;
mod password;
mod password_settings;
pub mod policy;
mod principal;
mod problems;
mod refresh_token;
mod requirement;
mod role;
mod session;
mod session_tokens;
mod settings;
mod tables;
mod token_cache;
mod transaction;
mod user;

pub use self::{
    access_token::{AccessClaims, AccessToken, AccessTokens, InvalidToken},
    activity::{Activity, ActivityWriter, Touch, channel as activity_channel, session_activity},
    auth::{Auth, Parts, SessionLifetimes},
    auth_events::AuthEvents,
    authentication::{SEEN_EVERY, VerifiedUser},
    cleanup::{CLEANUP_INTERVAL, clean_up},
    client_info::{ClientInfo, client_info},
    email::{Email, EmailError},
    email_cursor::{EmailCursor, UnknownEmailCursor},
    endpoints::{UserView, email_schema, endpoints, new_password_schema, role_schema},
    error::Error,
    event::{Attempt, Change, Event, Observer, Subscribers},
    flows::{Admit, ConfirmEmail, Flows, RegisterLater, Registration},
    guard::{
        caller, caller_with, maybe_caller, maybe_caller_problems, recently_authenticated, require,
        signed_in,
    },
    hasher::{HashError, HashMetrics, Hasher},
    mask_sweep::{MASK_SWEEP_INTERVAL, sweep_masks},
    networks::{NETWORK_SWEEP_INTERVAL, forget_unused_networks},
    password::{Password, PasswordError, PasswordHash, PasswordPolicy},
    password_settings::{Cost, PasswordSettings},
    principal::{Caller, Credential, Principal},
    problems::{EMAIL_TAKEN, INSUFFICIENT_LEVEL, INVALID_TOKEN, WRONG_PASSWORD},
    refresh_token::{
        MaskedToken, Presented, REPLAY_WINDOW, RefreshToken, RefreshTokenHash, RotationDecision,
        Successor,
    },
    requirement::RECENT,
    role::{Role, UnknownRole},
    session::{LiveSession, Revocation, Session, SessionId},
    session_tokens::TokenPair,
    settings::AuthSettings,
    transaction::{Locks, SingleStatement, WriteTransaction},
    user::{User, UserChange, UserFilter, UserId},
};

// api_keys: begin
pub use self::{api_keys::ApiKeys, principal::ApiKeyId, problems::KEY_NOT_ALLOWED};
// api_keys: end
// browser_sessions: begin
pub use self::{
    browser_sessions::{BrowserSessions, Transport},
    problems::CROSS_SITE_REQUEST,
};
// browser_sessions: end
