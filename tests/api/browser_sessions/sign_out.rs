//! What has a browser forget its cookie, and what does not.

use http::Method;
use serde_json::json;
use uuid::Uuid;
use warp_skeleton::features::identity::Role;

use super::{app, call, get, post, set_cookies, sign_in, signed_in};

const FORGET: &str = "__Host-session=; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=0";

#[tokio::test]
async fn signing_out_ends_the_session_everywhere_and_clears_the_cookie() {
    let app = app().await;
    for path in ["/auth/logout", "/auth/logout-all"] {
        let (_, cookie) = signed_in(&app).await;

        let answer = post(&app, path, &cookie, None).await;

        answer.assert_status(204);
        assert_eq!(set_cookies(&answer), [FORGET], "{path}");
        let refused = get(&app.replica(), "/auth/me", &cookie).await;
        refused.assert_problem(401, "invalid_token");
        // A late answer to another tab would delete the cookie that a new sign-in has just set.
        assert!(set_cookies(&refused).is_empty());
    }
}

#[tokio::test]
async fn ending_ones_own_session_from_the_list_clears_it_and_ending_another_does_not() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;
    app.sign_in(&user).await;
    let sql = "SELECT id FROM sessions WHERE user_id = $1 AND (cookie_hash IS NOT NULL) = $2";
    let id = user.id;
    let own: Uuid = app.value(sql, &[id.as_uuid(), &true]).await;
    let other: Uuid = app.value(sql, &[id.as_uuid(), &false]).await;

    let ended = |id: Uuid| {
        call(
            &app,
            Method::DELETE,
            &format!("/auth/sessions/{id}"),
            &cookie,
        )
    };
    let answer = ended(other).send().await;
    answer.assert_status(204);
    assert!(set_cookies(&answer).is_empty());
    let answer = ended(own).send().await;
    answer.assert_status(204);
    assert_eq!(set_cookies(&answer), [FORGET]);
}

#[tokio::test]
async fn deleting_ones_own_account_clears_it_and_deleting_another_does_not() {
    let app = app().await;
    let admin = app.user().role(Role::Admin).create().await;
    let other = app.user().create().await;
    let cookie = sign_in(&app, &admin).await;

    let deleted = |id: &str| call(&app, Method::DELETE, &format!("/users/{id}"), &cookie);
    let answer = deleted(&other.id.to_string()).send().await;
    answer.assert_status(204);
    assert!(set_cookies(&answer).is_empty());
    let answer = deleted(&admin.id.to_string()).send().await;
    answer.assert_status(204);
    assert_eq!(set_cookies(&answer), [FORGET]);
}

#[tokio::test]
async fn who_signs_out_by_a_token_keeps_the_cookie() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;
    let token = app.sign_in(&user).await.access;

    let call = app.post("/auth/logout").bearer(&token);
    let answer = call.header("cookie", &cookie).send().await;

    answer.assert_status(204);
    assert!(set_cookies(&answer).is_empty());
    get(&app, "/auth/me", &cookie).await.assert_status(200);
}

#[tokio::test]
async fn what_ends_sessions_ends_those_of_browsers_on_the_other_replica() {
    let app = app().await;
    let other = app.replica();
    let (admin, token) = app.signed_in(Role::Admin).await;
    let _ = admin;
    let (user, cookie) = signed_in(&app).await;

    let body = json!({"is_active": false});
    let change = app.patch(&format!("/users/{}", user.id)).bearer(&token);
    change.json(&body).send().await.assert_status(200);

    let refused = get(&other, "/auth/me", &cookie).await;
    refused.assert_problem(401, "invalid_token");
    assert!(set_cookies(&refused).is_empty());
}

#[tokio::test]
async fn another_password_ends_the_other_browsers_and_keeps_this_one() {
    let app = app().await;
    let (user, here) = signed_in(&app).await;
    let there = sign_in(&app, &user).await;

    let body = json!({"current_password": user.password, "new_password": "marked-password-new"});
    let answer = post(&app, "/auth/password", &here, Some(&body)).await;

    answer.assert_status(204);
    get(&app, "/auth/me", &here).await.assert_status(200);
    get(&app, "/auth/me", &there)
        .await
        .assert_problem(401, "invalid_token");
}

// recovery: begin
#[tokio::test]
async fn a_cookie_whose_session_has_ended_is_no_obstacle_where_nobody_has_to_be_signed_in() {
    let app = app().await;
    let old = format!("{}={}", super::NAME, "A".repeat(43));
    let body = json!({"token": "x", "password": "marked-password"});

    let answer = post(&app, "/auth/email/verify", &old, Some(&body)).await;

    answer.assert_problem(422, "token_invalid");
    // A proxy in front asks for a name and a password of its own.
    let call = call(&app, Method::POST, "/auth/email/verify", &old);
    let call = call.header("authorization", "Basic YTpi").json(&body);
    call.send().await.assert_problem(422, "token_invalid");
}

#[tokio::test]
async fn where_nobody_has_to_be_signed_in_a_cookie_and_a_key_are_under_their_rules() {
    let app = app().await;
    let (_, cookie) = signed_in(&app).await;
    let body = json!({"token": "x", "password": "marked-password"});
    for path in ["/auth/email/verify", "/auth/email/change"] {
        let call = app.post(path).header("cookie", &cookie);
        let call = call.header("sec-fetch-site", "cross-site").json(&body);
        call.send().await.assert_problem(403, "cross_site_request");
        // api_keys: begin
        let user = app.user().create().await;
        let key = app.key_of(user.id, &["account:read"]).await;
        let call = app.post(path).bearer(&key.key).json(&body);
        call.send().await.assert_problem(403, "key_not_allowed");
        // api_keys: end
    }
}
// recovery: end
