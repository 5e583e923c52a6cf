//! Keys: how they are made, looked up and ended.

use std::{sync::Arc, time::Duration};

use chassis_postgres::Database;
use futures_util::future::{BoxFuture, FutureExt};
use time::OffsetDateTime;

use super::{ApiKey, Error, KeyName, KeyRecord, KeyRevocation, Scopes, tables::api_keys};
use crate::{
    features::identity::{
        self, Activity, ApiKeyId, ApiKeys, Auth, Change, Credential, Event, Flows, Locks, Observer,
        Principal, SEEN_EVERY, Touch, UserId, WriteTransaction,
    },
    shared::clock::Clock,
};

/// How many live keys an account may have: a list of them needs no pages.
pub(super) const MOST_KEYS: i64 = 50;

/// How many dead keys of an account are kept: who makes and ends one after the other fills no table.
const MOST_DEAD_KEYS: i64 = 100;

/// Keys of machines; clones share everything.
#[derive(Clone)]
pub struct Keys(Arc<Parts>);

/// What [`Keys`] is made of.
pub struct Parts {
    /// Where keys are.
    pub database: Database,
    /// Takes note of keys that are in use.
    pub activity: Activity,
    /// How long a key that was rotated is still good.
    pub overlap: Duration,
    /// The time.
    pub clock: Clock,
}

/// A key that is to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: KeyName,
    /// What it is good for.
    pub scopes: Scopes,
    /// For how long it is good. `None`: until it is revoked.
    pub lifetime: Option<time::Duration>,
}

/// Writes when keys were in use.
#[must_use]
pub fn touch() -> Touch {
    Arc::new(|statement, ids, now| api_keys::touch(statement, ids, now).boxed())
}

impl Keys {
    /// Over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    fn now(&self) -> OffsetDateTime {
        self.0.clock.now()
    }

    /// An account's live keys, oldest first.
    pub async fn list(&self, user: UserId) -> Result<Vec<KeyRecord>, Error> {
        Ok(api_keys::list(&self.0.database.reader(), user, self.now()).await?)
    }

    /// An account's live keys, a line for each, for its owner to read.
    pub async fn describe(&self, user: UserId) -> Result<Vec<String>, Error> {
        let keys = self.list(user).await?.into_iter().map(|key| {
            let name = key.name.as_str();
            let start = &key.start;
            let scopes = key.scopes.as_slice().join(", ");
            format!("the API key {name}, which begins with {start} and is good for {scopes}")
        });
        Ok(keys.collect())
    }

    /// Makes a key in a transaction that has locked its owner for [`Locks::Account`].
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`].
    pub(super) async fn create(
        &self,
        transaction: &mut WriteTransaction,
        user: UserId,
        new: NewKey,
    ) -> Result<(KeyRecord, ApiKey), Error> {
        let inserted = self.insert(transaction, user, new, self.now());
        let (record, key) = inserted.await?;
        let key_id = record.id;
        let change = Change::KeyCreated { user, key: key_id };
        transaction.emit(change).await?;
        Ok((record, key))
    }

    async fn insert(
        &self,
        transaction: &WriteTransaction,
        user: UserId,
        new: NewKey,
        now: OffsetDateTime,
    ) -> Result<(KeyRecord, ApiKey), Error> {
        api_keys::delete_oldest_dead(transaction, user, now, MOST_DEAD_KEYS).await?;
        if api_keys::count_live(transaction, user, now).await? >= MOST_KEYS {
            return Err(Error::TooMany);
        }
        let key = ApiKey::generate();
        let record = KeyRecord {
            id: ApiKeyId::generate(),
            user_id: user,
            name: new.name,
            start: key.start().to_owned(),
            scopes: new.scopes,
            created_at: now,
            expires_at: new.lifetime.map(|lifetime| now + lifetime),
            last_used_at: None,
        };
        api_keys::insert(transaction, &record, key.hash()).await?;
        Ok((record, key))
    }

    /// Makes another key in the place of this one, in a transaction that has locked its owner for [`Locks::Account`]. It
    /// has the same name, scopes and lifetime; the old one is still good for a while.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], also when the key was rotated before; [`Error::TooMany`].
    pub(super) async fn rotate(
        &self,
        transaction: &mut WriteTransaction,
        user: UserId,
        old: ApiKeyId,
    ) -> Result<(KeyRecord, ApiKey), Error> {
        let now = self.now();
        let ends_at = now + self.0.overlap;
        let rotated = api_keys::rotate(transaction, old, user, now, ends_at).await?;
        let rotated = rotated.ok_or(Error::NotFound)?;
        let new = NewKey {
            name: rotated.name,
            scopes: rotated.scopes,
            lifetime: rotated.expires_at.map(|at| at - rotated.created_at),
        };
        let (record, key) = self.insert(transaction, user, new, now).await?;
        let change = Change::KeyRotated {
            user,
            key: old,
            successor: record.id,
        };
        transaction.emit(change).await?;
        Ok((record, key))
    }

    /// Gives a key another name, in a transaction that has locked its owner.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub(super) async fn rename(
        &self,
        transaction: &mut WriteTransaction,
        user: UserId,
        key: ApiKeyId,
        name: &KeyName,
    ) -> Result<KeyRecord, Error> {
        let renamed = api_keys::rename(transaction, key, user, name, self.now()).await?;
        let renamed = renamed.ok_or(Error::NotFound)?;
        transaction.emit(Change::KeyRenamed { user, key }).await?;
        Ok(renamed)
    }

    /// Ends a key, in a transaction that has locked its owner.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub(super) async fn revoke(
        &self,
        transaction: &mut WriteTransaction,
        user: UserId,
        key: ApiKeyId,
        reason: KeyRevocation,
    ) -> Result<(), Error> {
        if !api_keys::revoke(transaction, key, user, self.now(), reason).await? {
            return Err(Error::NotFound);
        }
        Ok(transaction.emit(Change::KeyRevoked { user, key }).await?)
    }

    /// Makes a key for an account on behalf of an operator.
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`].
    pub async fn create_for_operator(
        &self,
        auth: &Auth,
        user: UserId,
        new: NewKey,
    ) -> Result<(KeyRecord, ApiKey), Error> {
        let begun = auth.begin_for_operator(Some(user), Locks::Account);
        let mut transaction = begun.await?;
        let created = self.create(&mut transaction, user, new).await?;
        transaction.commit().await?;
        Ok(created)
    }

    /// Ends a key on behalf of an operator.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn revoke_for_operator(&self, auth: &Auth, key: ApiKeyId) -> Result<(), Error> {
        let owner = api_keys::find_owner(&self.0.database.reader(), key).await?;
        let user = owner.ok_or(Error::NotFound)?;
        let begun = auth.begin_for_operator(Some(user), Locks::Account);
        let mut transaction = begun.await?;
        let reason = KeyRevocation::Operator;
        self.revoke(&mut transaction, user, key, reason).await?;
        Ok(transaction.commit().await?)
    }

    /// The flows of accounts, where a bearer token may be a key.
    #[must_use]
    pub fn join(&self, flows: Flows) -> Flows {
        let keys = Some(Arc::new(self.clone()) as _);
        Flows { keys, ..flows }
    }

    /// The observer of events, which ends all keys of an account whose password was replaced.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let keys = self.clone();
        Arc::new(move |transaction, event| {
            let keys = keys.clone();
            async move { keys.observe(transaction, event).await }.boxed()
        })
    }

    async fn observe(
        &self,
        transaction: &WriteTransaction,
        event: &Event,
    ) -> Result<(), identity::Error> {
        if let Change::PasswordChanged {
            user,
            revokes_keys: true,
            ..
        } = &event.change
        {
            let reason = KeyRevocation::Password;
            api_keys::revoke_all(transaction, *user, self.now(), reason).await?;
        }
        Ok(())
    }
}

impl ApiKeys for Keys {
    fn recognizes(&self, token: &str) -> bool {
        ApiKey::is_meant_by(token)
    }

    fn authenticate<'a>(
        &'a self,
        token: &'a str,
        scope: Option<&'static str>,
    ) -> BoxFuture<'a, Result<Principal, identity::Error>> {
        async move {
            let key = ApiKey::parse(token).ok_or(identity::Error::InvalidAccessToken)?;
            let (reads, now) = (self.0.database.read_pool(), self.now());
            let found = api_keys::find_live(reads, key.hash(), now).await?;
            let key = found.ok_or(identity::Error::InvalidAccessToken)?;
            if key.last_used_at.is_none_or(|at| now - at >= SEEN_EVERY) {
                self.0.activity.seen(*key.id.as_uuid());
            }
            if !key.scopes.allow(scope) {
                return Err(identity::Error::KeyNotAllowed);
            }
            Ok(Principal {
                user: key.owner,
                credential: Credential::Key { id: key.id },
                authenticated_at: None,
            })
        }
        .boxed()
    }

    fn lock<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        key: ApiKeyId,
        owner: UserId,
        scope: Option<&'static str>,
    ) -> BoxFuture<'a, Result<(), identity::Error>> {
        async move {
            let locked = api_keys::lock_for_share(transaction, key, owner, self.now()).await?;
            let scopes = locked.ok_or(identity::Error::InvalidAccessToken)?;
            if scopes.allow(scope) {
                return Ok(());
            }
            Err(identity::Error::KeyNotAllowed)
        }
        .boxed()
    }

    fn find<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<(ApiKeyId, UserId)>, identity::Error>> {
        async move {
            let Some(key) = ApiKey::parse(token) else {
                return Ok(None);
            };
            let reads = self.0.database.read_pool();
            Ok(api_keys::find_by_hash(reads, key.hash()).await?)
        }
        .boxed()
    }

    fn revoke<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        key: ApiKeyId,
        owner: UserId,
    ) -> BoxFuture<'a, Result<bool, identity::Error>> {
        async move {
            let (now, reason) = (self.now(), KeyRevocation::Presented);
            Ok(api_keys::revoke(transaction, key, owner, now, reason).await?)
        }
        .boxed()
    }
}
