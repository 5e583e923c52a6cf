//! Class `auth`: sign-ins, registrations and refreshes from one source.

use futures_util::future::join_all;
use serde_json::json;

use super::{guess_from, let_fill, limited, try_sign_in_from};
use crate::support::{TestApp, Tokens};

const HERE: &str = "192.0.2.1";

#[tokio::test]
async fn whoever_guesses_too_often_is_refused_and_told_when_to_come_back() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "3")]).await;

    let statuses = guess_from(&app, HERE, "nobody@marked.example", 3).await;

    assert_eq!(statuses, [401; 3]);
    let refused = try_sign_in_from(&app, HERE, "nobody@marked.example", "whatever").await;
    refused.assert_problem(429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), "60");
    assert_eq!(refused.header("ratelimit-policy"), "\"auth\";q=3;w=180");
    assert_eq!(refused.header("ratelimit"), "\"auth\";r=0;t=60");
}

#[tokio::test]
async fn unless_it_is_set_otherwise_ten_may_come_at_once_and_thirty_a_minute() {
    let app = TestApp::with(&[("RATE_LIMIT", "on")]).await;

    let answer = try_sign_in_from(&app, HERE, "nobody@marked.example", "whatever").await;

    assert_eq!(answer.header("ratelimit-policy"), "\"auth\";q=10;w=20");
    assert_eq!(answer.header("ratelimit"), "\"auth\";r=9;t=2");
}

#[tokio::test]
async fn every_answer_says_how_much_is_left() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "3")]).await;

    let first = try_sign_in_from(&app, HERE, "nobody@marked.example", "whatever").await;
    let second = try_sign_in_from(&app, HERE, "nobody@marked.example", "whatever").await;

    assert_eq!(first.header("ratelimit-policy"), "\"auth\";q=3;w=180");
    assert_eq!(first.header("ratelimit"), "\"auth\";r=2;t=60");
    assert!(second.header("ratelimit").starts_with("\"auth\";r=1;t=1"));
}

#[tokio::test]
async fn tokens_come_back_with_time() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "2")]).await;
    let user = app.user().create().await;
    guess_from(&app, HERE, &user.email, 3).await;

    let_fill(&app, 61).await;

    let answer = try_sign_in_from(&app, HERE, &user.email, &user.password).await;
    answer.assert_status(200);
    let statuses = guess_from(&app, HERE, &user.email, 1).await;
    assert_eq!(statuses, [429]);
}

#[tokio::test]
async fn registrations_sign_ins_and_refreshes_draw_on_one_bucket() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "3")]).await;
    let new = json!({"email": "new@marked.example", "password": "marked-password"});

    app.post("/auth/register")
        .json(&new)
        .send()
        .await
        .assert_status(201);
    app.try_sign_in("new@marked.example", "marked-wrong")
        .await
        .assert_status(401);
    app.try_refresh("nonsense").await.assert_status(401);

    let other = json!({"email": "other@marked.example", "password": "marked-password"});
    let refused = app.post("/auth/register").json(&other).send().await;
    refused.assert_problem(429, "too_many_requests");
    app.try_refresh("nonsense").await.assert_status(429);
    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn thirty_nine_people_behind_one_address_may_refresh_at_once() {
    let app = TestApp::with(&[]).await;
    let limited = app.replica_with(&[("RATE_LIMIT", "on")]);
    let mut tokens = Vec::new();
    for _ in 0..39 {
        let user = app.user().create().await;
        tokens.push(app.sign_in(&user).await.refresh);
    }

    let answers = join_all(tokens.iter().map(|token| limited.try_refresh(token))).await;

    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    assert_eq!(statuses, [200; 39]);
    assert_eq!(app.count("SELECT count(*) FROM rate_limits").await, 0);
}

#[tokio::test]
async fn by_the_form_a_refresh_counts_no_more_than_by_json() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "2")]).await;
    let user = app.user().create().await;
    let mut token = app.sign_in(&user).await.refresh;
    let form = async |token: &str| {
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", token)];
        app.post("/auth/token").form(&pairs).send().await
    };

    for _ in 0..4 {
        token = Tokens::of(&form(&token).await).refresh;
    }
    let (refused, limited) = (form("nonsense").await, form("nonsense").await);

    refused.assert_status(400);
    limited.assert_problem(429, "too_many_requests");
}

#[tokio::test]
async fn refused_refreshes_count_on_every_replica() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "3")]).await;
    let other = app.replica();
    let user = app.user().create().await;
    let token = app.sign_in(&user).await.refresh;
    for _ in 0..2 {
        app.try_refresh("nonsense").await.assert_status(401);
    }

    // Whatever comes next, nothing is left, though the other replica counted none of them.
    let refused = other.try_refresh(&token).await;

    refused.assert_problem(429, "too_many_requests");
    let_fill(&app, 61).await;
    other.try_refresh(&token).await.assert_status(200);
}

#[tokio::test]
async fn a_refused_request_is_not_read() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "1")]).await;
    guess_from(&app, "127.0.0.1", "nobody@marked.example", 1).await;

    let nonsense = app.post("/auth/register?a=b").body("{").send().await;

    nonsense.assert_problem(429, "too_many_requests");
}

#[tokio::test]
async fn one_source_is_nothing_to_another() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "1")]).await;
    let user = app.user().create().await;
    guess_from(&app, HERE, &user.email, 2).await;

    let answer = try_sign_in_from(&app, "192.0.2.2", &user.email, &user.password).await;

    answer.assert_status(200);
}

#[tokio::test]
async fn a_network_of_64_bits_is_one_source() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "1")]).await;
    guess_from(&app, "2001:db8:1:2::1", "nobody@marked.example", 1).await;

    let neighbour = guess_from(&app, "2001:db8:1:2:3::4", "nobody@marked.example", 1).await;
    let stranger = guess_from(&app, "2001:db8:1:3::1", "nobody@marked.example", 1).await;

    assert_eq!((neighbour, stranger), (vec![429], vec![401]));
}

#[tokio::test]
async fn behind_a_proxy_of_ours_each_client_has_its_own_bucket_and_a_forged_header_none() {
    let app = limited(&[
        ("RATE_LIMIT_AUTH_BURST", "1"),
        ("TRUSTED_PROXIES", "10.0.0.0/8"),
    ])
    .await;
    let body = json!({"email": "nobody@marked.example", "password": "whatever"});
    let through = |peer, forwarded| {
        let call = app.post("/auth/token").from(peer).json(&body);
        call.header("x-forwarded-for", forwarded).send()
    };
    through("10.0.0.1", "198.51.100.1").await.assert_status(401);

    through("10.0.0.2", "198.51.100.1").await.assert_status(429);
    through("10.0.0.1", "198.51.100.2").await.assert_status(401);
    // Whatever a client wrote stands to the left of what our proxy saw.
    through("10.0.0.1", "203.0.113.7, 198.51.100.1")
        .await
        .assert_status(429);
    // A stranger is held to the address it comes from.
    through("192.0.2.9", "198.51.100.3")
        .await
        .assert_status(401);
    through("192.0.2.9", "198.51.100.4")
        .await
        .assert_status(429);
}

#[tokio::test]
async fn replicas_share_one_bucket() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "4")]).await;
    let other = app.replica();

    let here = guess_from(&app, HERE, "nobody@marked.example", 3).await;
    let there = guess_from(&other, HERE, "nobody@marked.example", 3).await;

    assert_eq!(here, [401, 401, 401]);
    assert_eq!(there, [401, 429, 429]);
}

#[tokio::test]
async fn of_forty_guesses_at_once_on_two_replicas_exactly_the_burst_goes_through() {
    let app = limited(&[
        ("RATE_LIMIT_AUTH_BURST", "10"),
        ("RATE_LIMIT_ON_FAILURE", "deny"),
        ("DB_POOL_TIMEOUT_MS", "20000"),
    ])
    .await;
    let other = app.replica();

    let guesses = (0..40).map(|number| {
        let replica = if number % 2 == 0 { &app } else { &other };
        let email = format!("nobody{number}@marked.example");
        async move {
            try_sign_in_from(replica, HERE, &email, "whatever")
                .await
                .status
                .as_u16()
        }
    });
    let statuses = join_all(guesses).await;

    let count = |status| statuses.iter().filter(|seen| **seen == status).count();
    let (through, refused, late) = (count(401), count(429), count(503));
    assert_eq!(through + refused + late, 40, "{statuses:?}");
    // On a busy machine some are not counted in time: those do not get through, but may have taken their turn.
    assert!(through <= 10 && through + late >= 10, "{statuses:?}");
}

#[tokio::test]
async fn what_is_refused_is_counted_by_class() {
    let app = limited(&[("RATE_LIMIT_AUTH_BURST", "1")]).await;

    guess_from(&app, HERE, "nobody@marked.example", 3).await;

    let metrics = app.app.operations.metrics().unwrap();
    assert!(
        metrics.contains("rate_limited_total{class=\"auth\"} 2"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_table_of_buckets_holds_no_address() {
    let app = limited(&[]).await;

    guess_from(&app, HERE, "nobody@marked.example", 1).await;

    let hashes = "SELECT count(*) FROM rate_limits WHERE octet_length(key) = 32";
    assert_eq!(app.count(hashes).await, 2);
}
