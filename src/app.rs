//! The composition root: settings in, connected services out.
//!
//! Each part is made once, by its constructor, and handed to the parts that need it;
//! there are no globals and no container to ask. Building an [`App`] connects to
//! nothing, so that commands which only describe the service need no database.

use std::sync::Arc;

use chassis_http::{Endpoint, HttpMetrics, HttpOptions, RateLimitMetrics, Router};
use chassis_postgres::{Database, DatabaseMetrics};
use chassis_server::ServerMetrics;
use chassis_telemetry::{Incoming, Tracing};
use prometheus::Registry;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

// api_keys: begin
use crate::features::api_keys::{self, Keys};
// api_keys: end
use crate::{
    features::{
        api_docs::Documentation,
        browser_sessions::{self, Cookies},
        identity::{
            self, AccessTokens, ActivityWriter, Auth, AuthEvents, Flows, HashMetrics, Hasher,
            PasswordPolicy, SessionLifetimes, Subscribers,
        },
        jobs::{self, Handlers, Jobs},
        limits::{self, Limits},
        mail::{self, Mail, Template},
        operations::{Lifecycle, Operations},
        recovery::{self, MailRequests, Recovery},
    },
    program::PROGRAM,
    settings::Settings,
    shared::{PublicUrl, clock::Clock},
    tasks::Tasks,
};

/// Everything the service is made of. Nothing has connected to anything yet.
pub struct App {
    /// The database.
    pub database: Database,
    /// Accounts and sessions.
    pub auth: Auth,
    /// How often one may try.
    pub limits: Limits,
    /// Probes, version and metrics.
    pub operations: Operations,
    // api_keys: begin
    /// Keys of machines.
    pub keys: Keys,
    key_activity: ActivityWriter,
    // api_keys: end
    // jobs: begin
    /// Enqueues work that outlives a request.
    pub jobs: Jobs,
    /// What runs it, by kind.
    pub handlers: Handlers,
    // jobs: end
    // mail: begin
    /// Sends mail.
    pub mail: Mail,
    // mail: end
    // recovery: begin
    /// Links in mails.
    pub recovery: Recovery,
    // recovery: end
    /// The OpenAPI document and the types of problems.
    pub documentation: Documentation,
    /// Whether this replica accepts traffic.
    pub lifecycle: Lifecycle,
    /// The time.
    pub clock: Clock,
    /// Limits and headers of the routers.
    pub http_options: HttpOptions,
    /// Where clients reach the service.
    pub public_url: Option<PublicUrl>,
    /// Begins traces, and passes them on to the services that a feature calls.
    pub tracing: Tracing,
    http_metrics: HttpMetrics,
    /// What goes wrong below the requests.
    pub server_metrics: ServerMetrics,
    /// Whether `/metrics` has a port of its own.
    pub separate_metrics: bool,
    activity: ActivityWriter,
    // browser_sessions: begin
    /// Sessions of browsers, where they are switched on.
    pub cookies: Option<Cookies>,
    cookie_activity: Option<ActivityWriter>,
    // browser_sessions: end
    /// All metrics.
    pub registry: Registry,
}

impl App {
    /// Puts the parts together.
    ///
    /// # Errors
    ///
    /// When the certificates to trust cannot be read.
    pub fn build(settings: &Settings, clock: Clock) -> anyhow::Result<Self> {
        let registry = chassis_telemetry::new_registry(PROGRAM.build);
        settings.telemetry.dropped_spans.register(&registry);
        let metrics = DatabaseMetrics::new(&registry);
        let database = Database::new(&settings.database.options(), metrics.clone())?;
        let limits = new_limits(settings, &database, &registry, &clock);
        let (seen, activity) = identity::session_activity();
        // api_keys: begin
        let (keys, key_activity) = keys(settings, &database, &clock);
        // api_keys: end
        let tracing = Tracing::new(&settings.telemetry);
        // jobs: begin
        let jobs = new_jobs(settings, &database, metrics, &registry, &tracing, &clock)?;
        // jobs: end
        // mail: begin
        let mail = new_mail(settings, &registry, &clock)?;
        // mail: end
        // recovery: begin
        let requests = new_mail_requests(settings, &database, &jobs, &mail, &clock);
        // recovery: end
        // browser_sessions: begin
        let cookies = new_cookies(settings, &database, &clock);
        let (cookies, cookie_activity) = cookies.unzip();
        let browsers = cookies.clone();
        let browsers =
            browsers.map(|cookies| Arc::new(cookies) as Arc<dyn identity::BrowserSessions>);
        // browser_sessions: end
        let events = AuthEvents::new(&registry);
        let subscribers = Subscribers::of_hook(events.hook());
        // api_keys: begin
        let subscribers = subscribers.and(keys.observer(), Arc::new(|_| {}));
        // api_keys: end
        // recovery: begin
        let subscribers = subscribers.and(requests.observer(), requests.hook());
        // recovery: end
        let auth = Auth::new(identity::Parts {
            database: database.clone(),
            hasher: Hasher::new(&settings.passwords, HashMetrics::new(&registry)),
            policy: PasswordPolicy::new(settings.passwords.min_length),
            limits: limits.clone(),
            tokens: AccessTokens::new(&settings.auth),
            activity: seen,
            events,
            subscribers,
            flows: Flows {
                // browser_sessions: begin
                browsers,
                // browser_sessions: end
                // api_keys: begin
                keys: Some(Arc::new(keys.clone())),
                // api_keys: end
                ..requests.flows()
            },
            clock: clock.clone(),
            lifetimes: SessionLifetimes::from(&settings.auth),
        });
        // recovery: begin
        let (origin, secrets) = (settings.origin(), &settings.auth);
        let recovery = Recovery::new(requests, auth.clone(), mail.clone(), secrets, origin);
        // api_keys: begin
        let recovery = recovery.with_remaining(remaining_keys(&keys));
        // api_keys: end
        // recovery: end
        let lifecycle = Lifecycle::default();
        let operations = new_operations(settings, &database, &lifecycle, &registry, &clock);
        let app = Self {
            http_metrics: HttpMetrics::new(&registry),
            server_metrics: ServerMetrics::new(&registry),
            tracing,
            http_options: settings.http.clone(),
            public_url: settings.service.public_url.clone(),
            separate_metrics: settings.service.admin.is_some(),
            documentation: Documentation::default(),
            // api_keys: begin
            keys,
            key_activity,
            // api_keys: end
            // jobs: begin
            handlers: Handlers::default(),
            jobs,
            // jobs: end
            // mail: begin
            mail,
            // mail: end
            // recovery: begin
            recovery,
            // recovery: end
            database,
            auth,
            limits,
            operations,
            lifecycle,
            clock,
            activity,
            // browser_sessions: begin
            cookies,
            cookie_activity,
            // browser_sessions: end
            registry,
        };
        // browser_sessions: begin
        let mut app = app;
        app.http_options.cors_credentials = app.cookies.is_some();
        // browser_sessions: end
        // jobs: begin
        let mut app = app;
        app.handlers = handlers(&app);
        // jobs: end
        Ok(app)
    }

    /// A router over these endpoints, with the options, metrics, spans and rate limit of this service.
    ///
    /// A header for every response goes into `options.response_headers` here.
    #[must_use]
    pub fn serve(&self, endpoints: Vec<Endpoint>) -> Arc<Router> {
        let tracing = self.tracing.clone();
        let options = self.http_options.clone();
        let router = Router::new(endpoints, options, self.http_metrics.clone());
        let lifecycle = self.lifecycle.clone();
        let router = router.with_start(move || lifecycle.has_started());
        let router = router.with_span(move |request| {
            tracing.request(Incoming {
                method: request.method,
                template: request.template,
                correlation_id: request.correlation_id,
                client_ip: request.client_ip,
                head: request.head,
            })
        });
        Arc::new(match self.limits.api() {
            Some(limit) => router.with_rate_limit(limit),
            None => router,
        })
    }

    // jobs: begin
    /// Starts what a process does that only runs jobs.
    pub fn start_worker(self, tracker: &TaskTracker, stop: &CancellationToken) {
        self.jobs.start(self.handlers, tracker, stop);
    }
    // jobs: end

    /// Starts the background tasks, which run until they are stopped.
    pub fn start_tasks(self, tracker: &TaskTracker, stop: &CancellationToken) {
        // jobs: begin
        self.jobs.start(self.handlers, tracker, stop);
        // jobs: end
        let (database, clock, tracing) = (self.database, self.clock, self.tracing);
        let tasks = Tasks {
            tracker,
            tracing: tracing.clone(),
            stop,
        };
        let handles = (database.clone(), clock.clone());
        tasks.every(identity::CLEANUP_INTERVAL, "session_cleanup", move |stop| {
            let (database, clock) = handles.clone();
            async move { identity::clean_up(&database, &clock, &stop).await }
        });
        let handles = (database.clone(), clock.clone());
        tasks.every(
            identity::NETWORK_SWEEP_INTERVAL,
            "auth_network_sweep",
            move |stop| {
                let (database, clock) = handles.clone();
                async move { identity::forget_unused_networks(&database, &clock, &stop).await }
            },
        );
        let handle = database.clone();
        tasks.every(
            identity::MASK_SWEEP_INTERVAL,
            "refresh_mask_sweep",
            move |stop| {
                let database = handle.clone();
                async move { identity::sweep_masks(&database, &stop).await }
            },
        );
        let handle = database.clone();
        tasks.every(limits::SWEEP_INTERVAL, "rate_limit_sweep", move |stop| {
            let database = handle.clone();
            async move { limits::sweep(&database, &stop).await }
        });
        // browser_sessions: begin
        if let Some(writer) = self.cookie_activity {
            let (database, clock, tracing) = (database.clone(), clock.clone(), tracing.clone());
            tracker.spawn(writer.run(database, clock, tracing, stop.clone()));
        }
        // browser_sessions: end
        // api_keys: begin
        let writer = self.key_activity;
        tracker.spawn(writer.run(
            database.clone(),
            clock.clone(),
            tracing.clone(),
            stop.clone(),
        ));
        // api_keys: end
        // Not periodic: it drains a channel, and once more after it was stopped.
        tracker.spawn(self.activity.run(database, clock, tracing, stop.clone()));
    }
}

fn new_limits(
    settings: &Settings,
    database: &Database,
    registry: &Registry,
    clock: &Clock,
) -> Limits {
    let (database, metrics) = (database.clone(), RateLimitMetrics::new(registry));
    Limits::new(&settings.limits, database, metrics, clock.clone())
}

fn new_operations(
    settings: &Settings,
    database: &Database,
    lifecycle: &Lifecycle,
    registry: &Registry,
    clock: &Clock,
) -> Operations {
    Operations::new(
        database.clone(),
        lifecycle.clone(),
        registry.clone(),
        clock.clone(),
        settings.telemetry.service_name.clone(),
    )
}

// recovery: begin
fn new_mail_requests(
    settings: &Settings,
    database: &Database,
    jobs: &Jobs,
    mail: &Mail,
    clock: &Clock,
) -> MailRequests {
    MailRequests::new(recovery::Parts {
        database: database.clone(),
        jobs: jobs.clone(),
        settings: settings.recovery.clone(),
        sends_mail: mail.is_on(),
        clock: clock.clone(),
    })
}
// recovery: end

// jobs: begin
fn new_jobs(
    settings: &Settings,
    database: &Database,
    database_metrics: DatabaseMetrics,
    registry: &Registry,
    tracing: &Tracing,
    clock: &Clock,
) -> anyhow::Result<Jobs> {
    let jobs = Jobs::new(jobs::Parts {
        settings: settings.jobs.clone(),
        database: database.clone(),
        postgres: settings.database.options(),
        database_metrics,
        registry,
        tracing: tracing.clone(),
        clock: clock.clone(),
    });
    Ok(jobs?)
}
// jobs: end

// mail: begin
fn new_mail(settings: &Settings, registry: &Registry, clock: &Clock) -> anyhow::Result<Mail> {
    Mail::new(mail::Parts {
        settings: &settings.mail,
        templates: &templates(),
        registry,
        clock: clock.clone(),
    })
}
// mail: end

// browser_sessions: begin
fn new_cookies(
    settings: &Settings,
    database: &Database,
    clock: &Clock,
) -> Option<(Cookies, ActivityWriter)> {
    Cookies::new(browser_sessions::Parts {
        database: database.clone(),
        settings: &settings.cookies,
        around: settings.around_cookies(),
        origin: &settings.origin(),
        allowed_origins: &settings.http.cors_allowed_origins,
        idle: settings.auth.session_idle_lifetime,
        clock: clock.clone(),
    })
}
// browser_sessions: end

// jobs: begin
/// What runs each kind of job, and when schedules enqueue some. Handlers may use every part.
fn handlers(app: &App) -> Handlers {
    let mut handlers = Handlers::default();
    jobs::register(&mut handlers, &app.jobs);
    recovery::register(&mut handlers, &app.recovery);
    handlers
}
// jobs: end

// api_keys: begin
/// Keys, and what writes when they were used.
fn keys(settings: &Settings, database: &Database, clock: &Clock) -> (Keys, ActivityWriter) {
    let (activity, writer) = identity::activity_channel(api_keys::touch());
    let keys = Keys::new(api_keys::Parts {
        database: database.clone(),
        activity,
        overlap: settings.keys.overlap,
        clock: clock.clone(),
    });
    (keys, writer)
}
// api_keys: end

// recovery: begin
// api_keys: begin
/// What the notice of a changed password says of keys.
fn remaining_keys(keys: &Keys) -> recovery::Remaining {
    let keys = keys.clone();
    Arc::new(move |user| {
        let keys = keys.clone();
        let lines = async move { Ok(keys.describe(user).await?) };
        Box::pin(lines)
    })
}
// api_keys: end
// recovery: end

// mail: begin
/// The templates of all features.
#[must_use]
pub fn templates() -> Vec<&'static Template> {
    [
        &[&mail::MAIL_TEST][..],
        // recovery: begin
        &recovery::TEMPLATES,
        // recovery: end
    ]
    .concat()
}
// mail: end

// mail: begin
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_of_mail_renders_with_its_sample() {
        let values = crate::settings::values([("APP_ENV", "test")]).unwrap();
        let settings = Settings::read(&values).unwrap();
        let mail = Mail::new(mail::Parts {
            settings: &settings.mail,
            templates: &templates(),
            registry: &Registry::new(),
            clock: Clock::system(),
        })
        .unwrap();

        for template in mail.templates() {
            let rendered = mail.render(template, (template.sample)()).unwrap();

            assert!(!rendered.subject.is_empty(), "{}", template.name);
            // What a person reads without HTML has every link that the HTML has.
            for link in rendered.html.split("href=\"").skip(1) {
                let link = link.split('"').next().unwrap().replace("&#x2f;", "/");
                assert!(
                    rendered.text.contains(&link),
                    "{} lacks {link}",
                    template.name
                );
            }
        }
    }
}
// mail: end
