//! `POST /auth/reauthenticate`

use serde_json::json;
use time::OffsetDateTime;
use warp_skeleton::features::identity::Role;

use super::recheck::wait_until_one_waits;
use crate::support::{Answer, TestApp, TestUser};

async fn reauthenticate(app: &TestApp, token: &str, password: &str) -> Answer {
    let call = app.post("/auth/reauthenticate").bearer(token);
    call.json(&json!({"current_password": password}))
        .send()
        .await
}

/// When the password was last given in the sessions of this user, oldest session first. `None`: when they were opened.
async fn given_at(app: &TestApp, user: &TestUser) -> Vec<Option<OffsetDateTime>> {
    let sql = "SELECT authenticated_at FROM sessions WHERE user_id = $1 ORDER BY created_at, id";
    let database = app.database().await;
    let rows = database.query(sql, &[user.id.as_uuid()]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn the_password_is_noted_as_given_in_this_session_alone() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    app.sign_in(&user).await;
    let token = app.sign_in(&user).await.access;
    app.advance(time::Duration::minutes(5));

    let answer = reauthenticate(&app, &token, &user.password).await;

    answer.assert_status(204);
    assert!(answer.body.is_empty());
    let [other, this] = given_at(&app, &user).await[..] else {
        panic!("there are two sessions");
    };
    assert_eq!(other, None);
    assert!(this.is_some_and(|at| app.now() - at < time::Duration::minutes(1)));
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_counts_as_one_at_sign_in() {
    let app = TestApp::with(&[
        ("RATE_LIMIT", "on"),
        ("RATE_LIMIT_ACCOUNT_PER_MINUTE", "1"),
        ("RATE_LIMIT_ACCOUNT_BURST", "3"),
    ])
    .await;
    let (user, token) = app.signed_in(Role::Viewer).await;

    for _ in 0..3 {
        let answer = reauthenticate(&app, &token, "marked-wrong").await;
        answer.assert_problem(422, "current_password_incorrect");
    }

    assert_eq!(given_at(&app, &user).await, [None]);
    let answer = reauthenticate(&app, &token, &user.password).await;
    answer.assert_problem(429, "too_many_requests");
    let answer = app.try_sign_in(&user.email, &user.password).await;
    answer.assert_problem(429, "too_many_requests");
}

#[tokio::test]
async fn a_password_that_is_changed_meanwhile_is_not_taken() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let mut database = app.database().await;
    let transaction = database.transaction().await.unwrap();
    let sql = "UPDATE users SET password_hash = $2 WHERE id = $1";
    let other = app.password_hash_of(&app.user().create().await).await;
    let other = other.replace(['A', 'B'], "C");
    transaction
        .execute(sql, &[user.id.as_uuid(), &other])
        .await
        .unwrap();

    let commit = async {
        wait_until_one_waits(&app).await;
        transaction.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(reauthenticate(&app, &token, &user.password), commit);

    answer.assert_problem(422, "current_password_incorrect");
    assert_eq!(given_at(&app, &user).await, [None]);
}
