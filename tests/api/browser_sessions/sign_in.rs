//! How a session gets its cookie.

use http::Method;
use serde_json::json;
use warp_skeleton::features::identity::Role;

use super::{
    NAME, app, app_with, call, cookie_of, credentials, get, post, set_cookies, sign_in, signed_in,
    try_sign_in,
};
use crate::support::{TestApp, leaks::lines_of};

#[tokio::test]
async fn a_browser_gets_a_cookie_and_no_token() {
    let app = app().await;
    let user = app.user().create().await;

    let answer = try_sign_in(&app, &user).await;

    answer.assert_status(200);
    let body = answer.json();
    assert_eq!(body["expires_in"], 14 * 24 * 60 * 60);
    assert_eq!(body["user"]["email"], user.email);
    assert_eq!(body.as_object().unwrap().len(), 2);
    let [set] = &set_cookies(&answer)[..] else {
        panic!("{:?}", set_cookies(&answer));
    };
    let (pair, attributes) = set.split_once("; ").unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    assert_eq!(name, NAME);
    assert_eq!(value.len(), 43);
    assert_eq!(
        attributes,
        "HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=1209600"
    );
    let me = get(&app, "/auth/me", pair).await;
    me.assert_status(200);
    assert_eq!(me.json()["email"], user.email);
    assert!(set_cookies(&me).is_empty());
}

#[tokio::test]
async fn the_value_is_stored_and_logged_nowhere() {
    let app = app().await;
    let user = app.user().create().await;
    let answer = try_sign_in(&app, &user).await;
    let cookie = cookie_of(&answer);
    let (_, value) = cookie.split_once('=').unwrap();
    let me = get(&app, "/auth/me", &cookie).await;

    for answer in [answer, me] {
        let id = answer.header("x-correlation-id").to_owned();
        let lines = lines_of(&id);
        assert!(!lines.is_empty());
        assert!(lines.iter().all(|line| !line.to_string().contains(value)));
        assert!(!answer.text().contains(value));
    }
    let sql = "SELECT string_agg(s::text, ' ') FROM sessions AS s";
    let rows: String = app.value(sql, &[]).await;
    assert!(!rows.contains(value));
    let refresh_tokens = app.count("SELECT count(*) FROM refresh_tokens").await;
    assert_eq!(refresh_tokens, 0);
}

#[tokio::test]
async fn where_it_is_switched_off_there_is_none_and_none_is_looked_at() {
    let app = TestApp::start().await;
    let user = app.user().create().await;

    let answer = try_sign_in(&app, &user).await;

    answer.assert_invalid(&["/transport not_available"]);
    assert!(set_cookies(&answer).is_empty());
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
    let twice = format!("{NAME}=a; {NAME}=b");
    let me = get(&app, "/auth/me", &twice).await;
    me.assert_problem(401, "unauthenticated");
}

#[tokio::test]
async fn an_unknown_transport_is_refused() {
    let app = app().await;
    let user = app.user().create().await;
    let mut body = credentials(&user);
    body["transport"] = json!("pigeon");

    let answer = app.post("/auth/token").json(&body).send().await;

    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn a_wrong_password_sets_nothing() {
    let app = app().await;
    let mut user = app.user().create().await;
    user.password = "marked-wrong".to_owned();

    let answer = try_sign_in(&app, &user).await;

    answer.assert_problem(401, "invalid_credentials");
    assert!(set_cookies(&answer).is_empty());
}

#[tokio::test]
async fn a_planted_cookie_is_never_taken_over() {
    let app = app().await;
    let user = app.user().create().await;
    let planted = format!("{NAME}={}", "A".repeat(43));

    let call = call(&app, Method::POST, "/auth/token", &planted);
    let answer = call.json(&credentials(&user)).send().await;

    answer.assert_status(200);
    assert_ne!(cookie_of(&answer), planted);
    let refused = get(&app, "/auth/me", &planted).await;
    refused.assert_problem(401, "invalid_token");
}

#[tokio::test]
async fn signing_in_ends_the_session_that_the_browser_was_in() {
    let app = app().await;
    let (first, cookie) = signed_in(&app).await;
    let second = app.user().create().await;
    let elsewhere = app.sign_in(&first).await;

    let call = call(&app, Method::POST, "/auth/token", &cookie);
    let answer = call.json(&credentials(&second)).send().await;

    answer.assert_status(200);
    assert_eq!(app.sessions_of(&first).await, ["replaced", "live"]);
    let refused = get(&app.replica(), "/auth/me", &cookie).await;
    refused.assert_problem(401, "invalid_token");
    app.me(&elsewhere.access).await.assert_status(200);
    get(&app, "/auth/me", &cookie_of(&answer))
        .await
        .assert_status(200);
}

#[tokio::test]
async fn signing_in_again_ends_no_session_of_another_device() {
    let app = app_with(&[("MAX_SESSIONS_PER_USER", "2")]).await;
    let user = app.user().create().await;
    let laptop = app.sign_in(&user).await;
    let mut cookie = sign_in(&app, &user).await;

    for _ in 0..3 {
        let call = call(&app, Method::POST, "/auth/token", &cookie);
        let answer = call.json(&credentials(&user)).send().await;
        answer.assert_status(200);
        cookie = cookie_of(&answer);
    }

    app.me(&laptop.access).await.assert_status(200);
}

#[tokio::test]
async fn signing_in_ends_the_session_whose_next_cookie_never_arrived() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;
    // The reply with the new value is lost.
    let body = json!({"current_password": user.password});
    let changed = post(&app, "/auth/reauthenticate", &cookie, Some(&body)).await;
    changed.assert_status(204);

    let call = call(&app, Method::POST, "/auth/token", &cookie);
    let answer = call.json(&credentials(&user)).send().await;

    answer.assert_status(200);
    assert_eq!(app.sessions_of(&user).await, ["replaced", "live"]);
}

#[tokio::test]
async fn the_forms_of_oauth_neither_set_nor_read_it() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;

    let form = [
        ("grant_type", "password"),
        ("username", user.email.as_str()),
        ("password", user.password.as_str()),
    ];
    let call_form = app.post("/auth/token").header("cookie", &cookie);
    let answer = call_form.form(&form).send().await;
    answer.assert_status(200);
    assert!(set_cookies(&answer).is_empty());
    let token = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    let call_form = app.post("/auth/revoke").header("cookie", &cookie);
    let answer = call_form.form(&[("token", &token)]).send().await;
    answer.assert_status(200);
    assert!(set_cookies(&answer).is_empty());

    assert_eq!(app.sessions_of(&user).await, ["live", "revoked"]);
}

#[tokio::test]
async fn a_bearer_token_wins_over_a_cookie_whatever_it_is() {
    let app = app().await;
    let (_, cookie) = signed_in(&app).await;
    let (other, token) = app.signed_in(Role::Viewer).await;

    let me = app.get("/auth/me").bearer(&token).header("cookie", &cookie);
    assert_eq!(me.send().await.json()["email"], other.email);
    let me = app.get("/auth/me").bearer("nonsense");
    let me = me.header("cookie", &cookie).send().await;
    me.assert_problem(401, "invalid_token");
    // A proxy in front may ask for a password of its own.
    let me = app.get("/auth/me").header("authorization", "Basic YTpi");
    me.header("cookie", &cookie).send().await.assert_status(200);
}

#[tokio::test]
async fn two_session_cookies_are_refused() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;
    let twice = format!("{cookie}; {cookie}");

    let me = get(&app, "/auth/me", &twice).await;
    me.assert_problem(400, "invalid_request");
    let again = post(&app, "/auth/token", &twice, Some(&credentials(&user))).await;
    again.assert_problem(400, "invalid_request");

    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test]
async fn the_list_says_which_sessions_a_cookie_holds() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;
    app.sign_in(&user).await;
    sign_in(&app, &user).await;

    let answer = get(&app, "/auth/sessions", &cookie).await;

    let items = answer.json()["items"].clone();
    let items = items.as_array().unwrap();
    let transports: Vec<_> = items.iter().map(|item| &item["transport"]).collect();
    assert_eq!(transports, ["cookie", "token", "cookie"]);
    assert_eq!(items[0]["current"], true);
}
