//! The service under test.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use chassis_http::{Endpoint, Router};
use http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Client;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warp_skeleton::{
    app::App,
    features::identity::Auth,
    routes,
    settings::{self, Settings},
    shared::clock::Clock,
};

use super::{Answer, cluster, leaks};

/// What the service signs tokens with.
pub const SECRET: &str = "marked-secret-0123456789abcdef0123456789";

/// A service over a database of its own, with a clock that can be moved.
pub struct TestApp {
    pub app: App,
    pub auth: Auth,
    pub clock: Clock,
    /// Where its database is.
    pub url: String,
    router: Arc<Router>,
    openapi: Value,
    pairs: Vec<(String, String)>,
    offset: Arc<AtomicI64>,
}

impl TestApp {
    /// A service with settings fit for tests.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with some settings changed.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::with_endpoints(settings, Vec::new()).await
    }

    /// The same with endpoints that only the test has.
    pub async fn with_endpoints(settings: &[(&str, &str)], further: Vec<Endpoint>) -> Self {
        let url = cluster::new_database().await;
        // The service has a role of its own, which may do less than that of the test.
        let service_url = cluster::as_service(&url);
        let mut pairs: Vec<(String, String)> = [
            ("APP_ENV", "test"),
            ("DATABASE_URL", service_url.as_str()),
            ("JWT_SECRET_KEY", SECRET),
            // The cheapest hash there is: tests are about what is done with it.
            ("SCRYPT_LOG_N", "1"),
            ("SCRYPT_P", "1"),
            ("PASSWORD_HASH_WAIT_MS", "30000"),
            ("DB_POOL_SIZE", "5"),
            // Tests come more eagerly than people; those about limits turn them on.
            ("RATE_LIMIT", "off"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        pairs.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Self::over(pairs, url, further, Arc::default())
    }

    /// Another replica of the same service: the same settings, database and time.
    pub fn replica(&self) -> Self {
        Self::over(
            self.pairs.clone(),
            self.url.clone(),
            Vec::new(),
            Arc::clone(&self.offset),
        )
    }

    /// Another replica with some settings changed.
    pub fn replica_with(&self, settings: &[(&str, &str)]) -> Self {
        let mut pairs = self.pairs.clone();
        pairs.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Self::over(
            pairs,
            self.url.clone(),
            Vec::new(),
            Arc::clone(&self.offset),
        )
    }

    fn over(
        pairs: Vec<(String, String)>,
        url: String,
        further: Vec<Endpoint>,
        offset: Arc<AtomicI64>,
    ) -> Self {
        leaks::watch();
        let settings = Settings::read(&settings::values(pairs.clone()).unwrap()).unwrap();
        let clock = Clock::moved_by(Arc::clone(&offset));
        let app = App::build(&settings, clock.clone()).unwrap();
        let router = Arc::new(routes::router_with(&app, further));
        app.lifecycle.serve();
        let openapi = serde_json::to_value(routes::document(&app)).unwrap();
        Self {
            auth: app.auth.clone(),
            app,
            clock,
            url,
            router,
            openapi,
            pairs,
            offset,
        }
    }

    /// Lets time pass, for every replica.
    pub fn advance(&self, duration: Duration) {
        let milliseconds = i64::try_from(duration.whole_milliseconds()).unwrap();
        self.offset.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// What time the service thinks it is.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// A connection of the test's own, to look at what the database holds.
    pub async fn database(&self) -> Client {
        cluster::connect(&self.url).await
    }

    /// How many rows the query counts.
    pub async fn count(&self, sql: &str) -> i64 {
        self.database()
            .await
            .query_one(sql, &[])
            .await
            .unwrap()
            .get(0)
    }

    /// How many statements this replica has sent.
    pub fn statements(&self) -> u64 {
        let metrics = self.app.operations.metrics().unwrap();
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("db_query_duration_seconds_count{"))
            .filter_map(|line| line.rsplit_once(' '));
        counts.map(|(_, count)| count.parse::<u64>().unwrap()).sum()
    }

    /// The document that `/openapi.json` serves.
    pub fn openapi(&self) -> &Value {
        &self.openapi
    }

    // jobs: begin
    /// Runs the jobs that are due, and those that they enqueue. Returns how each run ended, in order, but for the jobs
    /// that the queue has for itself.
    pub async fn run_due_jobs(&self) -> Vec<warp_skeleton::features::jobs::Outcome> {
        let mut worker = self.app.jobs.worker(self.app.handlers.clone());
        let ended = worker.run_due().await.unwrap();
        let ended = ended.into_iter();
        let others = ended.filter(|(_, kind, _)| !kind.starts_with("jobs."));
        others.map(|(_, _, outcome)| outcome).collect()
    }
    // jobs: end

    /// Starts what runs beside the requests of this very service, which stays usable.
    pub fn start_tasks(&mut self) -> RunningTasks {
        let settings = Settings::read(&settings::values(self.pairs.clone()).unwrap()).unwrap();
        let twin = App::build(&settings, self.clock.clone()).unwrap();
        let tasks = RunningTasks::default();
        // Starting takes the whole. The site goes on with its share of what was taken.
        let whole = std::mem::replace(&mut self.app, twin);
        whole.start_tasks(&tasks.tracker, &tasks.stop);
        tasks
    }

    pub fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }

    pub fn patch(&self, path: &str) -> Call<'_> {
        self.call(Method::PATCH, path)
    }

    pub fn delete(&self, path: &str) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    /// A request that is not sent yet.
    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let host = HeaderValue::from_static("localhost");
        request.headers_mut().insert(header::HOST, host);
        Call {
            app: self,
            request,
            peer: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        }
    }

    /// Sends any request the way the accept loop would.
    pub async fn send<B>(&self, request: Request<B>, peer: Option<IpAddr>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.respond(request, peer).await;
        let answer = Answer::read(response).await;
        leaks::inspect_reply(answer.status, &answer.text());
        answer.assert_documented(&self.openapi, &method, &path);
        answer
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let metrics = self.app.operations.metrics().unwrap();
        leaks::inspect("the metrics", &metrics);
        if !std::thread::panicking() {
            leaks::assert_none();
        }
    }
}

/// What runs beside the requests, until it is stopped.
#[derive(Default)]
pub struct RunningTasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl RunningTasks {
    /// Stops it, and waits for its end.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// A request being put together.
pub struct Call<'a> {
    app: &'a TestApp,
    request: Request<Bytes>,
    peer: Option<IpAddr>,
}

impl Call<'_> {
    /// With an access token.
    pub fn bearer(self, token: &str) -> Self {
        self.header(header::AUTHORIZATION, &format!("Bearer {token}"))
    }

    /// With one more header.
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: &str) -> Self {
        let name = name
            .try_into()
            .unwrap_or_else(|_| panic!("not a header name"));
        self.request
            .headers_mut()
            .append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.header(header::CONTENT_TYPE, "application/json")
            .body(body.to_string())
    }

    /// With a form.
    pub fn form(self, pairs: &[(&str, &str)]) -> Self {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        self.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
    }

    /// With any body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// From this address.
    pub fn from(mut self, ip: &str) -> Self {
        self.peer = Some(ip.parse().unwrap());
        self
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Answer {
        let request = self.request.map(Full::new);
        self.app.send(request, self.peer).await
    }
}
