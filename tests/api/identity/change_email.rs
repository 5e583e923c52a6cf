//! `PATCH /auth/me`

use futures_util::future::join_all;
use serde_json::{Value, json};
use time::Duration;
use warp_skeleton::features::identity::Role;

use crate::support::{Answer, TestApp, TestUser};

async fn change(app: &TestApp, token: &str, body: &Value) -> Answer {
    app.patch("/auth/me").bearer(token).json(body).send().await
}

fn to(email: &str, user: &TestUser) -> Value {
    json!({"email": email, "current_password": user.password})
}

async fn email_of(app: &TestApp, user: &TestUser) -> String {
    let sql = "SELECT email FROM users WHERE id = $1";
    app.value(sql, &[user.id.as_uuid()]).await
}

#[tokio::test]
async fn whoever_knows_the_password_gets_another_address() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Member).await;
    let before = app.me(&token).await.json();
    app.advance(Duration::minutes(1));

    let answer = change(&app, &token, &to("New.Address@Marked.Example", &user)).await;

    answer.assert_status(200);
    let after = answer.json();
    assert_eq!(after["email"], "new.address@marked.example");
    assert_eq!(after["id"], user.id.to_string());
    assert_eq!(after["role"], "MEMBER");
    assert_eq!(after["created_at"], before["created_at"]);
    assert_ne!(after["updated_at"], before["updated_at"]);
    assert_eq!(email_of(&app, &user).await, "new.address@marked.example");
    let old = app.try_sign_in(&user.email, &user.password).await;
    old.assert_problem(401, "invalid_credentials");
    let new = app
        .try_sign_in("new.address@marked.example", &user.password)
        .await;
    new.assert_status(200);
    assert_eq!(app.me(&token).await.json(), after);
}

#[tokio::test]
async fn the_old_address_is_free_for_somebody_else() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let moved = change(&app, &token, &to("moved@marked.example", &user)).await;
    moved.assert_status(200);

    app.user().email(&user.email).create().await;

    assert_eq!(app.count("SELECT count(*) FROM users").await, 2);
}

#[tokio::test]
async fn ones_own_address_is_not_taken() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;

    let answer = change(&app, &token, &to(&user.email.to_uppercase(), &user)).await;

    answer.assert_status(200);
    assert_eq!(email_of(&app, &user).await, user.email);
}

#[tokio::test]
async fn an_address_that_somebody_has_is_a_conflict() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let other = app.user().create().await;

    for email in [other.email.clone(), other.email.to_uppercase()] {
        let answer = change(&app, &token, &to(&email, &user)).await;

        answer.assert_problem(409, "email_taken");
        assert!(!answer.text().contains("marked"), "{}", answer.text());
    }

    assert_eq!(email_of(&app, &user).await, user.email);
    assert_eq!(email_of(&app, &other).await, other.email);
}

#[tokio::test]
async fn a_wrong_password_changes_nothing() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let other = app.user().create().await;

    for email in ["new@marked.example", &other.email] {
        let body = json!({"email": email, "current_password": "marked-password-wrong"});
        let answer = change(&app, &token, &body).await;

        // Who has an address is told only to those who know the password.
        answer.assert_problem(422, "current_password_incorrect");
    }

    assert_eq!(email_of(&app, &user).await, user.email);
    app.me(&token).await.assert_status(200);
}

#[tokio::test]
async fn a_body_that_breaks_a_rule_is_invalid() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let too_long = format!("{}@marked.example", "a".repeat(250));

    for (field, value, expected) in [
        ("role", json!("OWNER"), " unknown_field"),
        ("is_active", json!(true), " unknown_field"),
        ("password", json!("marked-password"), " unknown_field"),
        (
            "id",
            json!("01890000-0000-7000-8000-000000000000"),
            " unknown_field",
        ),
        ("email", json!(null), "/email invalid_type"),
        ("email", json!("nobody"), "/email invalid_email"),
        (
            "email",
            json!("new@marked.example "),
            "/email invalid_email",
        ),
        ("email", json!(too_long), "/email too_long"),
        (
            "email",
            json!("new\0@marked.example"),
            "/email nul_character",
        ),
        (
            "current_password",
            json!(["marked-password"]),
            "/current_password invalid_type",
        ),
        (
            "current_password",
            json!("\0"),
            "/current_password nul_character",
        ),
    ] {
        let mut body = to("new@marked.example", &user);
        body[field] = value;
        let answer = change(&app, &token, &body).await;

        answer.assert_invalid(&[expected]);
    }

    assert_eq!(email_of(&app, &user).await, user.email);
    assert_eq!(app.role_of(&user).await, ("VIEWER".to_owned(), true));
}

#[tokio::test]
async fn both_fields_are_required_and_given_once() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;

    for (body, expected) in [
        (
            r#"{"email": "new@marked.example"}"#,
            "/current_password required",
        ),
        (
            r#"{"current_password": "marked-password"}"#,
            "/email required",
        ),
        (
            r#"{"email": "a@marked.example", "email": "b@marked.example", "current_password": "x"}"#,
            "/email duplicate_field",
        ),
    ] {
        let call = app.patch("/auth/me").bearer(&token).json(&json!(null));
        let answer = call.body(body).send().await;

        answer.assert_invalid(&[expected]);
    }

    assert_eq!(email_of(&app, &user).await, user.email);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let good = to("new@marked.example", &user);
    let call = || app.patch("/auth/me").bearer(&token);

    let malformed = call().json(&good).body("{").send().await;
    let untyped = call().body(good.to_string()).send().await;
    let huge = call().json(&to(&"a".repeat(70_000), &user)).send().await;
    let query = app.patch("/auth/me?x=1").bearer(&token).json(&good);

    malformed.assert_problem(400, "malformed_json");
    untyped.assert_problem(415, "unsupported_media_type");
    assert_eq!(untyped.header("accept-patch"), "application/json");
    huge.assert_problem(413, "body_too_large");
    query.send().await.assert_invalid(&[" unknown_parameter"]);
    assert_eq!(email_of(&app, &user).await, user.email);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_an_address_at_once_one_gets_it() {
    let app = TestApp::start().await;
    let mut callers = Vec::new();
    for _ in 0..8 {
        callers.push(app.signed_in(Role::Viewer).await);
    }
    let bodies: Vec<_> = callers
        .iter()
        .map(|(user, _)| to("wanted@marked.example", user))
        .collect();

    let attempts = callers.iter().zip(&bodies);
    let attempts = attempts.map(|((_, token), body)| change(&app, token, body));
    let answers = join_all(attempts).await;

    let (given, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(given.len(), 1);
    for answer in others {
        answer.assert_problem(409, "email_taken");
    }
}

#[tokio::test]
async fn ones_password_is_no_address_of_ones_own() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let to_password = format!("{}@marked.example", user.password.to_uppercase());

    let answer = change(&app, &token, &to(&to_password, &user)).await;

    answer.assert_invalid(&["/email own_address"]);
    assert_eq!(email_of(&app, &user).await, user.email);
}
