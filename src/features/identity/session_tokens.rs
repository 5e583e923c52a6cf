//! How a session begins and goes on, by pairs of an access token and a refresh token; and how it ends when a refresh
//! token is used twice or an account has too many sessions.

use chassis_http::ClientNetwork;
use chassis_postgres::DatabaseError;
use time::OffsetDateTime;

use super::{
    Auth, ClientInfo, Error, RefreshToken, RefreshTokenHash, Revocation, Session, SessionId, User,
    access_token::AccessToken,
    event::{Actor, Attempt, Change, Event},
    limit_keys, networks,
    refresh_token::RotationDecision,
    tables::{
        self,
        refresh_tokens::{FoundToken, Rotation},
    },
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
        let token = RefreshToken::generate();
        let hash = Some(token.hash());
        let added = self.add_session(&mut transaction, user, client, hash);
        let session = added.await?;
        transaction.commit().await?;
        let now = session.created_at;
        Ok(self.token_pair(&session, token, now))
    }

    /// Adds a session of the usual length, perhaps with a refresh token, and ends the oldest ones beyond the limit.
    pub(super) async fn add_session(
        &self,
        transaction: &mut WriteTransaction,
        user: &User,
        client: ClientInfo,
        token: Option<RefreshTokenHash>,
    ) -> Result<Session, Error> {
        let (now, lifetimes) = (self.now(), self.lifetimes());
        let network = client.network();
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
        let keep = lifetimes.max_per_user;
        // Neither needs the other's outcome, so they are sent together.
        let opened_session = tables::sessions::open(&*transaction, &session, token, keep);
        let remembered = remember_network(transaction, user, network, now);
        let (opened_session, remembered) = tokio::join!(opened_session, remembered);
        opened_session?;
        let from_new_network = remembered?;
        transaction.emit(opened(&session, from_new_network)).await?;
        Ok(session)
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
        transaction.emit(opened(&session, false)).await?;
        transaction.commit().await?;
        let token = self
            .tokens()
            .sign_until(user.id, session.id, session.expires_at, now);
        Ok((session, token))
    }

    /// Counts that a refresh token was presented, in the memory of this process: before anything asks the database.
    ///
    /// # Errors
    ///
    /// [`Error::Limits`] when it comes too often.
    pub(super) fn note_presented(&self, token: &str) -> Result<(), Error> {
        let key = limit_keys::presented(token);
        let counted = self.limits().take_presented(key).map_err(Error::from);
        self.note_refusal(Attempt::Refresh, None, None, counted)
    }

    /// Exchanges a refresh token for the next pair.
    ///
    /// Nearly every token is presented once, and takes one statement, which checks token, session and
    /// user as it writes, and notes that the network it comes from is used. A token that this statement does not take is looked up and decided about: what it says about a
    /// used token does not change any more, but for the end of the window, so that takes no lock.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRefreshToken`], whatever is wrong with it; [`Error::Limits`] when it comes too often.
    pub async fn refresh(
        &self,
        token: &str,
        network: Option<ClientNetwork>,
    ) -> Result<TokenPair, Error> {
        let Some(token) = RefreshToken::parse(token) else {
            return self.refuse_refresh(None, Error::InvalidRefreshToken);
        };
        let (hash, next) = (token.hash(), RefreshToken::generate());
        let statement = SingleStatement::for_rotation(self.database()).await?;
        let (now, idle) = (self.now(), self.lifetimes().idle);
        let network = network.map(networks::octets);
        let rotation = Rotation {
            token: hash,
            successor: next.hash(),
            masked: token.mask(&next),
            now,
            expires_at: now + idle,
            forget_before: now - idle,
            quota: self.limits().rotations(),
            network: network.as_deref(),
            forgotten_since: networks::forgotten_since(now),
            renew_since: networks::renewed_since(now),
        };
        if let Some(session) = tables::refresh_tokens::rotate(&statement, &rotation).await? {
            self.note_refreshed(refreshed(&session));
            return Ok(self.token_pair(&session, next, now));
        }
        let found = tables::refresh_tokens::find_by_token(&statement, hash, now).await?;
        drop(statement);
        let Some(found) = found else {
            return self.refuse_refresh(None, Error::InvalidRefreshToken);
        };
        let session = &found.session;
        match found.presented.judge(now) {
            RotationDecision::Repeat(masked) => {
                self.note_refreshed(repeated(session));
                Ok(self.token_pair(session, token.unmask(masked), now))
            }
            RotationDecision::Reused => self.end_reused(session).await,
            RotationDecision::Rotate | RotationDecision::Refused => {
                self.refuse_refresh(Some(session), self.why_not(&found, now))
            }
        }
    }

    /// Why a token was not rotated that is not used up: its session's bucket of rotations was empty.
    fn why_not(&self, found: &FoundToken, now: OffsetDateTime) -> Error {
        let is_live = found.presented.judge(now) == RotationDecision::Rotate;
        match self.limits().rotations().filter(|_| is_live) {
            Some(quota) => self.limits().refuse(quota.exceeded(found.full_in)).into(),
            None => Error::InvalidRefreshToken,
        }
    }

    /// Ends a session one of whose refresh tokens was used twice: two parties hold it.
    async fn end_reused(&self, session: &Session) -> Result<TokenPair, Error> {
        let (id, user, now) = (session.id, session.user_id, self.now());
        let mut transaction = self.begin_revocation(ClientInfo::default()).await?;
        let reason = Revocation::Reuse;
        if !tables::sessions::revoke(&transaction, id, user, now, reason).await? {
            // It has ended meanwhile, for another reason.
            return self.refuse_refresh(Some(session), Error::InvalidRefreshToken);
        }
        let change = Change::RefreshTokenReused { user, session: id };
        transaction.emit(change).await?;
        transaction.commit().await?;
        Err(Error::InvalidRefreshToken)
    }

    /// Tells the hooks, as there is no transaction that would.
    fn note_refreshed(&self, change: Change) {
        let event = Event {
            actor: Actor::Anonymous,
            client: ClientInfo::default(),
            change,
        };
        self.subscribers().committed(&event);
    }

    fn refuse_refresh(&self, session: Option<&Session>, error: Error) -> Result<TokenPair, Error> {
        let user = session.map(|session| session.user_id);
        let session = session.map(|session| session.id);
        self.note_refusal(Attempt::Refresh, user, session, Err(error))
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

/// Remembers that a user signed in from this network. Returns whether it is a new one.
async fn remember_network(
    transaction: &WriteTransaction,
    user: &User,
    network: Option<ClientNetwork>,
    now: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    let Some(network) = network.map(networks::octets) else {
        return Ok(false);
    };
    tables::auth_networks::remember(transaction, user.id, &network, now, networks::MOST).await
}

fn opened(session: &Session, from_new_network: bool) -> Change {
    Change::SessionOpened {
        user: session.user_id,
        session: session.id,
        from_new_network,
    }
}

fn refreshed(session: &Session) -> Change {
    Change::SessionRefreshed {
        user: session.user_id,
        session: session.id,
    }
}

fn repeated(session: &Session) -> Change {
    Change::RefreshTokenRepeated {
        user: session.user_id,
        session: session.id,
    }
}
