//! Signing in, staying signed in, and ending it.
//!
//! Here are the rules: how a password becomes a session, a refresh token its
//! successor, and an access token the person behind it. What people do with
//! their own account is in `account`, with their sessions in `sessions`. What
//! has to hold together happens in one transaction, which is opened here.

mod account;
mod sessions;

use std::{fmt, sync::Arc, time::Duration};

use secrecy::SecretString;
use time::OffsetDateTime;

use super::{
    activity::Activity,
    domain::{RefreshToken, RefreshTokenHash, Revocation, Session, SessionId, SignedIn, Verdict},
    error::Error,
    events::{Event, Events, Outcome},
    repository,
    settings::AuthSettings,
    tokens::{AccessToken, Tokens},
};
use crate::{
    clock::Clock,
    database::{Connection, Database, Transaction},
    features::{
        limits::{self, Limits, Target},
        users::{self, Email, Password, Role, User, Users},
    },
    web::Client,
};

/// How stale the time a session was last seen may get, off the path of requests.
const SEEN_EVERY: time::Duration = time::Duration::minutes(1);

/// Sessions, and what accounts do with them; clones share everything.
#[derive(Clone)]
pub struct Auth(Arc<Parts>);

struct Parts {
    database: Database,
    users: Users,
    limits: Limits,
    tokens: Tokens,
    activity: Activity,
    events: Events,
    clock: Clock,
    bounds: Bounds,
}

/// How long and how many.
struct Bounds {
    idle: Duration,
    lifetime: Duration,
    sessions: u32,
}

/// What a client gets when it signs in or refreshes.
#[derive(Debug)]
pub struct Grant {
    /// Shown with each request.
    pub access: AccessToken,
    /// Exchanged for the next pair.
    pub refresh: RefreshToken,
    /// How long the refresh token is good for.
    pub refresh_lifetime: time::Duration,
}

impl Auth {
    /// Sessions in this database.
    #[must_use]
    pub fn new(
        settings: &AuthSettings,
        database: Database,
        users: Users,
        limits: Limits,
        activity: Activity,
        events: Events,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Parts {
            tokens: Tokens::new(settings),
            bounds: Bounds {
                idle: settings.session_idle_lifetime,
                lifetime: settings.session_lifetime,
                sessions: settings.max_sessions_per_user,
            },
            database,
            users,
            limits,
            activity,
            events,
            clock,
        }))
    }

    /// Accounts, as this service sees them.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.0.users
    }

    /// How often one may try.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Makes an account that may do least.
    pub async fn register(&self, email: Email, password: Password) -> Result<User, Error> {
        self.count(Event::Register, Target::Account(&email)).await?;
        let outcome = self.0.users.create(email, password, Role::Viewer).await;
        let (noted, user_id) = match &outcome {
            Ok(user) => (Outcome::Success, Some(user.id)),
            Err(error) => (Outcome::of(error), None),
        };
        self.0.events.note(Event::Register, noted, user_id, None);
        Ok(outcome?)
    }

    /// Opens a session for whoever knows the password.
    pub async fn sign_in(
        &self,
        email: &Email,
        password: SecretString,
        client: Client,
    ) -> Result<Grant, Error> {
        self.count(Event::SignIn, Target::Account(email)).await?;
        let opened = match self.0.users.prove(email, password).await? {
            Some(proven) => {
                let transaction = self.0.database.begin().await?;
                // Between proof and session the account may have been disabled, or its password changed.
                match self.0.users.lock(&transaction, &proven).await? {
                    Some(user) => {
                        let (session, token) = self.open(&transaction, &user, client).await?;
                        transaction.commit().await?;
                        Some((session, token))
                    }
                    None => None,
                }
            }
            None => None,
        };
        let Some((session, refresh)) = opened else {
            self.0
                .events
                .note(Event::SignIn, Outcome::Refused, None, None);
            return Err(Error::InvalidCredentials);
        };
        let ids = (Some(session.user_id), Some(session.id));
        self.0
            .events
            .note(Event::SignIn, Outcome::Success, ids.0, ids.1);
        Ok(self.grant(&session, refresh, session.created_at))
    }

    /// Counts an attempt against the account it is about, and notes one too many.
    async fn count(&self, event: Event, target: Target<'_>) -> Result<(), limits::Error> {
        let counted = self.0.limits.take(target).await;
        if let Err(limits::Error::Account(_)) = counted {
            self.0.events.note(event, Outcome::Limited, None, None);
        }
        counted
    }

    /// Writes a new session of the usual length and ends the oldest ones beyond the limit.
    async fn open(
        &self,
        transaction: &Transaction,
        user: &User,
        client: Client,
    ) -> Result<(Session, RefreshToken), Error> {
        let now = self.0.clock.now();
        let ends_at = now + self.0.bounds.lifetime;
        let session = Session {
            id: SessionId::generate(),
            user_id: user.id,
            created_at: now,
            last_used_at: now,
            expires_at: ends_at.min(now + self.0.bounds.idle),
            ends_at,
            ip: client.ip,
            user_agent: client.user_agent,
        };
        let token = RefreshToken::generate();
        let keep = self.0.bounds.sessions;
        repository::open(transaction, &session, Some(token.hash()), keep).await?;
        Ok((session, token))
    }

    fn grant(&self, session: &Session, refresh: RefreshToken, now: OffsetDateTime) -> Grant {
        Grant {
            access: self
                .0
                .tokens
                .sign(session.user_id, session.id, session.expires_at, now),
            refresh,
            refresh_lifetime: session.expires_at - now,
        }
    }

    /// Opens a session of this length without a password, on behalf of an operator.
    pub async fn open_for_operator(
        &self,
        user: &User,
        length: time::Duration,
    ) -> Result<(Session, AccessToken), Error> {
        let now = self.0.clock.now();
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
        let connection = self.0.database.connection().await?;
        repository::open(&connection, &session, None, self.0.bounds.sessions).await?;
        let token = self
            .0
            .tokens
            .sign_until(user.id, session.id, session.expires_at, now);
        Ok((session, token))
    }

    /// Exchanges a refresh token for the next pair.
    pub async fn refresh(&self, token: &str) -> Result<Grant, Error> {
        let Some(hash) = RefreshTokenHash::of(token) else {
            return self.refuse_refresh(Outcome::Refused, None);
        };
        let next = RefreshToken::generate();
        let connection = self.0.database.connection().await?;
        let now = self.0.clock.now();
        let idle_end = now + self.0.bounds.idle;
        // Nearly every token comes once, and takes one statement.
        match repository::rotate(&connection, hash, next.hash(), now, idle_end).await? {
            Some(session) => Ok(self.refreshed(&session, next, now)),
            None => self.refresh_again(connection, hash, next).await,
        }
    }

    /// Decides about a token that is not simply a live session's next one.
    async fn refresh_again(
        &self,
        connection: Connection,
        hash: RefreshTokenHash,
        next: RefreshToken,
    ) -> Result<Grant, Error> {
        let transaction = connection.begin().await?;
        if !repository::lock_by_token(&transaction, hash).await? {
            return self.refuse_refresh(Outcome::Refused, None);
        }
        let now = self.0.clock.now();
        let found = repository::find_by_token(&transaction, hash, now).await?;
        let Some((mut session, _, presented)) = found else {
            return self.refuse_refresh(Outcome::Refused, None);
        };
        match presented.judge(now) {
            Verdict::Replace => {}
            // Unused after all: it was handed out after the first look. The client may come again.
            Verdict::Rotate | Verdict::Refused => {
                return self.refuse_refresh(Outcome::Refused, Some(&session));
            }
            Verdict::Reused => {
                let reason = Revocation::Reuse;
                repository::revoke(&transaction, session.id, session.user_id, now, reason).await?;
                transaction.commit().await?;
                return self.refuse_refresh(Outcome::Reused, Some(&session));
            }
        }
        repository::supersede_successor(&transaction, hash, now).await?;
        repository::insert_token(&transaction, next.hash(), session.id, hash, now).await?;
        session.expires_at = session.ends_at.min(now + self.0.bounds.idle);
        repository::extend(&transaction, session.id, now, session.expires_at).await?;
        transaction.commit().await?;
        Ok(self.refreshed(&session, next, now))
    }

    fn refreshed(&self, session: &Session, next: RefreshToken, now: OffsetDateTime) -> Grant {
        let ids = (Some(session.user_id), Some(session.id));
        self.0
            .events
            .note(Event::Refresh, Outcome::Success, ids.0, ids.1);
        self.grant(session, next, now)
    }

    fn refuse_refresh(&self, outcome: Outcome, session: Option<&Session>) -> Result<Grant, Error> {
        let user_id = session.map(|session| session.user_id);
        let session_id = session.map(|session| session.id);
        self.0
            .events
            .note(Event::Refresh, outcome, user_id, session_id);
        Err(Error::InvalidRefreshToken)
    }

    /// Finds out who is calling. The session and its user are read each time, so that what ended has ended.
    pub async fn authenticate(&self, token: &str) -> Result<SignedIn, Error> {
        let now = self.0.clock.now();
        let bearer = self
            .0
            .tokens
            .verify(token, now)
            .map_err(|_| Error::InvalidAccessToken)?;
        let reads = self.0.database.read_pool();
        let found = repository::find_live(reads, bearer.session_id, bearer.user_id, now).await?;
        let (session, user) = found.ok_or(Error::InvalidAccessToken)?;
        if bearer.expires_at > session.expires_at {
            return Err(Error::InvalidAccessToken);
        }
        if now - session.last_used_at >= SEEN_EVERY {
            self.0.activity.seen(session.id);
        }
        Ok(SignedIn {
            user,
            session_id: session.id,
        })
    }
}

impl Outcome {
    /// What a failure about an account counts as.
    fn of(error: &users::Error) -> Self {
        match error {
            users::Error::Hash(_) | users::Error::Database(_) => Self::Failed,
            _ => Self::Refused,
        }
    }
}

impl Error {
    /// What it counts as.
    fn outcome(&self) -> Outcome {
        match self {
            Self::Users(error) => Outcome::of(error),
            Self::Limits(limits::Error::Source(_) | limits::Error::Account(_)) => Outcome::Limited,
            Self::Limits(limits::Error::Uncounted(_)) | Self::Database(_) => Outcome::Failed,
            _ => Outcome::Refused,
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth")
    }
}
