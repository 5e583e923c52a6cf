//! Whose bucket an attempt is counted in.

use chassis_http::ClientNetwork;

use super::{Email, UserId};
use crate::features::limits::LimitKey;

/// Attempts by strangers to get into the account of this address, whether or not there is one.
pub(super) fn account(email: &Email) -> LimitKey {
    LimitKey::new("account", email.as_str())
}

/// Attempts to get into an account from a network that it signed in from before: see `networks.rs`.
pub(super) fn familiar(id: UserId, network: ClientNetwork) -> LimitKey {
    LimitKey::new("familiar", format_args!("{id} {}", network.address()))
}

/// Attempts of a signed-in user to prove that it knows its password.
///
/// Apart from [`account`], so that strangers' attempts do not keep the user from changing it.
pub(super) fn user(id: UserId) -> LimitKey {
    LimitKey::new("user", id)
}

/// Times that one token is presented to be exchanged or revoked. The key is a hash of it.
pub(super) fn presented(token: &str) -> LimitKey {
    LimitKey::new("presented", token)
}
