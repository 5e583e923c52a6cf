//! Changes to an account that concern its sessions, too: both in one transaction.

use secrecy::SecretString;

use super::{Auth, Client, Error, Event, Outcome, Revocation, SignedIn, Target, repository};
use crate::features::users::{self, Actor, Email, Password, Proven, User, UserChange, UserId};

impl Auth {
    /// Changes the caller's address, once the password is proven.
    pub async fn change_email(
        &self,
        caller: &SignedIn,
        email: &Email,
        current_password: SecretString,
        client: &Client,
    ) -> Result<User, Error> {
        let id = caller.user.id;
        let changed = async {
            self.prove_current(caller, current_password, client).await?;
            Ok(self.0.users.change_email(id, email).await?)
        };
        let outcome = changed.await;
        self.note_change(Event::EmailChange, caller, &outcome);
        outcome
    }

    /// Changes the caller's password, once the old one is proven, and ends the other sessions.
    pub async fn change_password(
        &self,
        caller: &SignedIn,
        current_password: SecretString,
        new: Password,
        client: &Client,
    ) -> Result<(), Error> {
        let changed = async {
            let proven = self.prove_current(caller, current_password, client).await?;
            self.replace_password(caller, &proven, new).await
        };
        let outcome = changed.await;
        self.note_change(Event::PasswordChange, caller, &outcome);
        outcome
    }

    /// Checks the caller's password, as often as the limits on signing in allow.
    ///
    /// What strangers have tried does not count here, or they could keep the
    /// owner of an account from changing it. What goes wrong here counts there.
    async fn prove_current(
        &self,
        caller: &SignedIn,
        password: SecretString,
        client: &Client,
    ) -> Result<Proven, Error> {
        let (id, limits) = (caller.user.id, &self.0.limits);
        limits.take_source(client.ip).await?;
        limits.take(Target::User(id)).await?;
        let outcome = self.0.users.prove_current(id, password).await;
        if let Err(users::Error::WrongPassword) = outcome {
            // Whether there was a token left is for the next sign-in to find out.
            let _ = limits.take(Target::Account(&caller.user.email)).await;
        }
        Ok(outcome?)
    }

    async fn replace_password(
        &self,
        caller: &SignedIn,
        proven: &Proven,
        new: Password,
    ) -> Result<(), Error> {
        let id = caller.user.id;
        let hash = self.0.users.hash(new).await?;
        let transaction = self.0.database.begin().await?;
        self.0
            .users
            .replace_password(&transaction, proven, &hash)
            .await?;
        let (now, reason) = (self.0.clock.now(), Revocation::PasswordChange);
        let others = Some(caller.session_id);
        repository::revoke_all(&transaction, id, others, now, reason).await?;
        transaction.commit().await?;
        Ok(())
    }

    fn note_change<T>(&self, event: Event, caller: &SignedIn, outcome: &Result<T, Error>) {
        let noted = match outcome {
            Ok(_) => Outcome::Success,
            Err(error) => error.outcome(),
        };
        let session = Some(caller.session_id);
        self.0
            .events
            .note(event, noted, Some(caller.user.id), session);
    }

    /// Changes somebody's role or state. Disabling ends their sessions.
    pub async fn change_user(
        &self,
        actor: Actor,
        id: UserId,
        change: UserChange,
    ) -> Result<User, users::Error> {
        let transaction = self.0.database.begin().await?;
        let outcome = self.0.users.change(&transaction, actor, id, change).await;
        if let Ok(User {
            is_active: false, ..
        }) = outcome
        {
            let (now, reason) = (self.0.clock.now(), Revocation::Disabled);
            repository::revoke_all(&transaction, id, None, now, reason).await?;
        }
        if outcome.is_ok() {
            transaction.commit().await?;
        }
        self.note_user(Event::UserChange, id, &outcome);
        outcome
    }

    /// Deletes somebody, sessions and all.
    pub async fn delete_user(&self, actor: Actor, id: UserId) -> Result<(), users::Error> {
        let transaction = self.0.database.begin().await?;
        let outcome = self.0.users.delete(&transaction, actor, id).await;
        if outcome.is_ok() {
            transaction.commit().await?;
        }
        self.note_user(Event::UserDelete, id, &outcome);
        outcome
    }

    fn note_user<T>(&self, event: Event, id: UserId, outcome: &Result<T, users::Error>) {
        let noted = outcome
            .as_ref()
            .map_or_else(Outcome::of, |_| Outcome::Success);
        self.0.events.note(event, noted, Some(id), None);
    }

    /// Sets somebody's password on behalf of an operator, and ends their sessions.
    pub async fn set_password(&self, id: UserId, new: Password) -> Result<(), users::Error> {
        let hash = self.0.users.hash(new).await?;
        let transaction = self.0.database.begin().await?;
        self.0.users.set_password(&transaction, id, &hash).await?;
        let (now, reason) = (self.0.clock.now(), Revocation::Operator);
        repository::revoke_all(&transaction, id, None, now, reason).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends somebody's sessions on behalf of an operator. Returns how many.
    pub async fn revoke_sessions(&self, id: UserId) -> Result<u64, users::Error> {
        let connection = self.0.database.connection().await?;
        let (now, reason) = (self.0.clock.now(), Revocation::Operator);
        Ok(repository::revoke_all(&connection, id, None, now, reason).await?)
    }
}
