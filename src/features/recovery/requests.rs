//! Opening requests inside the transactions they belong to: what identity's flows call. Nothing here sends a mail; jobs do.

use std::{sync::Arc, time::Duration};

use chassis_postgres::{Database, WriteExecutor};
use futures_util::future::FutureExt;
use time::OffsetDateTime;

use super::{
    RecoverySettings,
    jobs::{Forgotten, Notice, NoticeKind, Registered, SendLink},
    request::Purpose,
    settings::Mode,
    tables,
};
use crate::{
    features::{
        identity::{
            Change, Email, Error, Event, Flows, Observer, PasswordHash, Registration, User, UserId,
            WriteTransaction,
            event::{Actor, Hook},
        },
        jobs::{EnqueueError, Job, Jobs},
    },
    shared::clock::Clock,
};

/// How long after its answer the account of a forgotten password is looked for, at most.
///
/// An account that exists has a link made and mailed, and whoever asks something at that moment waits a little longer:
/// right after the answer, that told which addresses have one (`loadtest/siege mail`).
const LOOK_UP_WITHIN: Duration = Duration::from_millis(1500);

fn some_time() -> Duration {
    let mut random = [0; 2];
    getrandom::fill(&mut random).expect("the system has randomness");
    LOOK_UP_WITHIN * u32::from(u16::from_le_bytes(random)) / u32::from(u16::MAX)
}

/// Opens requests; clones share everything.
#[derive(Clone)]
pub struct MailRequests(Arc<Parts>);

/// What [`MailRequests`] is made of.
pub struct Parts {
    /// Where requests are.
    pub database: Database,
    /// What sends the mail.
    pub jobs: Jobs,
    /// How long links are good for, and what depends on a proven address.
    pub settings: RecoverySettings,
    /// Whether mail goes anywhere.
    pub sends_mail: bool,
    /// The time.
    pub clock: Clock,
}

impl MailRequests {
    /// Over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(super) fn settings(&self) -> &RecoverySettings {
        &self.0.settings
    }

    pub(super) fn sends_mail(&self) -> bool {
        self.0.sends_mail
    }

    pub(super) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.0.clock.now()
    }

    /// Lets the worker of this process look for jobs now: after a commit.
    pub(super) fn wake(&self) {
        self.0.jobs.wake();
    }

    /// Opens a request, or finds the open one, and has its link sent when the transaction is committed.
    pub(super) async fn open(
        &self,
        transaction: &impl WriteExecutor,
        user: UserId,
        purpose: Purpose,
        new_email: Option<&Email>,
    ) -> Result<(), Error> {
        let (now, lifetime) = (self.now(), self.settings().lifetime(purpose));
        let new_email = new_email.map(Email::as_str);
        let opened =
            tables::mail_requests::open(transaction, user, purpose, new_email, now, now + lifetime);
        let request = opened.await?;
        self.enqueue(transaction, &SendLink { request }).await
    }

    /// Has a notice sent when the transaction is committed.
    pub(super) async fn notify(
        &self,
        transaction: &impl WriteExecutor,
        notice: Notice,
    ) -> Result<(), Error> {
        self.enqueue(transaction, &notice).await
    }

    /// Takes note that somebody forgot the password of this address, whether or not it has an account.
    ///
    /// The job that finds out is due some time later, nobody knows when ([`LOOK_UP_WITHIN`]).
    pub(super) async fn note_forgotten(&self, email: &Email) -> Result<(), Error> {
        let transaction = self.database().begin().await?;
        let now = self.now();
        let kept = tables::recovery_requests::insert(&transaction, email.as_str(), None, now);
        let request = kept.await?;
        let job = Forgotten { request };
        self.enqueue_in(&transaction, &job, some_time()).await?;
        Ok(transaction.commit().await?)
    }

    async fn note_registration(&self, email: Email, hash: PasswordHash) -> Result<(), Error> {
        let transaction = self.database().begin().await?;
        let (now, hash) = (self.now(), Some(hash.as_str()));
        let kept = tables::recovery_requests::insert(&transaction, email.as_str(), hash, now);
        let request = kept.await?;
        self.enqueue(&transaction, &Registered { request }).await?;
        transaction.commit().await?;
        self.wake();
        Ok(())
    }

    async fn enqueue(&self, transaction: &impl WriteExecutor, job: &impl Job) -> Result<(), Error> {
        self.enqueue_in(transaction, job, Duration::ZERO).await
    }

    async fn enqueue_in(
        &self,
        transaction: &impl WriteExecutor,
        job: &impl Job,
        delay: Duration,
    ) -> Result<(), Error> {
        match self.0.jobs.enqueue_in(transaction, job, delay).await {
            Ok(_) => Ok(()),
            Err(EnqueueError::Database(error)) => Err(error.into()),
            Err(error) => Err(Error::Failed(error.into())),
        }
    }

    /// The flows of accounts as this feature changes them. Without mail nothing but closed registration.
    #[must_use]
    pub fn join(&self, mut flows: Flows) -> Flows {
        let later = self.clone();
        let registration = match self.settings().registration {
            Mode::Open => Registration::Open,
            Mode::Closed => Registration::Closed,
            Mode::Neutral => Registration::Neutral(Arc::new(move |email, hash, _| {
                let requests = later.clone();
                async move { requests.note_registration(email, hash).await }.boxed()
            })),
        };
        let requests = self.clone();
        let confirm: crate::features::identity::ConfirmEmail =
            Arc::new(move |transaction, user: &User, email| {
                let requests = requests.clone();
                let id = user.id;
                async move {
                    let purpose = Purpose::Change;
                    requests.open(transaction, id, purpose, Some(email)).await
                }
                .boxed()
            });
        let admit: crate::features::identity::Admit = Arc::new(|transaction, user| {
            async move {
                if tables::accounts::is_verified(transaction, user.id).await? {
                    return Ok(());
                }
                Err(Error::EmailUnverified)
            }
            .boxed()
        });
        flows.admit = self.settings().require_verified.then_some(admit);
        flows.confirm_email = self.sends_mail().then_some(confirm);
        flows.registration = registration;
        flows
    }

    /// The observer of events, which opens requests and enqueues jobs inside their transactions.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let requests = self.clone();
        Arc::new(move |transaction, event| {
            let requests = requests.clone();
            async move { requests.observe(transaction, event).await }.boxed()
        })
    }

    /// The hook that wakes those jobs: mail about an event should not wait for the next look at the queue.
    #[must_use]
    pub fn hook(&self) -> Hook {
        let requests = self.clone();
        Arc::new(move |event| requests.committed(event))
    }

    async fn observe(&self, transaction: &WriteTransaction, event: &Event) -> Result<(), Error> {
        if let (Change::UserCreated { user, .. }, Actor::Operator) = (&event.change, event.actor) {
            // Who runs the service vouches for the address.
            tables::accounts::set_verified(transaction, *user, self.now()).await?;
            return Ok(());
        }
        if !self.sends_mail() {
            return Ok(());
        }
        match &event.change {
            Change::UserCreated { user, .. } => {
                self.open(transaction, *user, Purpose::Verify, None).await
            }
            Change::PasswordChanged { user, .. } => {
                tables::mail_requests::delete_open(transaction, *user).await?;
                let kind = NoticeKind::PasswordChanged;
                self.notify(transaction, Notice { user: *user, kind }).await
            }
            Change::EmailChanged { user, before, .. } => {
                tables::mail_requests::delete_open(transaction, *user).await?;
                let (now, before) = (self.now(), before.as_str());
                let kept = tables::recovery_requests::insert(transaction, before, None, now);
                let kind = NoticeKind::EmailChanged {
                    before: kept.await?,
                };
                self.notify(transaction, Notice { user: *user, kind }).await
            }
            Change::SessionOpened {
                user,
                session,
                from_new_network,
            } => {
                let (user, session) = (*user, *session);
                let is_new =
                    tables::accounts::is_new_client(transaction, user, session, *from_new_network);
                if !is_new.await? {
                    return Ok(());
                }
                let kind = NoticeKind::NewSignIn { session };
                let noticed = self.notify(transaction, Notice { user, kind });
                // Without a queue people sign in all the same.
                if let Err(error) = transaction.attempt(noticed).await? {
                    let error = chassis_telemetry::chain(&error);
                    tracing::warn!(error, "notice_not_enqueued");
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn committed(&self, event: &Event) {
        let has_mail = matches!(
            event.change,
            Change::UserCreated { .. }
                | Change::PasswordChanged { .. }
                | Change::EmailChanged { .. }
        );
        if has_mail && self.sends_mail() {
            self.wake();
        }
    }
}

/// How long what jobs look at later is kept: as long as dead jobs usually are, so that an operator can have them tried again.
pub(super) const KEEP: Duration = Duration::from_hours(24 * 31);
