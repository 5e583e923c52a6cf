//! What keys of machines are to this feature: another credential, which another feature has.

use futures_util::future::BoxFuture;

use super::{ApiKeyId, Error, Principal, UserId, WriteTransaction};

/// Keys of machines.
pub trait ApiKeys: Send + Sync {
    /// Whether a bearer token has the form of a key, rather than that of an access token.
    fn recognizes(&self, token: &str) -> bool;

    /// The principal that a key proves, which is its owner with the owner's role of now.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidAccessToken`], whatever is wrong with it; [`Error::KeyNotAllowed`] when it lacks the scope, or there is
    /// none that a key could have.
    fn authenticate<'a>(
        &'a self,
        token: &'a str,
        scope: Option<&'static str>,
    ) -> BoxFuture<'a, Result<Principal, Error>>;

    /// Looks at a key again, and locks it against changes, in the transaction that writes for its owner.
    ///
    /// # Errors
    ///
    /// As [`authenticate`](Self::authenticate).
    fn lock<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        key: ApiKeyId,
        owner: UserId,
        scope: Option<&'static str>,
    ) -> BoxFuture<'a, Result<(), Error>>;
}
