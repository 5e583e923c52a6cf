//! What sessions of browsers are to this feature: sessions whose credential is a cookie, which another feature has.

use std::collections::HashSet;

use chassis_http::RequestContext;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::reply::Response;

use super::{
    Auth, ClientInfo, Credential, Error, Principal, Session, SessionId, User, UserId,
    WriteTransaction, event::Attempt, guard::Incoming,
};

/// Sessions of browsers.
pub trait BrowserSessions: Send + Sync {
    /// Whether a browser may have this request sent with its cookie: the method is safe, or a page sent it that may.
    ///
    /// # Errors
    ///
    /// [`Error::CrossSite`].
    fn check(&self, context: &RequestContext, headers: &HeaderMap) -> Result<(), Error>;

    /// The principal of the cookie that came with a request, after [`check`](Self::check). `None` without a cookie.
    ///
    /// # Errors
    ///
    /// [`Error::CrossSite`]; [`Error::AmbiguousCookie`] when there are several; [`Error::InvalidAccessToken`] when it is not good,
    /// or not for this method.
    fn authenticate<'a>(
        &'a self,
        context: &'a RequestContext,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Result<Option<Principal>, Error>>;

    /// Whether this is still the cookie of the session, which the transaction has locked.
    fn is_current<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        session: SessionId,
        hash: [u8; 32],
    ) -> BoxFuture<'a, Result<bool, Error>>;

    /// Ends the session that the browser was in, before it gets another one.
    fn end<'a>(
        &'a self,
        transaction: &'a mut WriteTransaction,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Gives the session that was just opened a cookie.
    fn begin<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<HeaderValue, Error>>;

    /// Gives a session, which the transaction has locked, another cookie.
    fn change<'a>(
        &'a self,
        transaction: &'a WriteTransaction,
        session: SessionId,
    ) -> BoxFuture<'a, Result<HeaderValue, Error>>;

    /// The sessions of a user that are held by a cookie.
    fn held_by_cookie(&self, user: UserId) -> BoxFuture<'_, Result<HashSet<SessionId>, Error>>;

    /// Has the browser forget the cookie.
    fn forget(&self) -> HeaderValue;
}

/// How a session is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// By an access token and a refresh token, which the client keeps.
    #[default]
    Token,
    /// By a cookie, which the browser keeps and no script can read.
    Cookie,
}

impl Auth {
    /// Where sessions of browsers are, if there are any.
    fn browsers(&self) -> Result<&dyn BrowserSessions, Error> {
        let browsers = self.flows().browsers.as_deref();
        browsers.ok_or(Error::InvalidAccessToken)
    }

    /// The principal of the cookie that came with a request, and a note when another site had it sent.
    pub(super) async fn find_by_cookie(
        &self,
        request: &Incoming,
    ) -> Result<Option<Principal>, Error> {
        let found = self
            .browsers()?
            .authenticate(&request.context, &request.headers);
        let found = found.await;
        self.note_cross_site(found)
    }

    fn note_cross_site<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        match outcome {
            Err(error @ Error::CrossSite) => {
                self.note_refusal(Attempt::CrossSite, None, None, Err(error))
            }
            outcome => outcome,
        }
    }

    /// Refuses to have a browser signed in by the page of another site: it would act in the account of whoever made that page.
    pub(super) fn check_sign_in(&self, request: &Incoming) -> Result<(), Error> {
        let checked = self.browsers()?.check(&request.context, &request.headers);
        self.note_cross_site(checked)
    }

    /// Opens a session that is held by a cookie, and commits. Returns it with the header that sets the cookie.
    pub(super) async fn open_cookie_session(
        &self,
        mut transaction: WriteTransaction,
        user: &User,
        client: ClientInfo,
        request: &Incoming,
    ) -> Result<(Session, HeaderValue), Error> {
        let browsers = self.browsers()?;
        // First, or it would count when the oldest sessions beyond the limit end.
        browsers.end(&mut transaction, &request.headers).await?;
        let added = self.add_session(&mut transaction, user, client, None);
        let session = added.await?;
        let cookie = browsers.begin(&transaction, &session).await?;
        transaction.commit().await?;
        Ok((session, cookie))
    }

    /// Refuses a cookie that has been replaced, in a transaction that has locked its session.
    pub(super) async fn check_cookie(
        &self,
        transaction: &WriteTransaction,
        session: SessionId,
        hash: [u8; 32],
    ) -> Result<(), Error> {
        let checked = self.browsers()?.is_current(transaction, session, hash);
        checked
            .await?
            .then_some(())
            .ok_or(Error::InvalidAccessToken)
    }

    /// A response that also replaces the caller's cookie, if it has one: it proves more from now on.
    pub(super) async fn with_new_cookie(
        &self,
        transaction: &WriteTransaction,
        caller: &Principal,
        response: Response,
    ) -> Result<Response, Error> {
        let Credential::Cookie { session, .. } = caller.credential else {
            return Ok(response);
        };
        let cookie = self.browsers()?.change(transaction, session).await?;
        Ok(with_cookie(response, cookie))
    }

    /// A response that also has the caller's browser forget its cookie, if it has one: its session has ended.
    pub(super) fn without_cookie(&self, caller: Credential, response: Response) -> Response {
        match (caller, self.browsers()) {
            (Credential::Cookie { .. }, Ok(browsers)) => with_cookie(response, browsers.forget()),
            _ => response,
        }
    }
}

pub(super) fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}
