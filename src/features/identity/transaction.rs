//! Transactions that write, and the order in which they lock.
//!
//! # Who may write
//!
//! A function that writes takes a [`Writer`]: a [`WriteTransaction`] or a [`SingleStatement`].
//! A handler gets the former through [`Caller::begin`](super::Caller::begin), which checks the caller
//! under lock. Code without a caller says so by the name of the function that it begins with:
//! [`Auth::begin_registration`], [`Auth::begin_sign_in`], [`Auth::begin_for_proof`], [`Auth::begin_revocation`],
//! [`Auth::begin_rehash`], [`Auth::begin_for_operator`], [`Auth::begin_again`], and the constructors of
//! [`SingleStatement`].
//!
//! # The order of locks
//!
//! 1. All users concerned, by **one** statement and in the order of their ids: the caller, and where
//!    another account is changed or deleted that account and every active owner. `FOR NO KEY UPDATE`
//!    where the row or several sessions of that user will be written, `FOR UPDATE` where its
//!    address changes or it is deleted (both change a unique key), else `FOR SHARE`.
//! 2. The session (or the key) that the caller is authenticated by, at the strength of what is written later:
//!    `FOR NO KEY UPDATE` where the session itself ends, else `FOR SHARE`. (The password hash is a
//!    column of the user and comes with step 1.)
//! 3. Everything else. Nothing locks a user after step 1.
//!
//! Before each lock on a user comes an advisory one of the same kind, so that whoever is to change the row has a turn:
//! `tables/user_locks.rs` says why.
//!
//! Two transactions therefore wait for each other in one direction only. What has no user to lock
//! (rotation of a refresh token, the end of a session by one of its tokens, the clean-up) locks sessions only, and the writer of activity and the
//! clean-up skip rows that are locked, so they never wait at all.
//!
//! Why each step is as it is: sessions before users would let two sign-outs of one account wait for each
//! other, because signing out everywhere writes sessions of others. `FOR KEY SHARE` on the user would not
//! stop a demotion, which changes no key. A user that is read by joining it to a locked session is
//! read as it was before the statement waited. `FOR NO KEY UPDATE` on the caller where `FOR SHARE`
//! would do makes the writes of one account wait for each other.

use std::sync::Arc;

use chassis_postgres::{
    Connection, Database, DatabaseError, Parameters, ReadExecutor, ReadQuery, Transaction,
    WriteExecutor, WriteQuery,
};
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{
    Auth, ClientInfo, Credential, Error, Principal, Role, SessionId, User, UserId, VerifiedUser,
    event::{Actor, Change, Event, Subscribers},
    policy,
    requirement::Requirement,
    tables::{self, user_locks::LockedUser, writer::Writer},
};

/// What a transaction is going to write, and so what it locks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// Neither accounts nor sessions: rows of other features.
    None,
    /// The session that the caller is authenticated by.
    Session,
    /// The caller's account, except its address, or several of its sessions.
    Account,
    /// The caller's address.
    Address,
    /// Role or state of this account.
    Change(UserId),
    /// This account, which is deleted.
    Delete(UserId),
}

impl Locks {
    /// Whether a session of this user is written.
    fn session_of(self, user: UserId) -> bool {
        match self {
            Self::None | Self::Address => false,
            Self::Session | Self::Account => true,
            Self::Change(target) | Self::Delete(target) => target == user,
        }
    }
}

impl Writer for WriteTransaction {}
impl Writer for SingleStatement {}

/// A transaction that may write. It is rolled back unless it is committed.
pub struct WriteTransaction {
    inner: Transaction,
    actor: Actor,
    /// What the caller has to meet.
    required: Requirement,
    client: ClientInfo,
    locked: Vec<LockedUser>,
    subscribers: Subscribers,
    events: Vec<Event>,
}

impl WriteTransaction {
    /// Reports a change: the observers run now and inside this transaction, the hooks after the commit.
    ///
    /// # Errors
    ///
    /// When an observer fails. The transaction should then be dropped.
    pub async fn emit(&mut self, change: Change) -> Result<(), Error> {
        let event = Event {
            actor: self.actor,
            client: self.client.clone(),
            change,
        };
        let observers = Arc::clone(&self.subscribers.observe);
        for observe in &*observers {
            observe(self, &event).await?;
        }
        self.events.push(event);
        Ok(())
    }

    /// Does a part that the rest can do without: [`Transaction::attempt`].
    pub async fn attempt<T, E>(
        &self,
        part: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, Error> {
        Ok(self.inner.attempt(part).await?)
    }

    /// Makes everything in it last, then runs the hooks.
    ///
    /// # Errors
    ///
    /// When the database did not confirm the commit. Hooks have not run then.
    pub async fn commit(self) -> Result<(), Error> {
        self.inner.commit().await?;
        for event in &self.events {
            self.subscribers.committed(event);
        }
        Ok(())
    }

    /// Who it is for, to [begin again](Auth::begin_again) after it was committed.
    pub(super) fn continuation(&self) -> Continuation {
        Continuation {
            actor: self.actor,
            required: self.required,
            client: self.client.clone(),
        }
    }

    /// A user that is locked by this transaction, as it was when it was locked.
    pub(super) fn locked(&self, id: UserId) -> Option<&LockedUser> {
        self.locked.iter().find(|locked| locked.user.id == id)
    }

    /// The active owners that are locked by this transaction.
    pub(super) fn active_owners(&self) -> impl Iterator<Item = UserId> {
        let users = self.locked.iter().map(|locked| &locked.user);
        users
            .filter(|user| user.role == Role::Owner && user.is_active)
            .map(|user| user.id)
    }

    /// Takes the locks on users: the first step of the order.
    async fn lock_users(&mut self, caller: Option<UserId>, locks: Locks) -> Result<(), Error> {
        use tables::user_locks;

        self.locked = match (locks, caller) {
            (Locks::Change(target), _) => user_locks::lock_for_change(self, caller, target).await?,
            (Locks::Delete(target), _) => user_locks::lock_for_delete(self, caller, target).await?,
            (_, None) => Vec::new(),
            (Locks::None | Locks::Session, Some(id)) => {
                user_locks::lock_for_share(self, id).await?
            }
            (Locks::Account, Some(id)) => user_locks::lock_for_no_key_update(self, id).await?,
            (Locks::Address, Some(id)) => user_locks::lock_for_update(self, id).await?,
        };
        Ok(())
    }
}

/// Who a transaction was for that has been committed, and whose work goes on in another.
pub(super) struct Continuation {
    actor: Actor,
    required: Requirement,
    client: ClientInfo,
}

impl ReadExecutor for WriteTransaction {
    async fn rows(
        &self,
        query: &'static ReadQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.inner.rows(query, parameters).await
    }
}

impl WriteExecutor for WriteTransaction {
    async fn execute(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        self.inner.execute(query, parameters).await
    }

    async fn returning(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.inner.returning(query, parameters).await
    }
}

impl Auth {
    async fn begin(&self, actor: Actor, client: ClientInfo) -> Result<WriteTransaction, Error> {
        Ok(WriteTransaction {
            inner: self.database().begin().await?,
            actor,
            required: Requirement::default(),
            client,
            locked: Vec::new(),
            subscribers: self.subscribers().clone(),
            events: Vec::new(),
        })
    }

    /// Begins a transaction for a caller, and checks the caller again under lock.
    pub(super) async fn begin_for(
        &self,
        id: UserId,
        credential: Credential,
        required: Requirement,
        client: ClientInfo,
        locks: Locks,
    ) -> Result<(Principal, WriteTransaction), Error> {
        let actor = Actor::User { id, credential };
        let mut transaction = self.begin(actor, client).await?;
        transaction.required = required;
        transaction.lock_users(Some(id), locks).await?;
        let user = transaction.locked(id).map(|locked| locked.user.clone());
        let user = user.filter(|user| user.is_active);
        let authenticated_at = match credential {
            // browser_sessions: begin
            Credential::Cookie { session, hash } => {
                let locked = self.lock_session(&transaction, session, id, locks).await?;
                self.check_cookie(&transaction, session, hash).await?;
                locked
            }
            // browser_sessions: end
            // api_keys: begin
            Credential::Key { id: key } => {
                let keys = self.flows().keys.as_ref();
                let keys = keys.ok_or(Error::InvalidAccessToken)?;
                keys.lock(&transaction, key, id, required.scope).await?;
                None
            }
            // api_keys: end
            Credential::Session { id: session } => {
                self.lock_session(&transaction, session, id, locks).await?
            }
        };
        let user = user.ok_or(Error::InvalidAccessToken)?;
        let principal = Principal {
            user,
            credential,
            authenticated_at,
        };
        required.check(&principal, self.now())?;
        Ok((principal, transaction))
    }

    /// Locks the session that a caller is authenticated by. Returns when the password was last given in it.
    async fn lock_session(
        &self,
        transaction: &WriteTransaction,
        session: SessionId,
        user: UserId,
        locks: Locks,
    ) -> Result<Option<OffsetDateTime>, Error> {
        let now = self.now();
        let locked = if locks.session_of(user) {
            tables::sessions::lock_for_no_key_update(transaction, session, user, now).await?
        } else {
            tables::sessions::lock_for_share(transaction, session, user, now).await?
        };
        let authenticated_at = locked.ok_or(Error::InvalidAccessToken)?;
        Ok(Some(authenticated_at))
    }

    /// Begins the transaction that goes on with the deletion of an account, which one before it has disabled for that.
    ///
    /// In between anything may have happened, so the caller is checked again, and what it may do is to be decided again
    /// with the actor that is returned. Only who deletes its own account cannot be: it was disabled and has no session
    /// any more, by its own decision.
    pub(super) async fn begin_again(
        &self,
        continuation: Continuation,
        target: UserId,
    ) -> Result<(policy::Actor, WriteTransaction), Error> {
        let Continuation {
            actor,
            required,
            client,
        } = continuation;
        let locks = Locks::Delete(target);
        let caller = match actor {
            Actor::User { id, credential } if id != target => {
                let begun = self.begin_for(id, credential, required, client, locks);
                let (principal, transaction) = begun.await?;
                return Ok((policy::Actor::from(&principal), transaction));
            }
            Actor::User { id, .. } => Some(id),
            Actor::Anonymous | Actor::Operator => None,
        };
        let mut transaction = self.begin(actor, client).await?;
        transaction.lock_users(caller, locks).await?;
        let Some(id) = caller else {
            return Ok((policy::Actor::Operator, transaction));
        };
        let role = transaction.locked(id).map(|locked| locked.user.role);
        let role = role.ok_or(Error::NotFound)?;
        Ok((policy::Actor::User { id, role }, transaction))
    }

    /// Begins the transaction that adds a new account, which has no caller yet.
    pub async fn begin_registration(&self, client: ClientInfo) -> Result<WriteTransaction, Error> {
        self.begin(Actor::Anonymous, client).await
    }

    /// Begins the transaction for somebody who holds a proof that was sent to the owner of this account, and locks the
    /// account for [`Locks::Account`] or [`Locks::Address`]. What the proof says is to be checked again in it.
    ///
    /// `None` when there is no such account.
    pub async fn begin_for_proof(
        &self,
        id: UserId,
        locks: Locks,
        client: ClientInfo,
    ) -> Result<Option<(User, WriteTransaction)>, Error> {
        let mut transaction = self.begin(Actor::Anonymous, client).await?;
        transaction.lock_users(Some(id), locks).await?;
        let user = transaction.locked(id).map(|locked| locked.user.clone());
        Ok(user.map(|user| (user, transaction)))
    }

    /// Begins the transaction that opens a session for a user whose password was just verified.
    ///
    /// The user is locked, because its oldest sessions may end. `None` when between the verification
    /// and the lock the account was disabled or deleted, or its password was changed.
    pub(super) async fn begin_sign_in(
        &self,
        verified: &VerifiedUser,
        client: ClientInfo,
    ) -> Result<Option<(User, WriteTransaction)>, Error> {
        let id = verified.user.id;
        let mut transaction = self.begin(Actor::Anonymous, client).await?;
        transaction.lock_users(Some(id), Locks::Account).await?;
        let user = transaction.locked(id).map(|locked| locked.user.clone());
        let Some(user) = user.filter(|user| user.is_active) else {
            return Ok(None);
        };
        let is_current = verified.is_current(&transaction).await?;
        Ok(is_current.then_some((user, transaction)))
    }

    /// Begins the transaction that replaces a hash by one of the same password, just verified, at today's cost.
    ///
    /// Nothing is locked first: the statement replaces only the hash that was verified.
    pub(super) async fn begin_rehash(&self) -> Result<WriteTransaction, Error> {
        self.begin(Actor::Anonymous, ClientInfo::default()).await
    }

    /// Begins the transaction that ends the session of a token that was presented: the token is the proof.
    ///
    /// Nothing is locked first: the one row that is written is the session's, and what the proof says stays true.
    pub(super) async fn begin_revocation(
        &self,
        client: ClientInfo,
    ) -> Result<WriteTransaction, Error> {
        self.begin(Actor::Anonymous, client).await
    }

    /// Begins a transaction for the operator on the shell, whom the operating system has authenticated.
    ///
    /// `user` is locked for [`Locks::Account`] and [`Locks::Address`].
    pub async fn begin_for_operator(
        &self,
        user: Option<UserId>,
        locks: Locks,
    ) -> Result<WriteTransaction, Error> {
        let mut transaction = self.begin(Actor::Operator, ClientInfo::default()).await?;
        transaction.lock_users(user, locks).await?;
        Ok(transaction)
    }
}

/// A connection without a transaction: each statement commits by itself.
///
/// For code without a caller.
pub struct SingleStatement(Connection);

impl SingleStatement {
    /// For the rotation of a refresh token: the token is the proof, and the statement checks it.
    pub(super) async fn for_rotation(database: &Database) -> Result<Self, DatabaseError> {
        Ok(Self(database.connection().await?))
    }

    /// For the tokens of an account that is being deleted and was disabled for it, under lock.
    pub(super) async fn for_deletion(database: &Database) -> Result<Self, DatabaseError> {
        Ok(Self(database.connection().await?))
    }

    /// For a periodic task.
    pub(super) async fn for_task(database: &Database) -> Result<Self, DatabaseError> {
        Ok(Self(database.connection().await?))
    }
}

impl ReadExecutor for SingleStatement {
    async fn rows(
        &self,
        query: &'static ReadQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.0.rows(query, parameters).await
    }
}

impl WriteExecutor for SingleStatement {
    async fn execute(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        self.0.execute(query, parameters).await
    }

    async fn returning(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.0.returning(query, parameters).await
    }
}
