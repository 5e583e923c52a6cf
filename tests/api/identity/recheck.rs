//! Who is calling is checked again inside the transaction that writes.
//!
//! Between the guard and that transaction a client can let any time pass, by sending its body slowly.
//! The tests make the same gap in two ways: with a body that is held back, and with a lock on the
//! caller's row, which works for endpoints without a body, too. The endpoints come from the service's
//! own list. [`Case::request_for`] knows the requests to those of this feature; for an endpoint of
//! another feature a request is derived from the OpenAPI document, and what cannot be derived fails.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use chassis_http::{Access, Endpoint, Operation};
use chassis_postgres::testing;
use futures_util::stream;
use http::{Method, Request, header};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_postgres::Client;
use uuid::Uuid;
use warp_skeleton::{features::identity::Role, routes};

use crate::support::{Answer, TestApp, TestUser, until};

/// What happens to the caller between the guard and the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    SignedOut,
    Expired,
    Disabled,
    Deleted,
    Demoted,
    // api_keys: begin
    KeyRevoked,
    KeyExpired,
    KeyOfOrganisation,
    // api_keys: end
}

impl Meanwhile {
    const ALL: [Self; 6] = [
        Self::Nothing,
        Self::SignedOut,
        Self::Expired,
        Self::Disabled,
        Self::Deleted,
        Self::Demoted,
    ];

    // api_keys: begin
    /// What happens to a caller who has a key.
    const OF_KEYS: [Self; 7] = [
        Self::Nothing,
        Self::KeyRevoked,
        Self::KeyExpired,
        Self::KeyOfOrganisation,
        Self::Disabled,
        Self::Deleted,
        Self::Demoted,
    ];
    // api_keys: end

    async fn happen(self, database: &Client, caller: &TestUser) {
        let sql = match self {
            Self::Nothing => return,
            Self::SignedOut => {
                "UPDATE sessions SET revoked_at = now(), revoked_for = 'logout_all' WHERE user_id = $1"
            }
            Self::Expired => "UPDATE sessions SET expires_at = created_at WHERE user_id = $1",
            Self::Disabled => "UPDATE users SET is_active = false WHERE id = $1",
            Self::Deleted => "DELETE FROM users WHERE id = $1",
            // api_keys: begin
            Self::KeyRevoked => {
                "UPDATE api_keys SET revoked_at = created_at, revoked_for = 'owner' WHERE user_id = $1"
            }
            Self::KeyExpired => "UPDATE api_keys SET expires_at = created_at WHERE user_id = $1",
            Self::KeyOfOrganisation => {
                "UPDATE api_keys SET org_id = gen_random_uuid() WHERE user_id = $1"
            }
            // api_keys: end
            Self::Demoted => "UPDATE users SET role = 'VIEWER' WHERE id = $1",
        };
        let changed = database.execute(sql, &[caller.id.as_uuid()]).await.unwrap();
        assert!(changed > 0, "{self:?} changed nothing");
    }

    #[track_caller]
    fn assert(self, answer: &Answer, operation: &Operation) {
        let place = format!("{self:?}: {} {}", operation.method, operation.template);
        let is_success = answer.status.is_success();
        match self {
            Self::Nothing => assert!(is_success, "{place}: {}", answer.text()),
            Self::Demoted if operation.access == Access::SignedIn => {
                assert!(is_success, "{place}: {}", answer.text());
            }
            Self::Demoted => {
                answer.assert_problem(403, "insufficient_role");
            }
            _ => {
                answer.assert_problem(401, "invalid_token");
            }
        }
    }

    fn changes_something(self, operation: &Operation) -> bool {
        let is_admitted = operation.access == Access::SignedIn && self == Self::Demoted;
        self == Self::Nothing || is_admitted
    }
}

/// A caller with the highest role that is not the last of its kind, and the account it acts on.
struct Case {
    app: TestApp,
    caller: TestUser,
    token: String,
    other_session: Uuid,
    target: TestUser,
}

/// A test has a case for whatever happens to every endpoint, which is some hundred databases.
impl Drop for Case {
    fn drop(&mut self) {
        testing::discard(&self.app.url);
    }
}

impl Case {
    async fn new() -> Self {
        // Nothing is sent: no job runs.
        let app = TestApp::with(&[("MAIL_FOLDER", env!("CARGO_TARGET_TMPDIR"))]).await;
        app.user().role(Role::Owner).create().await;
        let target = app.user().role(Role::Member).create().await;
        let caller = app.user().role(Role::Admin).create().await;
        app.sign_in(&caller).await;
        let sql = "SELECT id FROM sessions WHERE user_id = $1";
        let other_session = app.value(sql, &[caller.id.as_uuid()]).await;
        let token = app.sign_in(&caller).await.access;
        Self {
            app,
            caller,
            token,
            other_session,
            target,
        }
    }

    // api_keys: begin
    /// The same with a key of the caller's, which has every scope.
    async fn with_key() -> Self {
        let mut case = Self::new().await;
        let scopes = routes::scopes(&case.app.app);
        let key = case.app.key_of(case.caller.id, scopes.as_slice()).await;
        case.token = key.key;
        case
    }
    // api_keys: end

    /// A request to this endpoint that succeeds and changes something: path and body.
    async fn request_for(&self, operation: &Operation) -> (String, Option<Value>) {
        let password = &self.caller.password;
        match (operation.method.as_str(), operation.template) {
            ("POST", path @ ("/auth/logout" | "/auth/logout-all")) => (path.to_owned(), None),
            ("PATCH", "/auth/me") => {
                let body = json!({"email": "new@marked.example", "current_password": password});
                ("/auth/me".to_owned(), Some(body))
            }
            ("POST", "/auth/password") => {
                let new = "marked-password-new";
                let body = json!({"current_password": password, "new_password": new});
                ("/auth/password".to_owned(), Some(body))
            }
            ("POST", path @ "/auth/reauthenticate") => {
                (path.to_owned(), Some(json!({"current_password": password})))
            }
            ("DELETE", "/auth/sessions/{id}") => {
                (format!("/auth/sessions/{}", self.other_session), None)
            }
            ("PATCH", "/users/{id}") => {
                let body = json!({"role": "ADMIN", "is_active": false});
                (format!("/users/{}", self.target.id), Some(body))
            }
            ("DELETE", "/users/{id}") => (format!("/users/{}", self.target.id), None),
            // recovery: begin
            ("POST", path @ "/auth/email/verification") => {
                let sql = "UPDATE users SET email_verified_at = NULL";
                self.app.database().await.execute(sql, &[]).await.unwrap();
                (path.to_owned(), None)
            }
            ("POST", "/users/{id}/password-reset") => {
                (format!("/users/{}/password-reset", self.target.id), None)
            }
            // recovery: end
            // api_keys: begin
            ("POST", path @ "/auth/keys") => {
                let body = json!({"name": "report", "scopes": ["account:read"]});
                (path.to_owned(), Some(body))
            }
            (method, template) if template.contains("/keys/") => {
                let is_own = template.starts_with("/auth/");
                let owner = if is_own { &self.caller } else { &self.target };
                let key = self.app.key_of(owner.id, &["account:read"]).await;
                let path = if is_own {
                    template.replace("{id}", &key.id)
                } else {
                    let path = template.replace("{id}", &owner.id.to_string());
                    path.replace("{key}", &key.id)
                };
                (path, (method == "PATCH").then(|| json!({"name": "new"})))
            }
            // api_keys: end
            _ => self.derived_request(operation).await,
        }
    }

    /// A request made from the OpenAPI document: a body that its schema allows, and for `{id}` something that the
    /// caller has created by a `POST` of the path before it.
    async fn derived_request(&self, operation: &Operation) -> (String, Option<Value>) {
        let (method, template) = (operation.method.as_str(), operation.template);
        let body = self.body_of(method, template, Value::Bool(false));
        let Some(collection) = template.strip_suffix("/{id}") else {
            assert!(!template.contains('{'), "{}", cannot_derive(operation));
            return (template.to_owned(), body);
        };
        let new = self.body_of("POST", collection, Value::Bool(true));
        let new = new.unwrap_or_else(|| panic!("{}", cannot_derive(operation)));
        let call = self.app.post(collection).bearer(&self.token).json(&new);
        let created = call.send().await;
        assert_eq!(created.status, 201, "{}", cannot_derive(operation));
        (created.header("location").to_owned(), body)
    }

    /// A JSON body that the endpoint's schema allows, if it takes one. Flags have this value.
    fn body_of(&self, method: &str, template: &str, flag: Value) -> Option<Value> {
        let document = self.app.openapi();
        let operation = &document["paths"][template][method.to_lowercase()];
        let content = operation.pointer("/requestBody/content/application~1json/schema")?;
        let schema = document.pointer(content["$ref"].as_str()?.strip_prefix('#')?)?;
        let mut body = serde_json::Map::new();
        for (name, property) in schema["properties"].as_object()? {
            // `["string", "null"]` where null is allowed.
            let kind = &property["type"];
            let kind = kind.get(0).unwrap_or(kind);
            let value = match (kind.as_str()?, property["format"].as_str()) {
                ("string", Some("date-time")) => json!("2030-01-31T12:00:00Z"),
                ("string", _) => json!(format!("a text, {flag}")),
                ("integer" | "number", _) => json!(1 + i32::from(flag == json!(true))),
                ("boolean", _) => flag.clone(),
                _ => return None,
            };
            body.insert(name.clone(), value);
        }
        Some(Value::Object(body))
    }

    /// Sends the request while the caller's row is locked, and lets something happen under that lock.
    async fn under_lock(&self, operation: &Operation, meanwhile: Meanwhile) -> (Answer, bool) {
        let (path, body) = self.request_for(operation).await;
        let mut database = self.app.database().await;
        let transaction = database.transaction().await.unwrap();
        let lock = "SELECT FROM users WHERE id = $1 FOR UPDATE";
        let id = self.caller.id;
        transaction.execute(lock, &[id.as_uuid()]).await.unwrap();
        let call = self.app.call(operation.method.clone(), &path);
        let call = call.bearer(&self.token);
        let call = match &body {
            Some(body) => call.json(body),
            None => call,
        };

        let interfere = async {
            wait_until_one_waits(&self.app).await;
            meanwhile.happen(transaction.client(), &self.caller).await;
            let before = contents(transaction.client()).await;
            transaction.commit().await.unwrap();
            before
        };
        let (answer, before) = tokio::join!(call.send(), interfere);

        let after = contents(&self.app.database().await).await;
        (answer, before != after)
    }

    /// Sends the headers, lets something happen once the body is asked for, and sends the body.
    async fn with_slow_body(
        &self,
        operation: &Operation,
        meanwhile: Meanwhile,
    ) -> Option<(Answer, bool)> {
        let (path, body) = self.request_for(operation).await;
        let body = Bytes::from(body?.to_string());
        let (asked, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (asks, release) = (Arc::clone(&asked), Arc::clone(&released));
        let held = stream::once(async move {
            asks.notify_one();
            released.notified().await;
            Ok::<_, Infallible>(Frame::data(body))
        });
        let request = Request::builder()
            .method(operation.method.clone())
            .uri(&path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(StreamBody::new(Box::pin(held)))
            .unwrap();

        let interfere = async {
            asked.notified().await;
            let database = self.app.database().await;
            meanwhile.happen(&database, &self.caller).await;
            let before = contents(&database).await;
            release.notify_one();
            before
        };
        let peer = Some([127, 0, 0, 1].into());
        let (answer, before) = tokio::join!(self.app.send(request, peer), interfere);

        let after = contents(&self.app.database().await).await;
        Some((answer, before != after))
    }
}

fn cannot_derive(operation: &Operation) -> String {
    format!(
        "{} {} writes, and no request that succeeds could be derived from the OpenAPI document: add one to \
         request_for, so that it is tested that its caller is checked again",
        operation.method, operation.template
    )
}

/// Every row of every table as one text, but for the counters of the rate limits, which refusals change, too.
async fn contents(database: &Client) -> String {
    let sql = "
SELECT tablename::text
FROM pg_tables
WHERE schemaname = current_schema() AND tablename <> 'rate_limits'
ORDER BY tablename";
    let mut all = Vec::new();
    for table in database.query(sql, &[]).await.unwrap() {
        let table: String = table.get(0);
        let sql = format!("SELECT string_agg(t::text, ';' ORDER BY t::text) FROM {table} AS t");
        let rows: Option<String> = database.query_one(&sql, &[]).await.unwrap().get(0);
        all.push(format!("{table}: {}", rows.unwrap_or_default()));
    }
    all.join("\n")
}

/// Waits until a statement on this database waits for a lock.
pub async fn wait_until_one_waits(app: &TestApp) {
    let database = app.database().await;
    let sql = "
SELECT count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("a wait for the lock", async || {
        let row = database.query_one(sql, &[]).await.unwrap();
        row.get::<_, i64>(0) > 0
    })
    .await;
}

/// Every endpoint that writes for a caller.
fn writing(app: &TestApp) -> Vec<Operation> {
    let features = routes::features(&app.app);
    let endpoints = features.iter().flat_map(|feature| &feature.endpoints);
    let operations = endpoints.map(|endpoint| endpoint.operation().clone());
    let writes =
        |operation: &Operation| operation.method != Method::GET && operation.access.needs_token();
    let writing: Vec<_> = operations.filter(writes).collect();
    assert!(writing.len() >= 7, "{}", writing.len());
    writing
}

#[tokio::test]
async fn what_writes_without_a_caller_is_known_by_name() {
    let app = TestApp::start().await;
    let features = routes::features(&app.app);
    let endpoints = features.iter().flat_map(|feature| &feature.endpoints);
    let operations = endpoints.map(Endpoint::operation);

    let without = operations
        .filter(|operation| operation.method != Method::GET && !operation.access.needs_token());
    let mut names: Vec<_> = without.map(|operation| operation.template).collect();
    names.sort_unstable();

    // Each checks a password or a token of its own, and changes that account only; `forgot` takes note of an address.
    let expected = [
        // recovery: begin
        "/auth/email/change",
        "/auth/email/verify",
        "/auth/password/forgot",
        "/auth/password/reset",
        // recovery: end
        "/auth/refresh",
        "/auth/register",
        "/auth/revoke",
        "/auth/token",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn whatever_happens_before_the_lock_is_seen_by_every_endpoint_that_writes() {
    let app = TestApp::start().await;
    for operation in writing(&app) {
        for meanwhile in Meanwhile::ALL {
            let case = Case::new().await;

            let (answer, has_changed) = case.under_lock(&operation, meanwhile).await;

            meanwhile.assert(&answer, &operation);
            let expected = meanwhile.changes_something(&operation);
            assert_eq!(
                has_changed, expected,
                "{meanwhile:?} {}",
                operation.template
            );
        }
    }
}

#[tokio::test]
async fn whatever_happens_while_a_body_is_on_its_way_is_seen() {
    let app = TestApp::start().await;
    let mut with_body = 0;
    for operation in writing(&app) {
        for meanwhile in Meanwhile::ALL {
            let case = Case::new().await;

            let sent = case.with_slow_body(&operation, meanwhile).await;

            let Some((answer, has_changed)) = sent else {
                continue;
            };
            with_body += 1;
            meanwhile.assert(&answer, &operation);
            let expected = meanwhile.changes_something(&operation);
            assert_eq!(
                has_changed, expected,
                "{meanwhile:?} {}",
                operation.template
            );
        }
    }
    assert!(with_body >= 3 * Meanwhile::ALL.len(), "{with_body}");
}

// api_keys: begin
#[tokio::test]
async fn whatever_happens_to_a_key_is_seen_under_lock_and_while_a_body_is_on_its_way() {
    let app = TestApp::start().await;
    let operations = writing(&app).into_iter();
    let operations: Vec<_> = operations.filter(|one| one.scope.is_some()).collect();
    assert!(operations.len() >= 2, "{}", operations.len());
    let mut with_body = 0;
    for operation in &operations {
        for meanwhile in Meanwhile::OF_KEYS {
            let case = Case::with_key().await;
            let under_lock = case.under_lock(operation, meanwhile).await;
            let case = Case::with_key().await;
            let slow = case.with_slow_body(operation, meanwhile).await;

            with_body += usize::from(slow.is_some());
            for (answer, has_changed) in [Some(under_lock), slow].into_iter().flatten() {
                meanwhile.assert(&answer, operation);
                let expected = meanwhile.changes_something(operation);
                let place = (meanwhile, operation.template);
                assert_eq!(has_changed, expected, "{place:?}");
            }
        }
    }
    assert!(with_body >= Meanwhile::OF_KEYS.len(), "{with_body}");
}
// api_keys: end

#[tokio::test]
async fn a_password_that_was_changed_after_it_was_verified_proves_nothing() {
    for (method, path) in [
        (Method::PATCH, "/auth/me"),
        (Method::POST, "/auth/password"),
    ] {
        let case = Case::new().await;
        let mut database = case.app.database().await;
        let transaction = database.transaction().await.unwrap();
        let sql = "UPDATE users SET password_hash = 'another' WHERE id = $1";
        let id = case.caller.id;
        transaction.execute(sql, &[id.as_uuid()]).await.unwrap();
        let app = TestApp::start().await;
        let mut operations = writing(&app).into_iter();
        let is_it = |found: &Operation| found.method == method && found.template == path;
        let operation = operations.find(is_it).unwrap();
        let (path, body) = case.request_for(&operation).await;
        let call = case.app.call(method, &path).bearer(&case.token);
        let call = call.json(&body.unwrap());

        let release = async {
            wait_until_one_waits(&case.app).await;
            transaction.commit().await.unwrap();
            contents(&case.app.database().await).await
        };
        let (answer, before) = tokio::join!(call.send(), release);

        answer.assert_problem(422, "current_password_incorrect");
        assert_eq!(contents(&case.app.database().await).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_administrators_who_demote_each_other_at_once_one_stays() {
    for _ in 0..5 {
        let app = TestApp::start().await;
        let replica = app.replica();
        let (one, ones) = app.signed_in(Role::Admin).await;
        let (two, twos) = app.signed_in(Role::Admin).await;
        let body = json!({"role": "VIEWER"});

        let (first, second) = tokio::join!(
            super::try_change(&app, &ones, two.id, &body),
            super::try_change(&replica, &twos, one.id, &body),
        );

        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
        let admins = "SELECT count(*) FROM users WHERE role = 'ADMIN'";
        assert_eq!(app.count(admins).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sign_outs_of_one_account_at_once_do_not_wait_for_each_other_in_a_circle() {
    let app = Arc::new(TestApp::with(&[("DB_POOL_SIZE", "20")]).await);
    let user = app.user().create().await;
    let mut calls = Vec::new();
    for number in 0..16 {
        let token = app.sign_in(&user).await.access;
        let path = ["/auth/logout", "/auth/logout-all"][number % 2];
        let app = Arc::clone(&app);
        calls.push(tokio::spawn(async move {
            app.post(path).bearer(&token).send().await.status.as_u16()
        }));
    }

    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }

    // Those that come after a sign-out everywhere find their session ended.
    assert!(
        statuses.iter().all(|status| matches!(status, 204 | 401)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&204), "{statuses:?}");
}

#[tokio::test]
async fn a_refusal_inside_a_transaction_gives_its_connection_back() {
    let app = TestApp::with(&[("DB_POOL_SIZE", "1")]).await;
    let (_, admin) = app.signed_in(Role::Admin).await;
    let owner = app.user().role(Role::Owner).create().await;

    for _ in 0..3 {
        let body = json!({"role": "VIEWER"});
        let refused = super::try_change(&app, &admin, owner.id, &body).await;
        refused.assert_problem(403, "insufficient_level");
    }

    let logout = app.post("/auth/logout").bearer(&admin).send().await;
    logout.assert_status(204);
}
