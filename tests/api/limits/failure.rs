//! Attempts that cannot be counted.

use http::{Request, header};
use http_body_util::Full;
use serde_json::json;
use tokio_postgres::Client;
use warp_skeleton::features::identity::Role;

use super::{guess_from, limited, try_sign_in_from};
use crate::support::{Answer, TestApp, cluster};

const HERE: &str = "192.0.2.1";

/// A lock on the table of buckets, for as long as the connection is kept.
async fn hold_buckets(app: &TestApp) -> Client {
    let holder = app.database().await;
    let lock = "BEGIN; LOCK TABLE rate_limits IN ACCESS EXCLUSIVE MODE";
    holder.batch_execute(lock).await.unwrap();
    holder
}

/// Takes or refuses new connections to the database; those that are open stay so.
async fn take_connections(app: &TestApp, taken: bool) {
    let (server, name) = app.url.rsplit_once('/').unwrap();
    let elsewhere = cluster::connect(&format!("{server}/postgres")).await;
    let sql = format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS {taken}");
    elsewhere.batch_execute(&sql).await.unwrap();
}

#[track_caller]
fn assert_come_back(answer: &Answer) {
    answer.assert_problem(503, "unavailable");
    assert_eq!(answer.header(header::RETRY_AFTER), "1");
}

#[tokio::test]
async fn an_attempt_that_is_not_counted_in_time_checks_no_password() {
    let app = limited(&[("DB_STATEMENT_TIMEOUT_MS", "300")]).await;
    let user = app.user().create().await;
    let holder = hold_buckets(&app).await;

    for password in [user.password.as_str(), "marked-wrong-password"] {
        assert_come_back(&app.try_sign_in(&user.email, password).await);
    }
    holder.batch_execute("ROLLBACK").await.unwrap();

    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
    let answer = app.try_sign_in(&user.email, &user.password).await;
    answer.assert_status(200);
}

#[tokio::test]
async fn nor_does_one_for_which_no_connection_is_free() {
    let app = limited(&[("DB_POOL_SIZE", "1"), ("DB_POOL_TIMEOUT_MS", "200")]).await;
    let user = app.user().create().await;
    let held = app.app.database.connection().await.unwrap();

    assert_come_back(&app.try_sign_in(&user.email, "marked-wrong-password").await);
    drop(held);

    let answer = app.try_sign_in(&user.email, "marked-wrong-password").await;
    answer.assert_status(401);
}

#[tokio::test]
async fn nor_does_one_that_the_database_cannot_count() {
    let app = limited(&[]).await;
    let broken = "ALTER TABLE rate_limits RENAME TO elsewhere";
    app.database().await.batch_execute(broken).await.unwrap();

    let answer = app.try_sign_in("nobody@marked.example", "whatever").await;

    assert_come_back(&answer);
}

#[tokio::test]
async fn a_current_password_is_not_checked_uncounted_either() {
    let app = limited(&[("DB_STATEMENT_TIMEOUT_MS", "300")]).await;
    let (_, token) = app.signed_in(Role::Viewer).await;
    let holder = hold_buckets(&app).await;
    let wrong = "marked-wrong-password";

    let body = json!({"email": "other@marked.example", "current_password": wrong});
    let email = app.patch("/auth/me").bearer(&token).json(&body).send();
    assert_come_back(&email.await);
    let body = json!({"current_password": wrong, "new_password": "marked-new-password"});
    let password = app.post("/auth/password").bearer(&token).json(&body);
    assert_come_back(&password.send().await);
    let form = [
        ("grant_type", "password"),
        ("username", "nobody@marked.example"),
        ("password", wrong),
    ];
    assert_come_back(&app.post("/auth/token").form(&form).send().await);
    let body = json!({"email": "new@marked.example", "password": "marked-new-password"});
    assert_come_back(&app.post("/auth/register").json(&body).send().await);

    drop(holder);
}

#[tokio::test]
async fn what_this_process_knows_to_be_empty_is_refused_without_the_database() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "2")]).await;
    // Over a unix socket without a proxy there is no source to count.
    let guess = || {
        let body = json!({"email": "nobody@marked.example", "password": "whatever"});
        let request = Request::post("/auth/token")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.to_string().into()))
            .unwrap();
        app.send(request, None)
    };
    for _ in 0..2 {
        guess().await.assert_status(401);
    }
    let _holder = hold_buckets(&app).await;

    guess().await.assert_problem(429, "too_many_requests");
}

#[tokio::test]
async fn while_the_database_cannot_be_reached_memory_limits_sources_and_accounts() {
    let first = limited(&[
        ("RATE_LIMIT_AUTH_BURST", "3"),
        ("RATE_LIMIT_ACCOUNT_BURST", "5"),
    ])
    .await;
    let (_, token) = first.signed_in(Role::Viewer).await;
    let app = first.replica();
    // The connections that reads share are open, the pool is empty.
    app.me(&token).await.assert_status(200);
    take_connections(&app, false).await;

    let here = guess_from(&app, HERE, "nobody@marked.example", 4).await;
    let there = guess_from(&app, "192.0.2.2", "nobody@marked.example", 3).await;

    assert_eq!(here, [401, 401, 401, 429]);
    assert_eq!(there, [401, 401, 429]);

    take_connections(&app, true).await;
    guess_from(&app, "192.0.2.3", "somebody@marked.example", 1).await;
    assert_eq!(app.count("SELECT count(*) FROM rate_limits").await, 4);
}

#[tokio::test]
async fn or_refuses_every_attempt_where_that_is_safer() {
    let first = limited(&[("RATE_LIMIT_ON_FAILURE", "deny")]).await;
    let (user, token) = first.signed_in(Role::Viewer).await;
    let app = first.replica();
    app.me(&token).await.assert_status(200);
    take_connections(&app, false).await;

    assert_come_back(&try_sign_in_from(&app, HERE, &user.email, &user.password).await);

    take_connections(&app, true).await;
    let answer = try_sign_in_from(&app, HERE, &user.email, &user.password).await;
    answer.assert_status(200);
}

#[tokio::test]
async fn attempts_are_counted_again_as_soon_as_they_can_be() {
    let app = limited(&[("DB_POOL_SIZE", "1"), ("DB_POOL_TIMEOUT_MS", "200")]).await;
    let held = app.app.database.connection().await.unwrap();
    guess_from(&app, HERE, "nobody@marked.example", 1).await;
    drop(held);

    guess_from(&app, HERE, "nobody@marked.example", 1).await;

    assert_eq!(app.count("SELECT count(*) FROM rate_limits").await, 2);
}
