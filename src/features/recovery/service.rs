//! The handle of this feature: links, and the proof that their tokens are.

use std::sync::Arc;

use chassis_http::{Problem, ValidationError, ValidationErrors};
use chassis_postgres::ReadExecutor;
use futures_util::future::BoxFuture;
use secrecy::SecretString;

use super::{
    MailRequests,
    problems::{MAIL_OFF, TOKEN_INVALID},
    request::{OpenRequest, Purpose},
    tables,
    token::{SentToken, TokenKeys},
};
use crate::features::{
    identity::{
        Attempt, Auth, AuthSettings, Caller, ClientInfo, Error, Locks, SessionId, User, UserId,
        WriteTransaction,
    },
    jobs::JobError,
    mail::Mail,
};

/// Links in mails, and what they are good for; clones share everything.
#[derive(Clone)]
pub struct Recovery {
    inner: Arc<Inner>,
    remaining: Option<Remaining>,
}

struct Inner {
    requests: MailRequests,
    auth: Auth,
    mail: Mail,
    keys: TokenKeys,
    /// The address of the built-in pages.
    origin: String,
}

/// What still acts for an account after its password was changed, besides the session that changed it: a line for each.
pub type Remaining =
    Arc<dyn Fn(UserId) -> BoxFuture<'static, Result<Vec<String>, JobError>> + Send + Sync>;

impl Recovery {
    /// Over these parts. `origin` is where clients reach the service: links lead there when no page is configured.
    #[must_use]
    pub fn new(
        requests: MailRequests,
        auth: Auth,
        mail: Mail,
        settings: &AuthSettings,
        origin: String,
    ) -> Self {
        let secrets = settings.secret.iter().chain(&settings.previous_secrets);
        let inner = Arc::new(Inner {
            requests,
            auth,
            mail,
            keys: TokenKeys::new(secrets),
            origin,
        });
        Self {
            inner,
            remaining: None,
        }
    }

    /// The same, whose notice of a changed password says what still acts for the account.
    #[must_use]
    pub fn with_remaining(self, remaining: Remaining) -> Self {
        Self {
            remaining: Some(remaining),
            ..self
        }
    }

    /// What still acts for this account.
    pub(super) async fn remaining(&self, user: UserId) -> Result<Vec<String>, JobError> {
        match &self.remaining {
            Some(remaining) => remaining(user).await,
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn requests(&self) -> &MailRequests {
        &self.inner.requests
    }

    pub(super) fn auth(&self) -> &Auth {
        &self.inner.auth
    }

    pub(super) fn mail(&self) -> &Mail {
        &self.inner.mail
    }

    /// The link of a request. The token is a fragment, which is sent to no server: following the link does nothing yet, so
    /// a program that follows all links in a mail does no harm.
    pub(super) fn link(&self, purpose: Purpose, request: &OpenRequest) -> String {
        let inner = &self.inner;
        let token = inner.keys.token(purpose, request);
        if let Some(page) = inner.requests.settings().page(purpose) {
            return format!("{}#token={token}", page.as_str());
        }
        let page = match purpose {
            Purpose::Verify => "verify",
            Purpose::Reset => "reset",
            Purpose::Change => "email",
        };
        format!("{}/account/{page}#token={token}", inner.origin)
    }

    /// Refuses what takes mail where none is sent.
    pub(super) fn require_mail(&self) -> Result<(), Problem> {
        if self.requests().sends_mail() {
            return Ok(());
        }
        Err(Problem::new(&MAIL_OFF, "this service sends no mail"))
    }

    /// The open request that a token stands for, seen without a lock.
    pub(super) async fn find(&self, token: &str, purpose: Purpose) -> Result<OpenRequest, Problem> {
        let reader = self.requests().database().reader();
        self.find_in(&reader, token, purpose).await
    }

    /// The same inside a transaction that has locked the account.
    pub(super) async fn find_in(
        &self,
        db: &impl ReadExecutor,
        token: &str,
        purpose: Purpose,
    ) -> Result<OpenRequest, Problem> {
        let sent = SentToken::parse(token).ok_or_else(token_invalid)?;
        let now = self.requests().now();
        let found = tables::mail_requests::find_open(db, sent.id, now).await;
        match found.map_err(Error::from)? {
            Some((found, request))
                if found == purpose && self.inner.keys.verify(&sent, purpose, &request) =>
            {
                Ok(request)
            }
            _ => Err(token_invalid()),
        }
    }

    /// Completes a request, in a transaction that has locked its account.
    pub(super) async fn complete(
        &self,
        transaction: &WriteTransaction,
        request: &OpenRequest,
    ) -> Result<(), Problem> {
        let now = self.requests().now();
        let completed = tables::mail_requests::complete(transaction, request.id, now).await;
        if completed.map_err(Error::from)? {
            return Ok(());
        }
        Err(token_invalid())
    }

    /// Begins the transaction of somebody who reads the mail of an account and also proves to be its owner: signed in to it,
    /// or by its password.
    ///
    /// The link alone proves the mailbox. Somebody can register with the address of a stranger, who then follows the link,
    /// and would have verified an account that is not theirs.
    pub(super) async fn begin_for_owner(
        &self,
        token: &str,
        purpose: Purpose,
        proof: OwnerProof,
        locks: Locks,
    ) -> Result<(OpenRequest, Owner, WriteTransaction), Problem> {
        let seen = self.find(token, purpose).await?;
        let own = proof.caller.filter(|caller| caller.user_id() == seen.user);
        let session = own.as_ref().and_then(Caller::session_id);
        let (user, transaction) = match (own, proof.password) {
            (Some(caller), _) => {
                let (principal, transaction) = caller.begin(locks).await?;
                (principal.user, transaction)
            }
            (None, Some(password)) => {
                let auth = self.auth();
                let verified = auth.verify_password_of(seen.user, &proof.client, password);
                let verified = verified.await;
                let attempt = match purpose {
                    Purpose::Verify => Attempt::EmailVerify,
                    Purpose::Change => Attempt::EmailChange,
                    Purpose::Reset => Attempt::PasswordChange,
                };
                let verified = auth.note_refusal(attempt, Some(seen.user), None, verified);
                let verified = verified.map_err(gone)?;
                let begun = auth.begin_for_proof(seen.user, locks, proof.client).await?;
                let (user, transaction) = begun.ok_or_else(token_invalid)?;
                verified.check_under_lock(&transaction).await?;
                (user, transaction)
            }
            (None, None) => {
                let mut errors = ValidationErrors::new();
                errors.check("/password", Err::<(), _>(PasswordNeeded));
                return Err(errors.into());
            }
        };
        if !user.is_active {
            return Err(token_invalid());
        }
        let request = self.find_in(&transaction, token, purpose).await?;
        Ok((request, Owner { user, session }, transaction))
    }
}

/// The owner of an account, and the session by which that was proven.
pub(super) struct Owner {
    pub(super) user: User,
    pub(super) session: Option<SessionId>,
}

/// How somebody proves to be the owner of an account, besides the link.
pub(super) struct OwnerProof {
    pub(super) caller: Option<Caller>,
    pub(super) password: Option<SecretString>,
    pub(super) client: ClientInfo,
}

/// The account went after its link was seen.
fn gone(error: Error) -> Problem {
    match error {
        Error::InvalidAccessToken => token_invalid(),
        error => error.into(),
    }
}

pub(super) fn token_invalid() -> Problem {
    Problem::new(
        &TOKEN_INVALID,
        "the link is not good any more: it was used, it expired, or the account changed",
    )
}

#[derive(Debug)]
struct PasswordNeeded;

impl ValidationError for PasswordNeeded {
    fn code(&self) -> &'static str {
        "required"
    }

    fn detail(&self) -> std::borrow::Cow<'static, str> {
        "the account's password, unless you are signed in to it: the link alone shows who reads the mail".into()
    }
}
