//! Accounts: what endpoints and the shell both do with them. Disabling one, setting its password and `revoke_sessions`
//! also end its sessions.

use chassis_postgres::DatabaseError;

use super::{
    Auth, ClientInfo, Email, EmailCursor, Error, Password, PasswordHash, Principal, Revocation,
    Role, SessionId, User, UserChange, UserFilter, UserId,
    event::{Attempt, Change},
    policy::{self, Action, Target, may},
    tables,
    transaction::{Locks, SingleStatement, WriteTransaction},
};
use crate::shared::{Page, PageRequest};

/// The number of refresh tokens that may go with their account in one statement: some percent of the time it has.
const TOKENS_TO_CASCADE: u32 = 10_000;

/// The number of refresh tokens that each step removes where there are more.
const TOKENS_AT_ONCE: u32 = 1_000;

impl Auth {
    /// Adds an account that registers itself, with the lowest role.
    ///
    /// The password is hashed before it is known whether the address is taken, so that the answer
    /// takes as long in both cases.
    pub(super) async fn register(
        &self,
        email: Email,
        password: Password,
        client: ClientInfo,
    ) -> Result<User, Error> {
        let added = async {
            let hash = self.hasher().hash(password).await?;
            let transaction = self.begin_registration(client).await?;
            self.add(transaction, email, &hash, Role::Viewer).await
        };
        self.note_refusal(Attempt::Register, None, None, added.await)
    }

    /// Adds an account on behalf of an operator.
    ///
    /// # Errors
    ///
    /// [`Error::EmailTaken`], or what prevents it from being hashed or written.
    pub async fn create_user(
        &self,
        email: Email,
        password: Password,
        role: Role,
    ) -> Result<User, Error> {
        let hash = self.hasher().hash(password).await?;
        let transaction = self.begin_for_operator(None, Locks::None).await?;
        self.add(transaction, email, &hash, role).await
    }

    async fn add(
        &self,
        mut transaction: WriteTransaction,
        email: Email,
        hash: &PasswordHash,
        role: Role,
    ) -> Result<User, Error> {
        let user = self.insert(&mut transaction, email, hash, role).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Adds an account with the lowest role to a transaction, which is of no more use when it fails.
    ///
    /// # Errors
    ///
    /// [`Error::EmailTaken`].
    pub async fn add_registered(
        &self,
        transaction: &mut WriteTransaction,
        email: Email,
        hash: &PasswordHash,
    ) -> Result<User, Error> {
        self.insert(transaction, email, hash, Role::Viewer).await
    }

    async fn insert(
        &self,
        transaction: &mut WriteTransaction,
        email: Email,
        hash: &PasswordHash,
        role: Role,
    ) -> Result<User, Error> {
        let now = self.now();
        let user = User {
            id: UserId::generate(),
            email,
            role,
            is_active: true,
            created_at: now,
            updated_at: now,
        };
        tables::users::insert(transaction, &user, hash).await?;
        let change = Change::UserCreated {
            user: user.id,
            role,
        };
        transaction.emit(change).await?;
        Ok(user)
    }

    /// The account of this id.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none.
    pub async fn find(&self, id: UserId) -> Result<User, Error> {
        let found = tables::users::find(&self.database().reader(), id).await?;
        found.ok_or(Error::NotFound)
    }

    /// The account of this address.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none.
    pub async fn find_by_email(&self, email: &Email) -> Result<User, Error> {
        let found = tables::users::find_by_email(&self.database().reader(), email).await?;
        found.ok_or(Error::NotFound)
    }

    /// A page of the accounts whose address begins like this (in lower case), by address.
    pub async fn search_users(
        &self,
        prefix: &str,
        filter: &UserFilter,
        request: &PageRequest<EmailCursor>,
    ) -> Result<Page<User, EmailCursor>, DatabaseError> {
        let reader = self.database().reader();
        let users = tables::users::list_by_email(&reader, prefix, filter, request).await?;
        Ok(Page::ordered(users, request, |user| {
            EmailCursor::behind(user.email.clone())
        }))
    }

    /// A page of accounts, oldest first.
    pub async fn list_users(
        &self,
        filter: &UserFilter,
        request: PageRequest,
    ) -> Result<Page<User>, DatabaseError> {
        let users = tables::users::list(&self.database().reader(), filter, request).await?;
        Ok(Page::of(users, request, |user| *user.id.as_uuid()))
    }

    /// Changes role or state of an account on behalf of an operator. Disabling ends its sessions.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or [`Error::Denied`] for the last active owner.
    pub async fn change_user(&self, id: UserId, change: UserChange) -> Result<User, Error> {
        let changed = async {
            let transaction = self.begin_for_operator(None, Locks::Change(id)).await?;
            self.change(transaction, policy::Actor::Operator, id, change)
                .await
        };
        self.note_refusal(Attempt::UserChange, Some(id), None, changed.await)
    }

    /// Changes role or state of an account that the transaction has locked, and commits it.
    pub(super) async fn change(
        &self,
        mut transaction: WriteTransaction,
        actor: policy::Actor,
        id: UserId,
        change: UserChange,
    ) -> Result<User, Error> {
        let (before, target) = target(&transaction, id)?;
        let mut user = before.clone();
        user.role = change.role.unwrap_or(user.role);
        user.is_active = change.is_active.unwrap_or(user.is_active);
        let action = Action::Change {
            role: user.role,
            is_active: user.is_active,
        };
        may(actor, action, target)?;
        let now = self.now();
        if user != before {
            user.updated_at = now;
            tables::users::update_role_and_state(&transaction, &user).await?;
        }
        if !user.is_active {
            let reason = Revocation::Disabled;
            tables::sessions::revoke_all(&transaction, id, None, now, reason).await?;
        }
        let change = Change::UserChanged {
            user: id,
            role: (before.role, user.role),
            is_active: (before.is_active, user.is_active),
        };
        transaction.emit(change).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Deletes an account and everything that is its own, on behalf of an operator.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or [`Error::Denied`] for the last active owner.
    pub async fn delete_user(&self, id: UserId) -> Result<(), Error> {
        let deleted = async {
            let transaction = self.begin_for_operator(None, Locks::Delete(id)).await?;
            delete(self, transaction, policy::Actor::Operator, id).await
        };
        self.note_refusal(Attempt::UserDelete, Some(id), None, deleted.await)
    }

    /// Sets the password of an account on behalf of an operator, ends its sessions and forgets its networks.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such account; [`Error::NewPassword`] when the password does not suit the
    /// address that it has by now.
    pub async fn set_password(&self, id: UserId, new: Password) -> Result<(), Error> {
        let hash = self.hash(new.clone()).await?;
        let mut transaction = self.begin_for_operator(Some(id), Locks::Account).await?;
        let locked = transaction.locked(id).ok_or(Error::NotFound)?;
        new.check_for(&locked.user.email)?;
        self.replace_password(&mut transaction, id, &hash, Revocation::Operator)
            .await?;
        transaction.commit().await
    }

    /// Hashes a new password: before a transaction begins, because none is open while a password is hashed.
    ///
    /// # Errors
    ///
    /// When too many others wait for that.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Error> {
        Ok(self.hasher().hash(password).await?)
    }

    /// Gives an account, which the transaction has locked for [`Locks::Account`] or more, another password, ends all of
    /// its sessions for this reason, and forgets its networks.
    pub async fn replace_password(
        &self,
        transaction: &mut WriteTransaction,
        id: UserId,
        hash: &PasswordHash,
        reason: Revocation,
    ) -> Result<(), Error> {
        let now = self.now();
        tables::users::update_hash(transaction, id, hash, now).await?;
        tables::sessions::revoke_all(transaction, id, None, now, reason).await?;
        tables::auth_networks::forget_all(transaction, id).await?;
        let change = Change::PasswordChanged {
            user: id,
            session: None,
            // api_keys: begin
            revokes_keys: true,
            // api_keys: end
        };
        transaction.emit(change).await
    }

    /// Gives an account, which the transaction has locked for [`Locks::Address`], another address.
    ///
    /// # Errors
    ///
    /// [`Error::EmailTaken`].
    pub async fn replace_email(
        &self,
        transaction: &mut WriteTransaction,
        user: &User,
        email: Email,
        session: Option<SessionId>,
    ) -> Result<User, Error> {
        let changed = tables::users::update_email(transaction, user.id, &email, self.now()).await?;
        let changed = changed.ok_or(Error::NotFound)?;
        let change = Change::EmailChanged {
            user: user.id,
            session,
            before: user.email.clone(),
            after: email,
        };
        transaction.emit(change).await?;
        Ok(changed)
    }

    /// Whether this principal may do this to an account that the transaction has locked ([`Locks::Change`]). Returns the
    /// account.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such account, [`Error::Denied`].
    pub fn permit(
        &self,
        transaction: &WriteTransaction,
        principal: &Principal,
        action: Action,
        id: UserId,
    ) -> Result<User, Error> {
        let (user, target) = target(transaction, id)?;
        may(principal.into(), action, target)?;
        Ok(user)
    }

    /// Ends the sessions of an account on behalf of an operator. Returns how many.
    pub async fn revoke_sessions(&self, id: UserId) -> Result<u64, Error> {
        let mut transaction = self.begin_for_operator(Some(id), Locks::Account).await?;
        let (now, reason) = (self.now(), Revocation::Operator);
        let ended = tables::sessions::revoke_all(&transaction, id, None, now, reason).await?;
        transaction
            .emit(Change::AllSessionsRevoked { user: id })
            .await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Removes the tokens of an account that is about to be deleted and has more of them than go in one statement.
    ///
    /// They take several transactions, so the account is disabled in the one that found the deletion allowed, and then
    /// nothing of it works any more. When something fails on the way that remains, and the deletion may be tried again.
    /// Returns the transaction to delete the account with, which has locked what the first one had, and on whose behalf:
    /// whether that is still allowed is to be decided again.
    async fn delete_tokens(
        &self,
        mut transaction: WriteTransaction,
        user: &User,
    ) -> Result<(policy::Actor, WriteTransaction), Error> {
        let (id, now) = (user.id, self.now());
        let disabled = User {
            is_active: false,
            updated_at: now,
            ..user.clone()
        };
        tables::users::update_role_and_state(&transaction, &disabled).await?;
        tables::sessions::revoke_all(&transaction, id, None, now, Revocation::Disabled).await?;
        let change = Change::UserChanged {
            user: id,
            role: (user.role, user.role),
            is_active: (user.is_active, false),
        };
        transaction.emit(change).await?;
        let continuation = transaction.continuation();
        transaction.commit().await?;
        loop {
            let statement = SingleStatement::for_deletion(self.database()).await?;
            let deleted = tables::refresh_tokens::delete_of_user(&statement, id, TOKENS_AT_ONCE);
            if deleted.await? < u64::from(TOKENS_AT_ONCE) {
                break;
            }
        }
        self.begin_again(continuation, id).await
    }

    /// Logs and counts a failure.
    pub fn note_refusal<T>(
        &self,
        attempt: Attempt,
        user: Option<UserId>,
        session: Option<SessionId>,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        outcome.inspect_err(|error| self.events().refused(attempt, error, user, session))
    }
}

/// Deletes an account that the transaction has locked, and commits it.
pub(super) async fn delete(
    auth: &Auth,
    mut transaction: WriteTransaction,
    mut actor: policy::Actor,
    id: UserId,
) -> Result<(), Error> {
    let user = loop {
        let (user, target) = target(&transaction, id)?;
        may(actor, Action::Delete, target)?;
        if !tables::refresh_tokens::has_more(&transaction, id, TOKENS_TO_CASCADE).await? {
            break user;
        }
        (actor, transaction) = auth.delete_tokens(transaction, &user).await?;
    };
    tables::users::delete(&transaction, id).await?;
    let change = Change::UserDeleted {
        user: id,
        role: user.role,
    };
    transaction.emit(change).await?;
    transaction.commit().await
}

/// The account of this id that the transaction has locked, and what the policy asks about it.
fn target(transaction: &WriteTransaction, id: UserId) -> Result<(User, Target), Error> {
    let locked = transaction.locked(id).ok_or(Error::NotFound)?;
    let target = Target {
        id,
        role: locked.user.role,
        is_last_owner: transaction.active_owners().eq([id]),
    };
    Ok((locked.user.clone(), target))
}
