//! How each part is made from the settings and from the parts that it needs. [`App::build`](crate::app::App::build) says in
//! which order, and puts them together.

use chassis_http::RateLimitMetrics;
use chassis_postgres::{Database, DatabaseMetrics};
use chassis_telemetry::Tracing;
use prometheus::Registry;

// api_keys: begin
use crate::features::api_keys::{self, Keys};
// api_keys: end
// browser_sessions: begin
use crate::features::browser_sessions::{self, Cookies};
// browser_sessions: end
// jobs: begin
use crate::features::jobs::{self, Jobs};
// jobs: end
// mail: begin
use crate::features::mail::{self, Mail};
// mail: end
// recovery: begin
use crate::features::recovery::{self, MailRequests, Recovery};
// recovery: end
use crate::{
    features::{
        identity::{
            self, AccessTokens, ActivityWriter, Auth, AuthEvents, Flows, HashMetrics, Hasher,
            PasswordPolicy, SessionLifetimes, Subscribers,
        },
        limits::Limits,
        operations::{Lifecycle, Operations},
    },
    program::PROGRAM,
    settings::Settings,
    shared::clock::Clock,
};

/// What every part is built on.
pub(crate) struct Foundation<'a> {
    settings: &'a Settings,
    pub(crate) database: Database,
    // jobs: begin
    database_metrics: DatabaseMetrics,
    // jobs: end
    pub(crate) events: AuthEvents,
    pub(crate) registry: Registry,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) tracing: Tracing,
    pub(crate) clock: Clock,
}

impl<'a> Foundation<'a> {
    /// # Errors
    ///
    /// When the certificates to trust cannot be read.
    pub(crate) fn new(settings: &'a Settings, clock: Clock) -> anyhow::Result<Self> {
        let registry = chassis_telemetry::new_registry(PROGRAM.build);
        settings.telemetry.dropped_spans.register(&registry);
        let metrics = DatabaseMetrics::new(&registry);
        Ok(Self {
            settings,
            database: Database::new(&settings.database.options(), metrics.clone())?,
            // jobs: begin
            database_metrics: metrics,
            // jobs: end
            events: AuthEvents::new(&registry),
            registry,
            lifecycle: Lifecycle::default(),
            tracing: Tracing::new(&settings.telemetry),
            clock,
        })
    }

    pub(crate) fn limits(&self) -> Limits {
        let (database, clock) = (self.database.clone(), self.clock.clone());
        let metrics = RateLimitMetrics::new(&self.registry);
        Limits::new(&self.settings.limits, database, metrics, clock)
    }

    pub(crate) fn auth(
        &self,
        limits: &Limits,
        subscribers: Subscribers,
        flows: Flows,
    ) -> (Auth, ActivityWriter) {
        let (settings, (activity, writer)) = (self.settings, identity::session_activity());
        let auth = Auth::new(identity::Parts {
            database: self.database.clone(),
            hasher: Hasher::new(&settings.passwords, HashMetrics::new(&self.registry)),
            policy: PasswordPolicy::new(settings.passwords.min_length),
            limits: limits.clone(),
            tokens: AccessTokens::new(&settings.auth),
            activity,
            events: self.events.clone(),
            subscribers,
            flows,
            clock: self.clock.clone(),
            lifetimes: SessionLifetimes::from(&settings.auth),
        });
        (auth, writer)
    }

    pub(crate) fn operations(&self) -> Operations {
        Operations::new(
            self.database.clone(),
            self.lifecycle.clone(),
            self.registry.clone(),
            self.clock.clone(),
            self.settings.telemetry.service_name.clone(),
        )
    }

    // api_keys: begin
    pub(crate) fn keys(&self) -> (Keys, ActivityWriter) {
        let (activity, writer) = identity::activity_channel(api_keys::touch());
        let keys = Keys::new(api_keys::Parts {
            database: self.database.clone(),
            activity,
            overlap: self.settings.keys.overlap,
            clock: self.clock.clone(),
        });
        (keys, writer)
    }
    // api_keys: end

    // browser_sessions: begin
    pub(crate) fn cookies(&self) -> (Option<Cookies>, Option<ActivityWriter>) {
        let settings = self.settings;
        let cookies = Cookies::new(browser_sessions::Parts {
            database: self.database.clone(),
            settings: &settings.cookies,
            around: settings.around_cookies(),
            origin: &settings.origin(),
            allowed_origins: &settings.http.cors_allowed_origins,
            idle: settings.auth.session_idle_lifetime,
            clock: self.clock.clone(),
        });
        cookies.unzip()
    }
    // browser_sessions: end

    // jobs: begin
    pub(crate) fn jobs(&self) -> anyhow::Result<Jobs> {
        let jobs = Jobs::new(jobs::Parts {
            settings: self.settings.jobs.clone(),
            database: self.database.clone(),
            postgres: self.settings.database.options(),
            database_metrics: self.database_metrics.clone(),
            registry: &self.registry,
            tracing: self.tracing.clone(),
            clock: self.clock.clone(),
        });
        Ok(jobs?)
    }
    // jobs: end

    // mail: begin
    pub(crate) fn mail(&self) -> anyhow::Result<Mail> {
        Mail::new(mail::Parts {
            settings: &self.settings.mail,
            templates: &crate::app::templates(),
            registry: &self.registry,
            clock: self.clock.clone(),
        })
    }
    // mail: end

    // recovery: begin
    pub(crate) fn mail_requests(&self, jobs: &Jobs, mail: &Mail) -> MailRequests {
        MailRequests::new(recovery::Parts {
            database: self.database.clone(),
            jobs: jobs.clone(),
            settings: self.settings.recovery.clone(),
            sends_mail: mail.is_on(),
            clock: self.clock.clone(),
        })
    }

    pub(crate) fn recovery(&self, requests: MailRequests, auth: &Auth, mail: &Mail) -> Recovery {
        let (auth, mail) = (auth.clone(), mail.clone());
        let (secrets, origin) = (&self.settings.auth, self.settings.origin());
        Recovery::new(requests, auth, mail, secrets, origin)
    }
    // recovery: end
}
