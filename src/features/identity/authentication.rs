//! Authentication: by access token on each request, by password at sign-in and before sensitive changes.

use secrecy::SecretString;
use time::OffsetDateTime;

use super::{
    Auth, Caller, ClientInfo, Credential, Email, Error, HashError, LiveSession, Password,
    PasswordHash, Principal, User, UserId, event::Attempt, hasher::PasswordMatch, limit_keys,
    networks, tables, transaction::WriteTransaction,
};
use crate::features::limits::{self, LimitKey};

/// How much later than its last use a session is noted as used again.
pub const SEEN_EVERY: time::Duration = time::Duration::minutes(1);

/// An account whose password was just verified, with the hash that it was verified against.
///
/// The transaction that acts on it looks under lock whether it is still that password: in between it may have been
/// changed. Another hash alone says nothing, because a sign-in that runs beside may have hashed the same password again
/// at another cost; then the time tells at which the user chose it.
#[derive(Debug, Clone)]
pub struct VerifiedUser {
    /// The account.
    pub user: User,
    /// The hash at that moment.
    pub hash: PasswordHash,
    /// When the user had chosen the password.
    pub changed_at: OffsetDateTime,
}

/// The account that a client wants to sign in to, before its password is verified.
#[derive(Debug)]
pub(super) struct Claimed {
    /// `None` when nobody has the address.
    account: Option<VerifiedUser>,
    /// The bucket that the attempt counts in.
    pub(super) limit_key: LimitKey,
}

/// What was wrong with an address and a password, for the log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialsRefused {
    /// No account has the address.
    UnknownAddress,
    /// The account has another password.
    WrongPassword(UserId),
    /// The account is disabled; the password was right.
    Disabled(UserId),
    /// The account was disabled, deleted or given another password while this one was verified.
    Changed(UserId),
}

impl CredentialsRefused {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::UnknownAddress => "unknown_address",
            Self::WrongPassword(_) => "wrong_password",
            Self::Disabled(_) => "account_disabled",
            Self::Changed(_) => "account_changed",
        }
    }

    pub(super) fn user(self) -> Option<UserId> {
        match self {
            Self::UnknownAddress => None,
            Self::WrongPassword(user) | Self::Disabled(user) | Self::Changed(user) => Some(user),
        }
    }
}

impl VerifiedUser {
    /// Checks that the password is still the verified one, in a transaction that has locked the account.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassword`] when it was changed in between.
    pub async fn check_under_lock(&self, transaction: &WriteTransaction) -> Result<(), Error> {
        if self.is_current(transaction).await? {
            return Ok(());
        }
        Err(Error::WrongPassword)
    }

    /// Whether the password is still the verified one, in a transaction that has locked the account.
    pub(super) async fn is_current(&self, transaction: &WriteTransaction) -> Result<bool, Error> {
        let id = self.user.id;
        let Some(locked) = transaction.locked(id) else {
            return Ok(false);
        };
        if locked.hash == self.hash {
            return Ok(true);
        }
        let changed_at = tables::credentials::password_changed_at(transaction, id).await?;
        Ok(changed_at == Some(self.changed_at))
    }
}

impl Auth {
    /// The principal that an access token proves.
    ///
    /// Session and user are read each time, so that what has ended does not go on. What is returned may
    /// be read with; for writing it is checked again under lock.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidAccessToken`], whatever is wrong with it.
    pub(super) async fn authenticate(&self, token: &str) -> Result<Principal, Error> {
        let now = self.now();
        let claims = self.tokens().verify(token, now);
        let claims = claims.map_err(|_| Error::InvalidAccessToken)?;
        let reads = self.database().read_pool();
        let found =
            tables::sessions::find_live(reads, claims.session_id, claims.user_id, now).await?;
        let LiveSession {
            session,
            user,
            authenticated_at,
        } = found.ok_or(Error::InvalidAccessToken)?;
        if claims.expires_at > session.expires_at {
            return Err(Error::InvalidAccessToken);
        }
        if now - session.last_used_at >= SEEN_EVERY {
            self.activity().seen(*session.id.as_uuid());
        }
        let credential = Credential::Session { id: session.id };
        Ok(Principal {
            user,
            credential,
            authenticated_at: Some(authenticated_at),
        })
    }

    /// Looks up the account that a client wants to sign in to, and whether it is familiar with the client's network.
    ///
    /// Nothing is checked yet: which bucket the attempt counts in depends on the outcome.
    pub(super) async fn look_up(
        &self,
        email: &Email,
        client: &ClientInfo,
    ) -> Result<Claimed, Error> {
        let network = client.network();
        let octets = network.map(networks::octets);
        let since = networks::forgotten_since(self.now());
        let reads = self.database().read_pool();
        let found =
            tables::auth_networks::find_by_email(reads, email, octets.as_deref(), since).await?;
        let limit_key = match (&found, network) {
            (Some((user, _, true)), Some(network)) => limit_keys::familiar(user.id, network),
            _ => limit_keys::account(email),
        };
        let account = found.map(|(user, password, _)| VerifiedUser {
            user,
            hash: password.hash,
            changed_at: password.changed_at,
        });
        Ok(Claimed { account, limit_key })
    }

    /// Counts an attempt at an account, and notes one too many.
    pub(super) async fn count_attempt(&self, attempt: Attempt, key: LimitKey) -> Result<(), Error> {
        match self.limits().take(key).await {
            Err(error @ limits::Error::Account(_)) => {
                self.note_refusal(attempt, None, None, Err(error.into()))
            }
            counted => Ok(counted?),
        }
    }

    /// Verifies the password at sign-in, after the attempt was counted.
    ///
    /// They are refused when they do not belong together or the account is disabled. It takes as long in every
    /// case, and the client is not told which.
    pub(super) async fn verify_credentials(
        &self,
        claimed: Claimed,
        password: SecretString,
    ) -> Result<Result<VerifiedUser, CredentialsRefused>, Error> {
        let hash = claimed.account.as_ref().map(|account| account.hash.clone());
        let matched = self.hasher().verify(password.clone(), hash).await?;
        let Some(verified) = claimed.account else {
            return Ok(Err(CredentialsRefused::UnknownAddress));
        };
        let id = verified.user.id;
        let PasswordMatch::Right { outdated } = matched else {
            return Ok(Err(CredentialsRefused::WrongPassword(id)));
        };
        if !verified.user.is_active {
            return Ok(Err(CredentialsRefused::Disabled(id)));
        }
        if outdated {
            return self.rehash(verified, password).await.map(Ok);
        }
        Ok(Ok(verified))
    }

    /// Hashes a verified password again because hashes have become more expensive.
    ///
    /// Signing in does not depend on it: when hashing has too much to do, the next sign-in does it.
    async fn rehash(
        &self,
        verified: VerifiedUser,
        password: SecretString,
    ) -> Result<VerifiedUser, Error> {
        let hash = match self.hasher().hash(Password::proven(password)).await {
            Ok(hash) => hash,
            Err(HashError::Busy) => return Ok(verified),
            Err(error) => return Err(error.into()),
        };
        let (id, now) = (verified.user.id, self.now());
        let transaction = self.begin_rehash().await?;
        let old = &verified.hash;
        let replaced =
            tables::users::update_hash_of_same_password(&transaction, id, old, &hash, now).await?;
        transaction.commit().await?;
        // When another sign-in was faster, this one's hash is gone, but the password is the same.
        if replaced {
            return Ok(VerifiedUser { hash, ..verified });
        }
        Ok(verified)
    }

    /// Verifies the current password of a signed-in user, as often as the limits of sign-in allow.
    ///
    /// What strangers have tried does not count here, or they could keep the owner of an account from
    /// changing it. What goes wrong here counts there.
    pub(super) async fn verify_current_password(
        &self,
        caller: &Caller,
        password: SecretString,
    ) -> Result<VerifiedUser, Error> {
        self.limits().take_source(caller.client().ip).await?;
        self.verify_password_of(caller.user_id(), caller.client(), password)
            .await
    }

    /// Verifies the password of an account whose owner somebody says to be and has some proof of, as often as the limits
    /// of sign-in allow. The attempt was counted against its source already.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassword`]; [`Error::InvalidAccessToken`] when there is no such account.
    pub async fn verify_password_of(
        &self,
        id: UserId,
        client: &ClientInfo,
        password: SecretString,
    ) -> Result<VerifiedUser, Error> {
        let limits = self.limits();
        limits.take(limit_keys::user(id)).await?;
        let found = tables::users::find_with_password(self.database().read_pool(), id).await?;
        let (user, current) = found.ok_or(Error::InvalidAccessToken)?;
        let hash = current.hash;
        let matched = self.hasher().verify(password, Some(hash.clone())).await?;
        if matched == PasswordMatch::Wrong {
            // Whether a token was left is for the next sign-in to find out.
            let key = self.sign_in_key(&user, client).await?;
            let _ = limits.take(key).await;
            return Err(Error::WrongPassword);
        }
        Ok(VerifiedUser {
            user,
            hash,
            changed_at: current.changed_at,
        })
    }

    /// The bucket that a sign-in of this user from where it is would count in.
    async fn sign_in_key(&self, user: &User, client: &ClientInfo) -> Result<LimitKey, Error> {
        if let Some(network) = client.network() {
            let (id, octets) = (user.id, networks::octets(network));
            let since = networks::forgotten_since(self.now());
            let reads = self.database().read_pool();
            if tables::auth_networks::is_familiar(reads, id, &octets, since).await? {
                return Ok(limit_keys::familiar(id, network));
            }
        }
        Ok(limit_keys::account(&user.email))
    }
}
