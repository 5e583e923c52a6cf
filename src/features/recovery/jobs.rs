//! The jobs: whatever sends a mail, and the look-ups whose outcome no answer may tell.
//!
//! Each may run twice. One that only writes deletes what it was asked in its transaction, so a second run finds nothing. One
//! that sends has a Message-ID of its own, so a mail that comes twice is recognisable.

use std::time::Duration;

use minijinja::context;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc2822;
use uuid::Uuid;

use super::{
    Recovery,
    mailbox::{self, Counted},
    request::{MailRequestId, Purpose},
    requests::KEEP,
    tables, templates,
};
use crate::features::{
    identity::{ClientInfo, Email, Error, PasswordHash, SessionId, UserId},
    jobs::{Handlers, Job, JobError, Priority, Rule, Run},
    mail::{Message, SendError, Template},
};

/// Sends the link of a request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SendLink {
    pub(super) request: MailRequestId,
}

/// How often and how late a message is tried that a mail server did not take: about a day, because servers are out for hours.
/// A person waits for it, so it leaves soon after the server is back.
const MAX_ATTEMPTS: u32 = 150;
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Longer than `MAIL_TIMEOUT_MS` can be.
const TIMEOUT: Duration = Duration::from_mins(6);

impl Job for SendLink {
    const KIND: &'static str = "recovery.send_link";
    const PRIORITY: Priority = Priority::High;
    const TIMEOUT: Duration = TIMEOUT;
    const MAX_ATTEMPTS: u32 = MAX_ATTEMPTS;
    const LONGEST_WAIT: Duration = LONGEST_WAIT;

    fn unique_key(&self) -> Option<String> {
        Some(self.request.to_string())
    }
}

/// Finds out whether an address has an account whose password can be forgotten.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Forgotten {
    pub(super) request: Uuid,
}

impl Job for Forgotten {
    const KIND: &'static str = "recovery.forgotten";
    const PRIORITY: Priority = Priority::High;
}

/// Makes the account of a registration that was answered before.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Registered {
    pub(super) request: Uuid,
}

impl Job for Registered {
    const KIND: &'static str = "recovery.registered";
    const PRIORITY: Priority = Priority::High;
}

/// Tells the owner of an account what happened to it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) user: UserId,
    pub(super) kind: NoticeKind,
}

/// What a notice is about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NoticeKind {
    /// Somebody wanted to register with the address of the account.
    AlreadyRegistered,
    /// It has another password.
    PasswordChanged,
    /// It has another address; the one before is kept under this id, and is told.
    EmailChanged { before: Uuid },
    /// Somebody signed in by a program or from an address that the account has not been used by.
    NewSignIn { session: SessionId },
}

impl Job for Notice {
    const KIND: &'static str = "recovery.notice";
    const TIMEOUT: Duration = TIMEOUT;
    const MAX_ATTEMPTS: u32 = MAX_ATTEMPTS;
    const LONGEST_WAIT: Duration = LONGEST_WAIT;
}

/// Deletes what is over.
#[derive(Debug, Serialize, Deserialize)]
struct Sweep {}

impl Job for Sweep {
    const KIND: &'static str = "recovery.sweep";
    const PRIORITY: Priority = Priority::Low;
    const TIMEOUT: Duration = Duration::from_mins(10);

    fn unique_key(&self) -> Option<String> {
        Some(String::new())
    }
}

/// Registers the jobs of this feature. Where no mail is sent there are none: what is left of a time when there was some waits for a
/// replica that sends it, instead of failing here.
pub fn register(handlers: &mut Handlers, recovery: &Recovery) {
    if !recovery.requests().sends_mail() {
        return;
    }
    let handle = recovery.clone();
    handlers.register(move |job: SendLink, run| send_link(handle.clone(), job, run));
    let handle = recovery.clone();
    handlers.register(move |job: Forgotten, _| forgotten(handle.clone(), job));
    let handle = recovery.clone();
    handlers.register(move |job: Registered, _| registered(handle.clone(), job));
    let handle = recovery.clone();
    handlers.register(move |job: Notice, run| notice(handle.clone(), job, run));
    let handle = recovery.clone();
    handlers.register(move |_: Sweep, _| sweep(handle.clone()));
    let hourly = Rule::every(Duration::from_hours(1)).at(Duration::from_mins(20));
    handlers.schedule("recovery.sweep", hourly, Sweep {});
}

async fn send_link(recovery: Recovery, job: SendLink, run: Run) -> Result<(), JobError> {
    let (requests, now) = (recovery.requests(), recovery.requests().now());
    let reader = requests.database().reader();
    let found = tables::mail_requests::find_to_mail(&reader, job.request, now).await?;
    // It was used meanwhile, or nobody needs it any more.
    let Some((purpose, mut request)) = found else {
        return Ok(());
    };
    let counted = match purpose {
        Purpose::Verify | Purpose::Reset => Counted::OwnLink,
        Purpose::Change => Counted::Other,
    };
    let address = request.mailbox();
    if !request.may_be_mailed(now) || !mailbox::admits(&recovery, run, counted, address).await? {
        return Ok(());
    }
    let is_taken = match &request.new_email {
        Some(new) => tables::accounts::is_taken(&reader, new, request.user).await?,
        None => false,
    };
    let template = match purpose {
        Purpose::Verify => &templates::VERIFY_ADDRESS,
        Purpose::Reset => &templates::RESET_PASSWORD,
        Purpose::Change if is_taken => &templates::ADDRESS_TAKEN,
        Purpose::Change => &templates::CONFIRM_ADDRESS,
    };
    if request.mails == 0 {
        // However long the mail server was out, the link is good for as long as the settings say.
        request.expires_at = now + requests.settings().lifetime(purpose);
        let connection = requests.database().connection().await?;
        if !tables::mail_requests::begin(&connection, request.id, request.expires_at).await? {
            return Ok(());
        }
    }
    let context = context! {
        link => recovery.link(purpose, &request),
        address => request.mailbox(),
        expires => date(request.expires_at),
    };
    send(&recovery, run, request.mailbox(), template, context).await?;
    let connection = requests.database().connection().await?;
    tables::mail_requests::note_mail(&connection, request.id, now).await?;
    Ok(())
}

async fn forgotten(recovery: Recovery, job: Forgotten) -> Result<(), JobError> {
    let requests = recovery.requests();
    let reader = requests.database().reader();
    let kept = tables::recovery_requests::find(&reader, job.request).await?;
    let Some((address, _)) = kept else {
        return Ok(());
    };
    let email = Email::parse(&address).map_err(JobError::permanent)?;
    let user = match recovery.auth().find_by_email(&email).await {
        Ok(user) => Some(user).filter(|user| user.is_active),
        Err(Error::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    let transaction = requests.database().begin().await?;
    if !tables::recovery_requests::delete(&transaction, job.request).await? {
        return Ok(());
    }
    if let Some(user) = user {
        let opened = requests.open(&transaction, user.id, Purpose::Reset, None);
        opened.await?;
    }
    transaction.commit().await?;
    requests.wake();
    Ok(())
}

async fn registered(recovery: Recovery, job: Registered) -> Result<(), JobError> {
    let (auth, requests) = (recovery.auth(), recovery.requests());
    let reader = requests.database().reader();
    let kept = tables::recovery_requests::find(&reader, job.request).await?;
    let Some((address, Some(hash))) = kept else {
        return Ok(());
    };
    let email = Email::parse(&address).map_err(JobError::permanent)?;
    let mut transaction = auth.begin_registration(ClientInfo::default()).await?;
    if !tables::recovery_requests::delete(&transaction, job.request).await? {
        return Ok(());
    }
    let hash = PasswordHash::new(hash);
    match auth
        .add_registered(&mut transaction, email.clone(), &hash)
        .await
    {
        Ok(_) => return Ok(transaction.commit().await?),
        Err(Error::EmailTaken) => drop(transaction),
        Err(error) => return Err(error.into()),
    }
    let user = auth.find_by_email(&email).await?.id;
    let transaction = requests.database().begin().await?;
    if tables::recovery_requests::delete(&transaction, job.request).await? {
        let kind = NoticeKind::AlreadyRegistered;
        requests.notify(&transaction, Notice { user, kind }).await?;
    }
    transaction.commit().await?;
    requests.wake();
    Ok(())
}

async fn notice(recovery: Recovery, job: Notice, run: Run) -> Result<(), JobError> {
    let requests = recovery.requests();
    let reader = requests.database().reader();
    let user = match recovery.auth().find(job.user).await {
        Ok(user) => user,
        // Nobody is left to be told.
        Err(Error::NotFound) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let address = user.email.as_str();
    match job.kind {
        NoticeKind::AlreadyRegistered => {
            if !mailbox::admits(&recovery, run, Counted::Other, address).await? {
                return Ok(());
            }
            let template = &templates::ALREADY_REGISTERED;
            send(&recovery, run, address, template, context! { address }).await
        }
        NoticeKind::PasswordChanged => {
            let template = &templates::PASSWORD_CHANGED;
            let remaining = recovery.remaining(user.id).await?;
            let context = context! { address, remaining };
            send(&recovery, run, address, template, context).await
        }
        NoticeKind::EmailChanged { before } => {
            let Some((old, _)) = tables::recovery_requests::find(&reader, before).await? else {
                return Ok(());
            };
            let context = context! { address => old, new_address => address };
            send(&recovery, run, &old, &templates::ADDRESS_CHANGED, context).await?;
            let connection = requests.database().connection().await?;
            tables::recovery_requests::delete(&connection, before).await?;
            Ok(())
        }
        NoticeKind::NewSignIn { session } => {
            // Who signed out again at once is told of, too, with what the id says.
            let sign_in = tables::accounts::sign_in(&reader, session).await?;
            let at = sign_in
                .as_ref()
                .map_or_else(|| created(session), |it| it.at);
            let context = context! {
                address,
                at => date(at),
                ip => sign_in.as_ref().and_then(|it| it.address.clone()),
                client => sign_in.and_then(|it| it.user_agent),
            };
            send(&recovery, run, address, &templates::NEW_SIGN_IN, context).await
        }
    }
}

async fn send(
    recovery: &Recovery,
    run: Run,
    to: &str,
    template: &'static Template,
    context: minijinja::Value,
) -> Result<(), JobError> {
    let id = *run.id.as_uuid();
    let message = Message {
        id,
        to,
        template,
        context,
    };
    let sent = recovery.mail().send(message).await;
    sent.map_err(SendError::into_job_error)
}

/// How many rows go in one statement.
const AT_ONCE: i64 = 1_000;

async fn sweep(recovery: Recovery) -> Result<(), JobError> {
    let requests = recovery.requests();
    let (database, now) = (requests.database(), requests.now());
    let full = u64::try_from(AT_ONCE).unwrap_or(u64::MAX);
    loop {
        let connection = database.connection().await?;
        let over = tables::mail_requests::sweep(&connection, now, now - KEEP, AT_ONCE).await?;
        let kept = tables::recovery_requests::sweep(&connection, now - KEEP, AT_ONCE).await?;
        if over < full && kept < full {
            return Ok(());
        }
    }
}

/// When a session was opened: its id begins with the time (RFC 9562, section 5.7).
fn created(session: SessionId) -> time::OffsetDateTime {
    let (seconds, nanoseconds) = session
        .as_uuid()
        .get_timestamp()
        .map_or((0, 0), |at| at.to_unix());
    let at = time::Duration::new(seconds.cast_signed(), nanoseconds.cast_signed());
    time::OffsetDateTime::UNIX_EPOCH + at
}

/// A time for a person to read, in UTC, as mails write it.
fn date(at: time::OffsetDateTime) -> String {
    at.format(&Rfc2822).unwrap_or_else(|_| at.to_string())
}
