//! How a session begins and goes on, by pairs of an access token and a refresh token; and how it ends when a refresh
//! token is used twice or an account has too many sessions.

use time::OffsetDateTime;

use super::{
    Auth, ClientInfo, Error, RefreshToken, RefreshTokenHash, Revocation, Session, SessionId, User,
    access_token::AccessToken,
    event::{Actor, Attempt, Change, Event},
    refresh_token::RotationDecision,
    tables,
    transaction::{Locks, SingleStatement, WriteTransaction},
};

/// What a client gets when it signs in or refreshes.
#[derive(Debug)]
pub struct TokenPair {
    /// Sent with each request.
    pub access: AccessToken,
    /// Exchanged for the next pair.
    pub refresh: RefreshToken,
    /// How long the refresh token is good for.
    pub refresh_lifetime: time::Duration,
}

impl Auth {
    /// Opens a session of the usual length, ends the oldest ones beyond the limit, and commits.
    pub(super) async fn open_session(
        &self,
        mut transaction: WriteTransaction,
        user: &User,
        client: ClientInfo,
    ) -> Result<TokenPair, Error> {
        let (now, lifetimes) = (self.now(), self.lifetimes());
        let ends_at = now + lifetimes.longest;
        let session = Session {
            id: SessionId::generate(),
            user_id: user.id,
            created_at: now,
            last_used_at: now,
            expires_at: ends_at.min(now + lifetimes.idle),
            ends_at,
            ip: client.ip,
            user_agent: client.user_agent,
        };
        let token = RefreshToken::generate();
        let keep = lifetimes.max_per_user;
        tables::sessions::open(&transaction, &session, Some(token.hash()), keep).await?;
        transaction.emit(opened(&session)).await?;
        transaction.commit().await?;
        Ok(self.token_pair(&session, token, now))
    }

    /// Opens a session of this length without a password, on behalf of an operator.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the account is gone.
    pub async fn open_for_operator(
        &self,
        user: &User,
        length: time::Duration,
    ) -> Result<(Session, AccessToken), Error> {
        let mut transaction = self
            .begin_for_operator(Some(user.id), Locks::Account)
            .await?;
        transaction.locked(user.id).ok_or(Error::NotFound)?;
        let now = self.now();
        let session = Session {
            id: SessionId::generate(),
            user_id: user.id,
            created_at: now,
            last_used_at: now,
            expires_at: now + length,
            ends_at: now + length,
            ip: None,
            user_agent: Some(concat!(env!("CARGO_PKG_NAME"), " token").to_owned()),
        };
        let keep = self.lifetimes().max_per_user;
        tables::sessions::open(&transaction, &session, None, keep).await?;
        transaction.emit(opened(&session)).await?;
        transaction.commit().await?;
        let token = self
            .tokens()
            .sign_until(user.id, session.id, session.expires_at, now);
        Ok((session, token))
    }

    /// Exchanges a refresh token for the next pair.
    ///
    /// Nearly every token is presented once, and takes one statement, which checks token, session and
    /// user as it writes. A token that this statement does not take is decided about in a transaction.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRefreshToken`], whatever is wrong with it.
    pub async fn refresh(&self, token: &str) -> Result<TokenPair, Error> {
        let Some(hash) = RefreshTokenHash::of(token) else {
            return self.refuse_refresh(None);
        };
        let next = RefreshToken::generate();
        let statement = SingleStatement::for_rotation(self.database()).await?;
        let now = self.now();
        let idle_end = now + self.lifetimes().idle;
        let rotated =
            tables::refresh_tokens::rotate(&statement, hash, next.hash(), now, idle_end).await?;
        drop(statement);
        let Some(session) = rotated else {
            return self.refresh_again(hash, next).await;
        };
        let event = Event {
            actor: Actor::Anonymous,
            client: ClientInfo::default(),
            change: refreshed(&session),
        };
        (self.subscribers().committed)(&event);
        Ok(self.token_pair(&session, next, now))
    }

    /// Decides about a token that is not simply a live session's next one.
    async fn refresh_again(
        &self,
        hash: RefreshTokenHash,
        next: RefreshToken,
    ) -> Result<TokenPair, Error> {
        let Some(mut transaction) = self.begin_refresh(hash).await? else {
            return self.refuse_refresh(None);
        };
        let now = self.now();
        let found = tables::refresh_tokens::find_by_token(&transaction, hash, now).await?;
        let Some((mut session, _, presented)) = found else {
            return self.refuse_refresh(None);
        };
        match presented.judge(now) {
            RotationDecision::Replace => {}
            // Unused after all: it was handed out after the first look. The client may come again.
            RotationDecision::Rotate | RotationDecision::Refused => {
                return self.refuse_refresh(Some(&session));
            }
            RotationDecision::Reused => {
                self.end_reused(transaction, &session, now).await?;
                return Err(Error::InvalidRefreshToken);
            }
        }
        tables::refresh_tokens::supersede_successor(&transaction, hash, now).await?;
        tables::refresh_tokens::insert_token(&transaction, next.hash(), session.id, hash, now)
            .await?;
        session.expires_at = session.ends_at.min(now + self.lifetimes().idle);
        tables::sessions::extend(&transaction, session.id, now, session.expires_at).await?;
        transaction.emit(refreshed(&session)).await?;
        transaction.commit().await?;
        Ok(self.token_pair(&session, next, now))
    }

    /// Ends a session one of whose refresh tokens was used twice: two parties hold it.
    async fn end_reused(
        &self,
        mut transaction: WriteTransaction,
        session: &Session,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let (id, user) = (session.id, session.user_id);
        tables::sessions::revoke(&transaction, id, user, now, Revocation::Reuse).await?;
        let change = Change::RefreshTokenReused { user, session: id };
        transaction.emit(change).await?;
        transaction.commit().await
    }

    fn refuse_refresh(&self, session: Option<&Session>) -> Result<TokenPair, Error> {
        let user = session.map(|session| session.user_id);
        let session = session.map(|session| session.id);
        let refused = Err(Error::InvalidRefreshToken);
        self.note_refusal(Attempt::Refresh, user, session, refused)
    }

    fn token_pair(
        &self,
        session: &Session,
        refresh: RefreshToken,
        now: OffsetDateTime,
    ) -> TokenPair {
        let tokens = self.tokens();
        TokenPair {
            access: tokens.sign(session.user_id, session.id, session.expires_at, now),
            refresh,
            refresh_lifetime: session.expires_at - now,
        }
    }
}

fn opened(session: &Session) -> Change {
    Change::SessionOpened {
        user: session.user_id,
        session: session.id,
    }
}

fn refreshed(session: &Session) -> Change {
    Change::SessionRefreshed {
        user: session.user_id,
        session: session.id,
    }
}
