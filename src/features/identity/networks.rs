//! The networks that an account is familiar with: those from which it signed in before.
//!
//! # What they are for
//!
//! Attempts to sign in to an account are counted, and too many are refused, whoever makes them. So anyone who knows an
//! address could keep its owner out, by a guess a second. Attempts from a network from which the account signed in before
//! are therefore counted apart: each such network has a bucket of its own for that account. One bucket for all of them, or
//! none, would let whoever shares one network with the owner guess as often as they like, or lock out the others.
//!
//! # What is remembered
//!
//! An IPv4 address, or 64 bits of an IPv6 address, as the limits count: hashed together with the account's id, [`MOST`]
//! an account, for [`KEPT`] after their last use: a sign-in, a change of the password, or a refresh, which is noted once a
//! day. That outlasts most sessions, because whoever has none any more is the one who has to sign in again. Only a sign-in or
//! a change of the password makes a network familiar: a stolen refresh token does not. The hash has no secret in it: one
//! that is changed would make everything forgotten at once, perhaps during an attack.
//!
//! A password that an operator sets makes an account forget its networks, as it ends its sessions: it may have been
//! somebody else who signed in from there. A password that the user changes does not, or the user would have to sign in
//! anew everywhere else as a stranger; the network it is changed from counts as just used. An attacker who knew the
//! password before keeps the buckets of the networks that they signed in from, at most [`MOST`], to guess at one that they no
//! longer know.
//!
//! # What it gives away
//!
//! Account and network are looked up by one statement, which does the same for an address that nobody has. A client on a
//! strange network sees no difference. One that shares a network with the owner of an account can tell from a limit that
//! does not apply to it that somebody signed in from there.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use chassis_http::ClientNetwork;
use chassis_postgres::{Database, DatabaseError};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{tables::auth_networks, transaction::SingleStatement};
use crate::shared::clock::Clock;

/// How many networks of an account are remembered. Beyond it the one that was not used for longest is forgotten.
pub(super) const MOST: u32 = 20;

/// How long a network is remembered after the account last used it.
const KEPT: time::Duration = time::Duration::days(90);

/// How much later than its last use a network is noted as used again by a refresh.
const RENEWED_EVERY: time::Duration = time::Duration::days(1);

/// The time between two runs of [`forget_unused_networks`].
pub const NETWORK_SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// The number of rows that one statement removes.
const BATCH: u32 = 500;

/// A network that was last used then, or before, is forgotten.
pub(super) fn forgotten_since(now: OffsetDateTime) -> OffsetDateTime {
    now - KEPT
}

/// A familiar network that was last used then, or before, is noted as used again by a refresh.
pub(super) fn renewed_since(now: OffsetDateTime) -> OffsetDateTime {
    now - RENEWED_EVERY
}

/// The bytes of its address, which are hashed.
pub(super) fn octets(network: ClientNetwork) -> Vec<u8> {
    match network.address() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Removes the networks that were not used for long, or as many as it can until it is stopped. Returns how many.
///
/// Every replica runs it. It pauses between batches for as long as the last one took.
pub async fn forget_unused_networks(
    database: &Database,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<u64, DatabaseError> {
    let since = forgotten_since(clock.now());
    let mut total = 0;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let statement = SingleStatement::for_task(database).await?;
        let deleted = auth_networks::delete_unused(&statement, since, BATCH).await?;
        drop(statement);
        total += deleted;
        if deleted < u64::from(BATCH) {
            break;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(started.elapsed()) => {}
        }
    }
    Ok(total)
}
