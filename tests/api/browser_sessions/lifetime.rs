//! How long a session and its cookie last.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::StreamBody;
use time::{Duration, OffsetDateTime};

use super::{app, app_with, call, get, post, set_cookies, signed_in};
use crate::{
    identity::wait_until_one_waits,
    support::{TestApp, TestUser},
};

async fn expires_at(app: &TestApp, user: &TestUser) -> OffsetDateTime {
    let sql = "SELECT expires_at FROM sessions WHERE user_id = $1";
    app.value(sql, &[user.id.as_uuid()]).await
}

/// Has it written which sessions were in use.
async fn write_activity(app: &mut TestApp) {
    let tasks = app.start_tasks();
    tasks.stop().await;
}

#[tokio::test]
async fn the_cookie_is_renewed_after_a_tenth_of_its_life_and_the_session_with_it() {
    let mut app = app().await;
    let (user, cookie) = signed_in(&app).await;
    let opened = expires_at(&app, &user).await;
    let tasks = app.start_tasks();

    app.advance(Duration::days(1));
    let answer = get(&app, "/auth/me", &cookie).await;
    assert!(set_cookies(&answer).is_empty());
    app.advance(Duration::hours(10));
    let answer = get(&app, "/auth/me", &cookie).await;

    let expected = format!("{cookie}; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=1209600");
    assert_eq!(set_cookies(&answer), [expected]);
    tasks.stop().await;
    let moved = expires_at(&app, &user).await - opened;
    assert_eq!(moved.whole_hours(), 34);
}

#[tokio::test]
async fn neither_outlives_the_longest_session() {
    let mut app = app_with(&[("SESSION_MAX_DAYS", "15")]).await;
    let (user, cookie) = signed_in(&app).await;
    let ends_at: OffsetDateTime = app
        .value(
            "SELECT ends_at FROM sessions WHERE user_id = $1",
            &[user.id.as_uuid()],
        )
        .await;
    app.advance(Duration::days(10));

    let answer = get(&app, "/auth/me", &cookie).await;

    // A day is less than a tenth of fourteen.
    assert!(set_cookies(&answer).is_empty());
    write_activity(&mut app).await;
    assert!(expires_at(&app, &user).await < ends_at);
}

#[tokio::test]
async fn the_last_renewal_reaches_to_the_end_of_the_session() {
    let mut app = app_with(&[("SESSION_MAX_DAYS", "20")]).await;
    let (user, cookie) = signed_in(&app).await;
    app.advance(Duration::days(10));

    let tasks = app.start_tasks();
    let answer = get(&app, "/auth/me", &cookie).await;
    tasks.stop().await;

    let [set] = &set_cookies(&answer)[..] else {
        panic!("{:?}", set_cookies(&answer));
    };
    let seconds = 10 * 24 * 60 * 60;
    assert!(set.ends_with(&format!("; Max-Age={seconds}")), "{set}");
    let is_last = "SELECT expires_at = ends_at FROM sessions WHERE user_id = $1";
    assert!(app.value::<bool>(is_last, &[user.id.as_uuid()]).await);
    app.advance(Duration::days(10));
    let ended = get(&app, "/auth/me", &cookie).await;
    ended.assert_problem(401, "invalid_token");
}

#[tokio::test]
async fn one_that_is_not_used_ends() {
    let app = app().await;
    let (_, cookie) = signed_in(&app).await;

    app.advance(Duration::days(14));

    let ended = get(&app, "/auth/me", &cookie).await;
    ended.assert_problem(401, "invalid_token");
    assert!(set_cookies(&ended).is_empty());
}

#[tokio::test]
async fn what_is_renewed_and_cleared_at_once_is_cleared() {
    let app = app().await;
    let (_, cookie) = signed_in(&app).await;
    app.advance(Duration::days(2));

    let answer = call(&app, Method::POST, "/auth/logout", &cookie)
        .send()
        .await;

    answer.assert_status(204);
    let [set] = &set_cookies(&answer)[..] else {
        panic!("{:?}", set_cookies(&answer));
    };
    assert!(set.ends_with("Max-Age=0"), "{set}");
}

/// Two tabs sign out at once. The one that comes too late must not bring back what the other one cleared.
#[tokio::test]
async fn what_fails_renews_nothing() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;
    app.advance(Duration::days(2));
    let mut database = app.database().await;
    let transaction = database.transaction().await.unwrap();
    let lock = "SELECT FROM users WHERE id = $1 FOR UPDATE";
    transaction
        .execute(lock, &[user.id.as_uuid()])
        .await
        .unwrap();

    let end = async {
        wait_until_one_waits(&app).await;
        let sql =
            "UPDATE sessions SET revoked_at = now(), revoked_for = 'logout' WHERE user_id = $1";
        transaction
            .execute(sql, &[user.id.as_uuid()])
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(post(&app, "/auth/logout-all", &cookie, None), end);

    answer.assert_problem(401, "invalid_token");
    assert!(
        set_cookies(&answer).is_empty(),
        "{:?}",
        set_cookies(&answer)
    );
}

/// Another tab gives the password again while the first one still waits for its answer.
#[tokio::test]
async fn a_value_that_is_replaced_while_a_reply_is_made_does_not_come_back() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;
    app.advance(Duration::days(2));
    let database = app.database().await;
    // What the endpoint leaves of a body is read before the answer is complete.
    let replaced = async move {
        let sql = "UPDATE sessions SET cookie_hash = sha256('another') WHERE user_id = $1";
        database.execute(sql, &[user.id.as_uuid()]).await.unwrap();
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))
    };
    let request = Request::get("/auth/me")
        .header("host", "localhost")
        .header("cookie", &cookie)
        .header("sec-fetch-site", "same-origin")
        .body(StreamBody::new(Box::pin(stream::once(replaced))));

    let answer = app.send(request.unwrap(), None).await;

    answer.assert_status(200);
    let set = set_cookies(&answer);
    assert!(set.is_empty(), "{set:?}");
    get(&app, "/auth/me", &cookie)
        .await
        .assert_problem(401, "invalid_token");
}

#[tokio::test]
async fn sessions_with_tokens_are_not_extended_by_use() {
    let mut app = app().await;
    let user = app.user().create().await;
    let token = app.sign_in(&user).await.access;
    let opened = expires_at(&app, &user).await;
    app.advance(Duration::minutes(10));

    let tasks = app.start_tasks();
    app.me(&token).await.assert_status(200);
    tasks.stop().await;

    assert_eq!(expires_at(&app, &user).await, opened);
}
