//! How often one account is guessed at, from wherever.

use serde_json::json;
use warp_skeleton::features::identity::Role;

use super::{guess_from, let_fill, limited, try_sign_in_from};
use crate::support::{TestApp, TestUser};

/// Guesses at an account from a new address each time, until its bucket is empty.
async fn besiege(app: &TestApp, email: &str, burst: u8) {
    for number in 0..burst {
        let ip = format!("198.51.100.{number}");
        assert_eq!(guess_from(app, &ip, email, 1).await, [401]);
    }
    assert_eq!(guess_from(app, "198.51.100.99", email, 1).await, [429]);
}

async fn change_password(app: &TestApp, token: &str, user: &TestUser) -> u16 {
    let body = json!({"current_password": user.password, "new_password": "marked-new-password"});
    let call = app.post("/auth/password").bearer(token).json(&body);
    call.from("203.0.113.1").send().await.status.as_u16()
}

#[tokio::test]
async fn many_sources_that_guess_at_one_account_are_refused() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "4")]).await;
    let user = app.user().create().await;

    besiege(&app, &user.email, 4).await;

    // Not even the right password tells them anything.
    let refused = try_sign_in_from(&app, "203.0.113.1", &user.email, &user.password).await;
    refused.assert_problem(429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), "60");
    // How often others tried is not theirs to know.
    assert!(!refused.header("ratelimit").contains("account"));
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn an_address_that_nobody_has_is_refused_in_the_same_way() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "2")]).await;
    let user = app.user().create().await;
    besiege(&app, &user.email, 2).await;
    besiege(&app, "nobody@marked.example", 2).await;

    let known = try_sign_in_from(&app, "203.0.113.1", &user.email, "whatever").await;
    let unknown = try_sign_in_from(&app, "203.0.113.2", "nobody@marked.example", "whatever").await;

    for answer in [&known, &unknown] {
        answer.assert_problem(429, "too_many_requests");
    }
    assert_eq!(known.json()["detail"], unknown.json()["detail"]);
    assert_eq!(known.header("retry-after"), unknown.header("retry-after"));
}

#[tokio::test]
async fn the_case_of_the_address_makes_no_other_bucket() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "1")]).await;
    guess_from(&app, "198.51.100.1", "Nobody@Marked.example", 1).await;

    let statuses = guess_from(&app, "198.51.100.2", "nobody@marked.example", 1).await;

    assert_eq!(statuses, [429]);
}

#[tokio::test]
async fn other_accounts_do_not_notice() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "1")]).await;
    let (victim, other) = (app.user().create().await, app.user().create().await);
    besiege(&app, &victim.email, 1).await;

    let answer = try_sign_in_from(&app, "203.0.113.1", &other.email, &other.password).await;

    answer.assert_status(200);
}

#[tokio::test]
async fn one_password_tried_on_many_accounts_is_stopped_by_the_source() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "5")]).await;

    let mut statuses = Vec::new();
    for number in 0..8 {
        let email = format!("user{number}@marked.example");
        statuses.extend(guess_from(&app, "198.51.100.1", &email, 1).await);
    }

    assert_eq!(statuses, [[401; 5].as_slice(), &[429; 3]].concat());
}

#[tokio::test]
async fn a_source_that_is_refused_takes_nothing_from_the_account() {
    let app = limited(&[
        ("RATE_LIMIT_AUTH_BURST", "1"),
        ("RATE_LIMIT_ACCOUNT_BURST", "2"),
    ])
    .await;
    let user = app.user().create().await;
    guess_from(&app, "198.51.100.1", &user.email, 9).await;

    let answer = try_sign_in_from(&app, "203.0.113.1", &user.email, &user.password).await;

    answer.assert_status(200);
}

#[tokio::test]
async fn whoever_is_signed_in_already_is_not_locked_out() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "3")]).await;
    let user = app.user().create().await;
    let tokens = app.sign_in(&user).await;
    for number in 0..9 {
        guess_from(&app, &format!("198.51.100.{number}"), &user.email, 1).await;
    }

    app.me(&tokens.access).await.assert_status(200);
    app.try_refresh(&tokens.refresh).await.assert_status(200);
    assert_eq!(change_password(&app, &tokens.access, &user).await, 204);
}

#[tokio::test]
async fn an_account_is_open_again_after_a_while() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "2")]).await;
    let user = app.user().create().await;
    besiege(&app, &user.email, 2).await;

    let_fill(&app, 61).await;

    let answer = try_sign_in_from(&app, "203.0.113.1", &user.email, &user.password).await;
    answer.assert_status(200);
}

#[tokio::test]
async fn an_account_does_not_wait_for_a_clock_of_the_database_that_was_set_back() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "2")]).await;
    let user = app.user().create().await;
    besiege(&app, &user.email, 2).await;
    let ahead = "UPDATE rate_limits SET full_at = full_at + interval '1 h'";
    app.database().await.execute(ahead, &[]).await.unwrap();

    // One that has not noted the refusal itself.
    let other = app.replica();
    let answer = try_sign_in_from(&other, "203.0.113.1", &user.email, &user.password).await;

    answer.assert_status(200);
    assert_eq!(
        guess_from(&other, "203.0.113.2", &user.email, 1).await,
        [401]
    );
    assert_eq!(
        guess_from(&other, "203.0.113.3", &user.email, 1).await,
        [429]
    );
}

#[tokio::test]
async fn a_wrong_current_password_counts_for_the_limits_on_signing_in() {
    let app = limited(&[
        ("RATE_LIMIT_AUTH_BURST", "3"),
        ("RATE_LIMIT_ACCOUNT_BURST", "3"),
    ])
    .await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let guess = |ip| {
        let body = json!({"email": "other@marked.example", "current_password": "wrong"});
        app.patch("/auth/me")
            .bearer(&token)
            .json(&body)
            .from(ip)
            .send()
    };
    guess("198.51.100.1")
        .await
        .assert_problem(422, "current_password_incorrect");
    guess("198.51.100.1")
        .await
        .assert_problem(422, "current_password_incorrect");

    // The sign-in and the two guesses have emptied the bucket of the account,
    let statuses = guess_from(&app, "203.0.113.1", &user.email, 1).await;
    assert_eq!(statuses, [429]);
    // a third guess that of the user, and more guesses that of their source.
    guess("198.51.100.1")
        .await
        .assert_problem(422, "current_password_incorrect");
    guess("198.51.100.2")
        .await
        .assert_problem(429, "too_many_requests");
    assert_eq!(
        guess_from(&app, "198.51.100.1", "nobody@marked.example", 1).await,
        [429]
    );
    let email = "SELECT count(*) FROM users WHERE email = 'other@marked.example'";
    assert_eq!(app.count(email).await, 0);
}

#[tokio::test]
async fn an_attempt_too_many_is_an_event_of_its_own() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "1")]).await;

    besiege(&app, "nobody@marked.example", 1).await;

    let metrics = app.app.operations.metrics().unwrap();
    let event = "auth_events_total{event=\"sign_in\",outcome=\"limited\"} 1";
    assert!(metrics.contains(event), "{metrics}");
    assert!(
        metrics.contains("rate_limited_total{class=\"account\"} 1"),
        "{metrics}"
    );
}
