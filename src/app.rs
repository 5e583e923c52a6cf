//! The composition root: settings in, connected services out.
//!
//! Each part is made once, by its constructor, and handed to the parts that need it;
//! there are no globals and no container to ask. Building an [`App`] connects to
//! nothing, so that commands which only describe the service need no database.

// api_keys: begin
use std::sync::Arc;

// api_keys: end
use chassis_http::{Endpoint, HttpMetrics, HttpOptions, Router};
use chassis_postgres::Database;
use chassis_server::ServerMetrics;
use chassis_telemetry::{Incoming, Tracing};
use futures_util::FutureExt;
use prometheus::Registry;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

// api_keys: begin
use crate::features::api_keys::{self, Keys};
// api_keys: end
use crate::{
    features::{
        api_docs::Documentation,
        browser_sessions::Cookies,
        identity::{self, ActivityWriter, Auth, Flows, Subscribers},
        jobs::{self, Handlers, Jobs},
        limits::{self, Limits},
        mail::{self, Mail, Template},
        operations::{Lifecycle, Operations},
        recovery::{self, Recovery},
    },
    parts::Foundation,
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
    /// What writes when credentials were used.
    activity: Vec<ActivityWriter>,
    // browser_sessions: begin
    /// Sessions of browsers, where they are switched on.
    pub cookies: Option<Cookies>,
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
        let base = Foundation::new(settings, clock)?;
        let limits = base.limits();
        let subscribers = Subscribers::of_hook(base.events.hook());
        let flows = Flows::default();
        // api_keys: begin
        let (keys, key_activity) = base.keys();
        let subscribers = subscribers.and(keys.observer(), Arc::new(|_| {}));
        let flows = keys.join(flows);
        // api_keys: end
        // browser_sessions: begin
        let (cookies, cookie_activity) = base.cookies();
        let flows = match &cookies {
            Some(cookies) => cookies.join(flows),
            None => flows,
        };
        // browser_sessions: end
        // jobs: begin
        let jobs = base.jobs()?;
        // jobs: end
        // mail: begin
        let mail = base.mail()?;
        // mail: end
        // recovery: begin
        let requests = base.mail_requests(&jobs, &mail);
        let subscribers = subscribers.and(requests.observer(), requests.hook());
        let flows = requests.join(flows);
        // recovery: end
        let (auth, session_activity) = base.auth(&limits, subscribers, flows);
        // recovery: begin
        let recovery = base.recovery(requests, &auth, &mail);
        // api_keys: begin
        let recovery = recovery.with_remaining(remaining_keys(&keys));
        // api_keys: end
        // recovery: end
        let activity = [
            Some(session_activity),
            // api_keys: begin
            Some(key_activity),
            // api_keys: end
            // browser_sessions: begin
            cookie_activity,
            // browser_sessions: end
        ];
        let http_options = settings.http.clone();
        // browser_sessions: begin
        let http_options = HttpOptions {
            cors_credentials: cookies.is_some(),
            ..http_options
        };
        // browser_sessions: end
        let operations = base.operations();
        let (database, clock) = (base.database, base.clock);
        let app = Self {
            http_metrics: HttpMetrics::new(&base.registry),
            server_metrics: ServerMetrics::new(&base.registry),
            tracing: base.tracing,
            http_options,
            public_url: settings.service.public_url.clone(),
            separate_metrics: settings.service.admin.is_some(),
            documentation: Documentation::default(),
            activity: activity.into_iter().flatten().collect(),
            // api_keys: begin
            keys,
            // api_keys: end
            // browser_sessions: begin
            cookies,
            // browser_sessions: end
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
            lifecycle: base.lifecycle,
            clock,
            registry: base.registry,
        };
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
    pub fn serve(&self, endpoints: Vec<Endpoint>) -> Router {
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
        match self.limits.api() {
            Some(limit) => router.with_rate_limit(limit),
            None => router,
        }
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
        // api_keys: begin
        let handles = (database.clone(), clock.clone());
        tasks.every(api_keys::SWEEP_INTERVAL, "api_key_sweep", move |stop| {
            let (database, clock) = handles.clone();
            async move { api_keys::sweep(&database, &clock, &stop).await }
        });
        // api_keys: end
        // Not periodic: each drains a channel, and once more after it was stopped. Boxed, as tokio's code is generated for
        // each type of future.
        for writer in self.activity {
            let (database, clock, tracing) = (database.clone(), clock.clone(), tracing.clone());
            tracker.spawn(writer.run(database, clock, tracing, stop.clone()).boxed());
        }
    }
}

// jobs: begin
/// What runs each kind of job, and when schedules enqueue some. Handlers may use every part.
fn handlers(app: &App) -> Handlers {
    let mut handlers = Handlers::default();
    jobs::register(&mut handlers, &app.jobs);
    recovery::register(&mut handlers, &app.recovery);
    handlers
}
// jobs: end

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
