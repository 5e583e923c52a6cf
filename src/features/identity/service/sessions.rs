//! A user's own sessions.

use super::{Auth, Error, Event, Outcome, Revocation, Session, SessionId, SignedIn, session_rows};

impl Auth {
    /// The caller's live sessions, oldest first.
    pub async fn sessions(&self, caller: &SignedIn) -> Result<Vec<Session>, Error> {
        let now = self.0.clock.now();
        Ok(session_rows::list(self.0.database.reads(), caller.user.id, now).await?)
    }

    /// Ends the session the caller is in.
    pub async fn sign_out(&self, caller: &SignedIn) -> Result<(), Error> {
        let connection = self.0.database.connection().await?;
        let (now, id) = (self.0.clock.now(), caller.session_id);
        // When something else ended it meanwhile, the caller has what it wanted.
        session_rows::revoke(&connection, id, caller.user.id, now, Revocation::Logout).await?;
        self.note(Event::Logout, caller, Some(id));
        Ok(())
    }

    /// Ends all sessions of the caller, this one included.
    pub async fn sign_out_everywhere(&self, caller: &SignedIn) -> Result<(), Error> {
        let connection = self.0.database.connection().await?;
        let (now, reason) = (self.0.clock.now(), Revocation::LogoutAll);
        session_rows::revoke_all(&connection, caller.user.id, None, now, reason).await?;
        self.note(Event::LogoutAll, caller, None);
        Ok(())
    }

    /// Ends one session of the caller.
    pub async fn end_session(&self, caller: &SignedIn, id: SessionId) -> Result<(), Error> {
        let connection = self.0.database.connection().await?;
        let (now, reason) = (self.0.clock.now(), Revocation::Logout);
        if !session_rows::revoke(&connection, id, caller.user.id, now, reason).await? {
            return Err(Error::SessionNotFound);
        }
        self.note(Event::SessionEnd, caller, Some(id));
        Ok(())
    }

    fn note(&self, event: Event, caller: &SignedIn, session: Option<SessionId>) {
        self.0
            .events
            .note(event, Outcome::Success, Some(caller.user.id), session);
    }
}
