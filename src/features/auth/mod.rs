//! Who is calling: sessions, their tokens, and the guards [`signed_in`] and [`require`].
//!
//! An access token says which session it belongs to and is believed no
//! further: session and user are read on each request, so that a sign-out, a
//! lowered role or a disabled account counts at once, on every replica. A
//! refresh token is good for one exchange; one that comes back gives its thief
//! away.
//!
//! Endpoints: everything below `/auth`.

mod activity;
mod cleanup;
mod client_info;
mod domain;
mod error;
mod events;
mod guard;
mod handlers;
mod payloads;
mod problems;
mod repository;
mod routes;
mod service;
mod settings;
mod tokens;

pub use self::{
    activity::{Activity, ActivityWriter, channel as activity_channel},
    cleanup::{CLEANUP_INTERVAL, clean_up},
    client_info::{ClientInfo, client_info},
    domain::{
        Presented, REPLAY_WINDOW, RefreshToken, RefreshTokenHash, Revocation, Session, SessionId,
        SignedIn, Verdict,
    },
    error::Error,
    events::{Event, Events, Outcome},
    guard::{require, signed_in},
    routes::endpoints,
    service::{Auth, Grant},
    settings::AuthSettings,
    tokens::{AccessToken, Bearer, InvalidToken, Tokens},
};
