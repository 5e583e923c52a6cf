//! The rules about accounts: who may change what, and what never happens.

use secrecy::SecretString;

use super::{
    domain::{
        Actor, Email, Password, PasswordHash, PasswordPolicy, Role, User, UserChange, UserFilter,
        UserId,
    },
    error::Error,
    hasher::{HashError, Hasher, Verdict},
    repository,
};
use crate::{
    clock::Clock,
    database::{Database, DatabaseError, ReadExecutor, WriteExecutor},
    web::{Page, PageRequest},
};

/// Accounts.
#[derive(Clone)]
pub struct Users {
    database: Database,
    hasher: Hasher,
    policy: PasswordPolicy,
    clock: Clock,
}

/// An account whose password was just proven, with the hash it was proven against.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The account.
    pub user: User,
    /// The hash at that moment: whoever acts on the proof can see whether it still holds.
    pub hash: PasswordHash,
}

impl Users {
    /// Accounts in this database.
    #[must_use]
    pub fn new(database: Database, hasher: Hasher, policy: PasswordPolicy, clock: Clock) -> Self {
        Self {
            database,
            hasher,
            policy,
            clock,
        }
    }

    /// What a new password has to meet.
    #[must_use]
    pub fn policy(&self) -> &PasswordPolicy {
        &self.policy
    }

    /// Makes an account.
    ///
    /// The password is hashed before anyone looks whether the address is
    /// taken, so that the answer takes as long in both cases.
    pub async fn create(
        &self,
        email: Email,
        password: Password,
        role: Role,
    ) -> Result<User, Error> {
        let hash = self.hasher.hash(password).await?;
        let now = self.clock.now();
        let user = User {
            id: UserId::generate(),
            email,
            role,
            is_active: true,
            created_at: now,
            updated_at: now,
        };
        let connection = self.database.connection().await?;
        repository::insert(&connection, &user, &hash).await?;
        Ok(user)
    }

    /// The account of this id.
    pub async fn find(&self, id: UserId) -> Result<User, Error> {
        let found = repository::find(self.database.read_pool(), id).await?;
        found.map(|(user, _)| user).ok_or(Error::NotFound)
    }

    /// The account of this address.
    pub async fn find_by_email(&self, email: &Email) -> Result<User, Error> {
        let found = repository::find_by_email(self.database.read_pool(), email).await?;
        found.map(|(user, _)| user).ok_or(Error::NotFound)
    }

    /// A page of accounts, oldest first.
    pub async fn list(
        &self,
        filter: &UserFilter,
        request: PageRequest,
    ) -> Result<Page<User>, DatabaseError> {
        let users = repository::list(self.database.read_pool(), filter, request).await?;
        Ok(Page::of(users, request, |user| *user.id.as_uuid()))
    }

    /// Checks address and password of somebody who wants in.
    ///
    /// `None` means that they do not belong together or the account is
    /// disabled; it takes as long in every case, and nobody is told which.
    pub async fn prove(
        &self,
        email: &Email,
        password: SecretString,
    ) -> Result<Option<Proven>, Error> {
        let found = repository::find_by_email(self.database.read_pool(), email).await?;
        let hash = found.as_ref().map(|(_, hash)| hash.clone());
        let verdict = self.hasher.verify(password.clone(), hash).await?;
        let (Verdict::Right { outdated }, Some((user, hash))) = (verdict, found) else {
            return Ok(None);
        };
        if !user.is_active {
            return Ok(None);
        }
        let proven = Proven { user, hash };
        if outdated {
            return self.rehash(proven, password).await.map(Some);
        }
        Ok(Some(proven))
    }

    /// Hashes a proven password anew because hashes have become dearer.
    ///
    /// Signing in does not depend on it: when there is no time for it now, the next sign-in does it.
    async fn rehash(&self, proven: Proven, password: SecretString) -> Result<Proven, Error> {
        let hash = match self.hasher.hash(Password::proven(password)).await {
            Ok(hash) => hash,
            Err(HashError::Busy) => return Ok(proven),
            Err(error) => return Err(error.into()),
        };
        let id = proven.user.id;
        let connection = self.database.connection().await?;
        // When somebody was faster, the proof is against a hash that is gone, as it would be anyway.
        if repository::update_hash(&connection, id, &proven.hash, &hash, self.clock.now()).await? {
            return Ok(Proven { hash, ..proven });
        }
        Ok(proven)
    }

    /// Checks the current password of somebody who is signed in.
    pub async fn prove_current(&self, id: UserId, password: SecretString) -> Result<Proven, Error> {
        let found = repository::find(self.database.read_pool(), id).await?;
        let hash = found.as_ref().map(|(_, hash)| hash.clone());
        let verdict = self.hasher.verify(password, hash).await?;
        match (verdict, found) {
            (Verdict::Right { .. }, Some((user, hash))) => Ok(Proven { user, hash }),
            _ => Err(Error::WrongPassword),
        }
    }

    /// Changes the address.
    pub async fn change_email(&self, id: UserId, email: &Email) -> Result<User, Error> {
        let connection = self.database.connection().await?;
        let changed = repository::update_email(&connection, id, email, self.clock.now()).await?;
        changed.ok_or(Error::NotFound)
    }

    /// Hashes a password that is about to become somebody's.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Error> {
        Ok(self.hasher.hash(password).await?)
    }

    /// Replaces a proven password within a transaction. It fails when the proof no longer holds.
    pub async fn replace_password(
        &self,
        db: &impl WriteExecutor,
        proven: &Proven,
        new: &PasswordHash,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let id = proven.user.id;
        if repository::update_hash(db, id, &proven.hash, new, now).await? {
            return Ok(());
        }
        Err(Error::WrongPassword)
    }

    /// Sets a password on behalf of an operator, within a transaction.
    pub async fn set_password(
        &self,
        db: &impl WriteExecutor,
        id: UserId,
        new: &PasswordHash,
    ) -> Result<(), Error> {
        let (_, old) = repository::lock(db, id).await?.ok_or(Error::NotFound)?;
        repository::update_hash(db, id, &old, new, self.clock.now()).await?;
        Ok(())
    }

    /// Holds an account until the transaction ends, so that what depends on it does not change meanwhile.
    pub async fn lock(
        &self,
        db: &impl WriteExecutor,
        proven: &Proven,
    ) -> Result<Option<User>, DatabaseError> {
        let locked = repository::lock(db, proven.user.id).await?;
        Ok(locked
            .filter(|(user, hash)| user.is_active && *hash == proven.hash)
            .map(|(user, _)| user))
    }

    /// Changes role or state within a transaction.
    pub async fn change(
        &self,
        db: &impl WriteExecutor,
        actor: Actor,
        id: UserId,
        change: UserChange,
    ) -> Result<User, Error> {
        let owners = repository::lock_active_owners(db).await?;
        let (mut user, _) = repository::lock(db, id).await?.ok_or(Error::NotFound)?;
        let before = user.clone();
        user.role = change.role.unwrap_or(user.role);
        user.is_active = change.is_active.unwrap_or(user.is_active);
        let touched = [before.role, user.role];
        permit(actor, &touched)?;
        let stays_owner = user.role == Role::Owner && user.is_active;
        if !stays_owner {
            keep_an_owner(&owners, id)?;
        }
        still_permitted(db, actor, &touched).await?;
        if user == before {
            return Ok(user);
        }
        user.updated_at = self.clock.now();
        repository::update_role_and_state(db, &user).await?;
        Ok(user)
    }

    /// Removes an account within a transaction.
    pub async fn delete(
        &self,
        db: &impl WriteExecutor,
        actor: Actor,
        id: UserId,
    ) -> Result<(), Error> {
        let owners = repository::lock_active_owners(db).await?;
        let (user, _) = repository::lock(db, id).await?.ok_or(Error::NotFound)?;
        permit(actor, &[user.role])?;
        keep_an_owner(&owners, id)?;
        still_permitted(db, actor, &[user.role]).await?;
        repository::delete(db, id).await?;
        Ok(())
    }
}

/// Refuses to lose the only active owner.
fn keep_an_owner(active_owners: &[UserId], leaving: UserId) -> Result<(), Error> {
    if *active_owners == [leaving] {
        return Err(Error::LastOwner);
    }
    Ok(())
}

/// Refuses what touches a role above the actor's.
fn permit(actor: Actor, touched: &[Role]) -> Result<(), Error> {
    match actor {
        Actor::User(_, level) if touched.iter().any(|role| *role > level) => {
            Err(Error::AboveOwnLevel)
        }
        Actor::User(..) | Actor::Operator => Ok(()),
    }
}

/// The same with the role the actor has inside the transaction: it may have been lowered on the way.
async fn still_permitted(
    db: &impl ReadExecutor,
    actor: Actor,
    touched: &[Role],
) -> Result<(), Error> {
    let Actor::User(id, _) = actor else {
        return Ok(());
    };
    let found = repository::find(db, id).await?;
    let active = found.map(|(user, _)| user).filter(|user| user.is_active);
    let user = active.ok_or(Error::AboveOwnLevel)?;
    permit(Actor::User(id, user.role), touched)
}
