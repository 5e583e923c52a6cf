//! `POST /auth/password`

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use warp_skeleton::features::identity::{Email, Error, Password, PasswordError, Role};

use super::recheck::wait_until_one_waits;
use crate::support::{Answer, TestApp, TestUser};

const NEW: &str = "marked-password-new";

async fn change(app: &TestApp, token: &str, body: &Value) -> Answer {
    let call = app.post("/auth/password").bearer(token);
    call.json(body).send().await
}

fn to(new: &str, user: &TestUser) -> Value {
    json!({"current_password": user.password, "new_password": new})
}

#[tokio::test]
async fn from_now_on_only_the_new_password_signs_in() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let before = app.password_hash_of(&user).await;

    let answer = change(&app, &token, &to(NEW, &user)).await;

    answer.assert_status(204);
    assert!(answer.body.is_empty());
    assert_ne!(app.password_hash_of(&user).await, before);
    let old = app.try_sign_in(&user.email, &user.password).await;
    old.assert_problem(401, "invalid_credentials");
    app.try_sign_in(&user.email, NEW).await.assert_status(200);
}

#[tokio::test]
async fn the_other_sessions_end_and_this_one_stays() {
    let app = TestApp::start().await;
    let (user, bystander) = (app.user().create().await, app.user().create().await);
    let (there, here) = (app.sign_in(&user).await, app.sign_in(&user).await);
    let bystanders = app.sign_in(&bystander).await;

    let answer = change(&app, &here.access, &to(NEW, &user)).await;

    answer.assert_status(204);
    assert_eq!(app.sessions_of(&user).await, ["password_change", "live"]);
    assert_eq!(app.sessions_of(&bystander).await, ["live"]);
    let refused = app.replica().me(&there.access).await;
    refused.assert_problem(401, "invalid_token");
    let refused = app.try_refresh(&there.refresh).await;
    refused.assert_problem(401, "invalid_token");
    app.me(&here.access).await.assert_status(200);
    app.try_refresh(&here.refresh).await.assert_status(200);
    app.me(&bystanders.access).await.assert_status(200);
}

#[tokio::test]
async fn a_wrong_current_password_changes_nothing() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let (there, here) = (app.sign_in(&user).await, app.sign_in(&user).await);
    let before = app.password_hash_of(&user).await;

    for wrong in ["", "marked-password-wrong", &"m".repeat(2000)] {
        let body = json!({"current_password": wrong, "new_password": NEW});
        let answer = change(&app, &here.access, &body).await;

        answer.assert_problem(422, "current_password_incorrect");
    }

    assert_eq!(app.password_hash_of(&user).await, before);
    assert_eq!(app.sessions_of(&user).await, ["live", "live"]);
    app.me(&there.access).await.assert_status(200);
}

#[tokio::test]
async fn the_new_password_has_to_meet_the_rules() {
    let app = TestApp::start().await;
    let user = app.user().email("adalovelace@marked.example");
    let user = user.create().await;
    let tokens = app.sign_in(&user).await;
    let before = app.password_hash_of(&user).await;
    let too_long = "m".repeat(129);

    for (new, code) in [
        ("", "too_short"),
        ("marked7", "too_short"),
        (too_long.as_str(), "too_long"),
        ("Password1", "too_common"),
        ("AdaLovelace", "own_address"),
        ("adalovelace@marked.example", "own_address"),
    ] {
        let answer = change(&app, &tokens.access, &to(new, &user)).await;

        answer.assert_invalid(&[&format!("/new_password {code}")]);
    }

    assert_eq!(app.password_hash_of(&user).await, before);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test]
async fn a_body_that_breaks_a_rule_is_invalid() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let before = app.password_hash_of(&user).await;

    for (body, expected) in [
        (
            r#"{"new_password": "marked-password-new"}"#,
            "/current_password required",
        ),
        (
            r#"{"current_password": "marked-password"}"#,
            "/new_password required",
        ),
        (
            r#"{"current_password": "marked-password", "new_password": 12345678}"#,
            "/new_password invalid_type",
        ),
        (
            r#"{"current_password": "marked-password", "new_password": "marked\u0000password"}"#,
            "/new_password nul_character",
        ),
        (
            r#"{"current_password": "a", "current_password": "b", "new_password": "marked-password-new"}"#,
            "/current_password duplicate_field",
        ),
        (
            r#"{"current_password": "a", "new_password": "marked-password-new", "email": "a@marked.example"}"#,
            " unknown_field",
        ),
    ] {
        let call = app.post("/auth/password").bearer(&token);
        let answer = call.json(&json!(null)).body(body).send().await;

        answer.assert_invalid(&[expected]);
        assert!(!answer.text().contains("marked"), "{}", answer.text());
    }

    assert_eq!(app.password_hash_of(&user).await, before);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let before = app.password_hash_of(&user).await;
    let good = to(NEW, &user);
    let call = || app.post("/auth/password").bearer(&token);

    let malformed = call().json(&good).body("{").send().await;
    let untyped = call().body(good.to_string()).send().await;
    let huge = call().json(&to(&"m".repeat(70_000), &user)).send().await;
    let query = app.post("/auth/password?x=1").bearer(&token).json(&good);

    malformed.assert_problem(400, "malformed_json");
    untyped.assert_problem(415, "unsupported_media_type");
    huge.assert_problem(413, "body_too_large");
    query.send().await.assert_invalid(&[" unknown_parameter"]);
    assert_eq!(app.password_hash_of(&user).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_at_once_the_winner_keeps_its_session() {
    let app = TestApp::start().await;

    for round in 0..5 {
        let user = app.user().create().await;
        let sessions = [app.sign_in(&user).await, app.sign_in(&user).await];
        let passwords = [0, 1].map(|number| format!("marked-password-{round}-{number}"));
        let bodies = [to(&passwords[0], &user), to(&passwords[1], &user)];

        let attempts = sessions.iter().zip(&bodies);
        let attempts = attempts.map(|(tokens, body)| change(&app, &tokens.access, body));
        let answers = join_all(attempts).await;

        let won: Vec<_> = answers.iter().map(|answer| answer.status == 204).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{answers:?}");
        for (index, won) in won.into_iter().enumerate() {
            let signed_in = app.try_sign_in(&user.email, &passwords[index]).await;
            let me = app.me(&sessions[index].access).await;
            let expected = if won { 200 } else { 401 };
            signed_in.assert_status(expected);
            me.assert_status(expected);
        }
    }
}

/// Waits until a change of a user's password wants the lock, and lets the user have another address by then.
async fn move_under_lock(app: &TestApp, user: &TestUser, email: &str, changed: impl Future) {
    let mut database = app.database().await;
    let transaction = database.transaction().await.unwrap();
    let sql = "UPDATE users SET email = $2 WHERE id = $1";
    let parameters: [&(dyn ToSql + Sync); 2] = [user.id.as_uuid(), &email];
    transaction.execute(sql, &parameters).await.unwrap();
    let release = async {
        wait_until_one_waits(app).await;
        transaction.commit().await.unwrap();
    };
    tokio::join!(changed, release);
}

#[tokio::test]
async fn a_password_is_no_address_that_the_account_was_given_meanwhile() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let before = app.password_hash_of(&user).await;
    let changed = async {
        let answer = change(&app, &token, &to("Marked-Moved", &user)).await;
        answer.assert_invalid(&["/new_password own_address"]);
    };

    move_under_lock(&app, &user, "marked-moved@marked.example", changed).await;

    assert_eq!(app.password_hash_of(&user).await, before);
}

#[tokio::test]
async fn nor_is_one_that_an_operator_sets() {
    let app = TestApp::start().await;
    let (user, _) = app.signed_in(Role::Viewer).await;
    let before = app.password_hash_of(&user).await;
    let email = Email::parse(&user.email).unwrap();
    let new = Password::parse(&"marked-moved".into(), &email, app.auth.policy()).unwrap();
    let changed = async {
        let refused = app.auth.set_password(user.id, new).await.unwrap_err();
        assert!(matches!(
            refused,
            Error::NewPassword(PasswordError::OwnAddress)
        ));
    };

    move_under_lock(&app, &user, "marked-moved@marked.example", changed).await;

    assert_eq!(app.password_hash_of(&user).await, before);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}
