//! What `identity` asks for.

use std::{collections::HashSet, sync::Arc};

use chassis_http::RequestContext;
use chassis_postgres::Database;
use futures_util::future::{BoxFuture, FutureExt};
use http::{HeaderMap, HeaderValue, Method, header};
use time::{Duration, OffsetDateTime};

use super::{
    CookieSettings,
    cookie::{CookieFormat, CookieValue, Sent},
    origin::Origins,
    settings::Surroundings,
    tables::session_cookies,
};
use crate::{
    features::identity::{
        self, Activity, ActivityWriter, BrowserSessions, Change, Credential, Error, Flows,
        LiveSession, Principal, Revocation, SEEN_EVERY, Session, SessionId, UserId,
        WriteTransaction,
    },
    shared::clock::Clock,
};

/// How long an answer waits for what decides whether it renews its cookie.
const RENEWAL_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// Sessions of browsers; clones share everything.
#[derive(Clone)]
pub struct Cookies(Arc<Inner>);

/// What [`Cookies`] is made of.
pub struct Parts<'a> {
    /// Where sessions are.
    pub database: Database,
    /// The cookie.
    pub settings: &'a CookieSettings,
    /// What it depends on.
    pub around: Surroundings<'a>,
    /// The origin that clients reach the service at.
    pub origin: &'a str,
    /// The origins that may call the API.
    pub allowed_origins: &'a [HeaderValue],
    /// How long a session lasts without being used.
    pub idle: std::time::Duration,
    /// The time.
    pub clock: Clock,
}

struct Inner {
    database: Database,
    format: CookieFormat,
    origins: Origins,
    idle: Duration,
    activity: Activity,
    clock: Clock,
}

impl Cookies {
    /// Over these parts, with the task that writes which sessions are in use. `None` where cookies are switched off.
    ///
    /// # Panics
    ///
    /// When the origin has characters that no header has: [`PublicUrl`](crate::shared::PublicUrl) has none.
    #[must_use]
    pub fn new(parts: Parts<'_>) -> Option<(Self, ActivityWriter)> {
        if !parts.settings.is_on {
            return None;
        }
        let idle = Duration::try_from(parts.idle).unwrap_or(Duration::MAX);
        let (activity, writer) =
            identity::activity_channel(Arc::new(move |statement, ids, now| {
                session_cookies::touch(statement, ids, now, idle).boxed()
            }));
        let is_secure = parts.settings.is_secure(parts.around);
        let inner = Inner {
            database: parts.database,
            format: CookieFormat::new(is_secure, parts.settings.same_site),
            origins: Origins {
                own: HeaderValue::from_str(parts.origin).expect("an origin is ASCII"),
                allowed: parts.allowed_origins.to_vec(),
            },
            idle,
            activity,
            clock: parts.clock,
        };
        Some((Self(Arc::new(inner)), writer))
    }

    /// The flows of accounts, where a cookie may hold a session.
    #[must_use]
    pub fn join(&self, flows: Flows) -> Flows {
        let browsers = Some(Arc::new(self.clone()) as _);
        Flows { browsers, ..flows }
    }

    /// The cookie's name.
    #[must_use]
    pub fn cookie_name(&self) -> &'static str {
        self.0.format.name()
    }
}

impl Inner {
    /// Whether the request may be listened to, and its cookie.
    fn cookie_of(&self, context: &RequestContext, headers: &HeaderMap) -> Result<Sent, Error> {
        match self.format.find(headers) {
            Sent::Several => Err(Error::AmbiguousCookie),
            Sent::Nothing => Ok(Sent::Nothing),
            sent if self.origins.admit(&context.method, headers) => Ok(sent),
            _ => Err(Error::CrossSite),
        }
    }

    async fn authenticate(
        &self,
        context: &RequestContext,
        headers: &HeaderMap,
    ) -> Result<Option<Principal>, Error> {
        let value = match self.cookie_of(context, headers)? {
            Sent::Nothing => return Ok(None),
            Sent::One(value) => value,
            Sent::Unknown | Sent::Several => return Err(Error::InvalidAccessToken),
        };
        let (hash, now) = (value.hash(), self.clock.now());
        let reads = self.database.read_pool();
        if let Some(found) = session_cookies::find(reads, &hash, now).await? {
            self.note_use(context, &found.session, &value, hash, now);
            let authenticated_at = Some(found.authenticated_at);
            return Ok(Some(principal(found, hash, authenticated_at)));
        }
        if matches!(context.method, Method::GET | Method::HEAD)
            && let Some(found) = session_cookies::find_previous(reads, &hash, now).await?
        {
            // It does not know the password that replaced it.
            return Ok(Some(principal(found, hash, None)));
        }
        Err(Error::InvalidAccessToken)
    }

    /// Has it written that a session is in use, and renews its cookie once a tenth of its life has passed.
    fn note_use(
        &self,
        context: &RequestContext,
        session: &Session,
        value: &CookieValue,
        hash: [u8; 32],
        now: OffsetDateTime,
    ) {
        let until = session.ends_at.min(now + self.idle);
        let is_renewed = until - session.expires_at >= self.idle / 10;
        if is_renewed {
            let cookie = self.format.set(value, until - now);
            context.add_response_header(header::SET_COOKIE, cookie, self.is_current(hash, now));
        }
        if is_renewed || now - session.last_used_at >= SEEN_EVERY {
            self.activity.seen(*session.id.as_uuid());
        }
    }

    /// Whether the value is still that of a session: one that was replaced meanwhile, by another tab, must not come back.
    fn is_current(
        &self,
        hash: [u8; 32],
        now: OffsetDateTime,
    ) -> impl Future<Output = bool> + Send + 'static {
        let database = self.database.clone();
        async move {
            let found = session_cookies::find(database.read_pool(), &hash, now);
            // Where it cannot be told in time, a later request renews the cookie.
            let found = tokio::time::timeout(RENEWAL_WAIT, found).await;
            matches!(found, Ok(Ok(Some(_))))
        }
    }

    async fn end(
        &self,
        transaction: &mut WriteTransaction,
        headers: &HeaderMap,
    ) -> Result<(), Error> {
        let Sent::One(value) = self.format.find(headers) else {
            return Ok(());
        };
        let (hash, now, reason) = (value.hash(), self.clock.now(), Revocation::Replaced);
        let ended = session_cookies::end(transaction, &hash, now, reason.as_str()).await?;
        if let Some((session, user)) = ended {
            let change = Change::SessionRevoked { user, session };
            transaction.emit(change).await?;
        }
        Ok(())
    }

    async fn begin(
        &self,
        transaction: &WriteTransaction,
        session: &Session,
    ) -> Result<HeaderValue, Error> {
        let value = CookieValue::generate();
        session_cookies::set(transaction, session.id, &value.hash()).await?;
        let lifetime = session.expires_at - self.clock.now();
        Ok(self.format.set(&value, lifetime))
    }

    async fn change(
        &self,
        transaction: &WriteTransaction,
        session: SessionId,
    ) -> Result<HeaderValue, Error> {
        let value = CookieValue::generate();
        let expires_at = session_cookies::change(transaction, session, &value.hash()).await?;
        Ok(self.format.set(&value, expires_at - self.clock.now()))
    }
}

fn principal(
    found: LiveSession,
    hash: [u8; 32],
    authenticated_at: Option<OffsetDateTime>,
) -> Principal {
    Principal {
        user: found.user,
        credential: Credential::Cookie {
            session: found.session.id,
            hash,
        },
        authenticated_at,
    }
}

impl BrowserSessions for Cookies {
    fn check(&self, context: &RequestContext, headers: &HeaderMap) -> Result<(), Error> {
        self.0.cookie_of(context, headers)?;
        let is_admitted = self.0.origins.admit(&context.method, headers);
        is_admitted.then_some(()).ok_or(Error::CrossSite)
    }

    fn authenticate<'a>(
        &'a self,
        context: &'a RequestContext,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Result<Option<Principal>, Error>> {
        self.0.authenticate(context, headers).boxed()
    }

    fn is_current<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        session: SessionId,
        hash: [u8; 32],
    ) -> BoxFuture<'a, Result<bool, Error>> {
        async move { Ok(session_cookies::is_current(transaction, session, &hash).await?) }.boxed()
    }

    fn end<'a>(
        &'a self,
        transaction: &'a mut WriteTransaction,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.0.end(transaction, headers).boxed()
    }

    fn begin<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<HeaderValue, Error>> {
        self.0.begin(transaction, session).boxed()
    }

    fn change<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        session: SessionId,
    ) -> BoxFuture<'a, Result<HeaderValue, Error>> {
        self.0.change(transaction, session).boxed()
    }

    fn held_by_cookie(&self, user: UserId) -> BoxFuture<'_, Result<HashSet<SessionId>, Error>> {
        let reader = self.0.database.reader();
        async move { Ok(session_cookies::held_by_cookie(&reader, user).await?) }.boxed()
    }

    fn forget(&self) -> HeaderValue {
        self.0.format.forget()
    }
}
