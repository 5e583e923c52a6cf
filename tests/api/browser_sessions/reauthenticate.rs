//! Giving the password again changes the cookie.

use http::Method;
use serde_json::json;
use warp_skeleton::features::identity::Role;

use super::{app, call, cookie_of, get, post, set_cookies, signed_in};
use crate::{
    identity::wait_until_one_waits,
    support::{Answer, TestApp, TestUser},
};

async fn reauthenticate(app: &TestApp, user: &TestUser, cookie: &str) -> Answer {
    let body = json!({"current_password": user.password});
    post(app, "/auth/reauthenticate", cookie, Some(&body)).await
}

/// Has it be so many seconds since the cookies were changed, by the clock of PostgreSQL.
async fn pass(app: &TestApp, seconds: f64) {
    let sql = "UPDATE sessions SET cookie_changed_at = cookie_changed_at - $1 * interval '1 s'";
    app.database()
        .await
        .execute(sql, &[&seconds])
        .await
        .unwrap();
}

#[tokio::test]
async fn the_new_value_is_good_and_the_old_one_reads_for_ten_seconds() {
    let app = app().await;
    let (user, old) = signed_in(&app).await;

    let answer = reauthenticate(&app, &user, &old).await;

    answer.assert_status(204);
    let new = cookie_of(&answer);
    assert_ne!(new, old);
    let [set] = &set_cookies(&answer)[..] else {
        panic!()
    };
    assert!(set.ends_with("; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=1209600"));
    get(&app, "/auth/me", &new).await.assert_status(200);
    for method in [Method::GET, Method::HEAD] {
        let late = call(&app.replica(), method, "/auth/me", &old).send().await;
        late.assert_status(200);
        assert!(set_cookies(&late).is_empty());
    }
    let late = post(&app, "/auth/logout", &old, None).await;
    late.assert_problem(401, "invalid_token");
    pass(&app, 10.0).await;
    let late = get(&app, "/auth/me", &old).await;
    late.assert_problem(401, "invalid_token");
    get(&app, "/auth/me", &new).await.assert_status(200);
}

#[tokio::test]
async fn the_old_value_sets_no_cookie_even_where_one_is_due() {
    let app = app().await;
    let (user, old) = signed_in(&app).await;
    app.advance(time::Duration::days(3));
    reauthenticate(&app, &user, &old).await.assert_status(204);

    let late = get(&app, "/auth/me", &old).await;

    late.assert_status(200);
    assert!(set_cookies(&late).is_empty());
}

#[tokio::test]
async fn a_wrong_password_changes_nothing() {
    let app = app().await;
    let (mut user, cookie) = signed_in(&app).await;
    user.password = "marked-wrong".to_owned();

    let answer = reauthenticate(&app, &user, &cookie).await;

    answer.assert_problem(422, "current_password_incorrect");
    assert!(set_cookies(&answer).is_empty());
    get(&app, "/auth/me", &cookie).await.assert_status(200);
}

#[tokio::test]
async fn a_session_with_tokens_gets_no_cookie() {
    let app = app().await;
    let (user, token) = app.signed_in(Role::Viewer).await;

    let body = json!({"current_password": user.password});
    let call = app.post("/auth/reauthenticate").bearer(&token).json(&body);
    let answer = call.send().await;

    answer.assert_status(204);
    assert!(set_cookies(&answer).is_empty());
}

/// The password is given in another tab while a request with the value before is on its way: it was admitted, and is
/// refused in the transaction that would write.
#[tokio::test]
async fn a_value_that_is_replaced_meanwhile_does_not_write() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;
    let mut database = app.database().await;
    let transaction = database.transaction().await.unwrap();
    let id = user.id;
    let lock = "SELECT FROM users WHERE id = $1 FOR UPDATE";
    transaction.execute(lock, &[id.as_uuid()]).await.unwrap();

    let replace = async {
        wait_until_one_waits(&app).await;
        let sql = "
UPDATE sessions
SET previous_cookie_hash = cookie_hash, cookie_hash = sha256('marked'), cookie_changed_at = now()
WHERE user_id = $1";
        transaction.execute(sql, &[id.as_uuid()]).await.unwrap();
        transaction.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(post(&app, "/auth/logout-all", &cookie, None), replace);

    answer.assert_problem(401, "invalid_token");
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}
