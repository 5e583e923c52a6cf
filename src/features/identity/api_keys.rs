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

    /// The key that a token is, dead or alive, and its owner. `None` when it is none of ours.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn find<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<(ApiKeyId, UserId)>, Error>>;

    /// Ends a live key, because whoever holds it wants that. `false` when it is over already.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn revoke<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        key: ApiKeyId,
        owner: UserId,
    ) -> BoxFuture<'a, Result<bool, Error>>;
}
