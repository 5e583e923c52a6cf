//! Whoever comes from where the account signed in before is not kept out by strangers.

use http::{Request, header};
use http_body_util::Full;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio_util::sync::CancellationToken;
use warp_skeleton::features::identity::{Email, Password, forget_unused_networks};

use super::{guess_from, limited, try_sign_in_from};
use crate::support::{TestApp, TestUser, Tokens};

const HOME: &str = "203.0.113.1";
const REMEMBERED: &str = "SELECT count(*) FROM auth_networks";

/// The tokens of a session that was opened from there.
async fn sign_in_from(app: &TestApp, ip: &str, user: &TestUser) -> Tokens {
    Tokens::of(&try_sign_in_from(app, ip, &user.email, &user.password).await)
}

/// The status of signing in with the right password from there.
async fn status_from(app: &TestApp, ip: &str, user: &TestUser) -> u16 {
    let answer = try_sign_in_from(app, ip, &user.email, &user.password).await;
    answer.status.as_u16()
}

/// Guesses from one new network after the other until strangers are refused.
async fn besiege(app: &TestApp, email: &str) {
    for number in 0..30 {
        let ip = format!("198.51.100.{number}");
        if guess_from(app, &ip, email, 1).await == [429] {
            return;
        }
    }
    panic!("strangers are never refused");
}

#[tokio::test]
async fn the_owner_signs_in_from_a_familiar_network_while_strangers_guess() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "3")]).await;
    let user = app.user().create().await;
    sign_in_from(&app, HOME, &user).await;

    besiege(&app, &user.email).await;

    assert_eq!(status_from(&app, HOME, &user).await, 200);
    assert_eq!(status_from(&app, "203.0.113.2", &user).await, 429);
    assert_eq!(status_from(&app.replica(), HOME, &user).await, 200);
}

#[tokio::test]
async fn each_familiar_network_has_a_bucket_of_its_own() {
    let app = limited(&[
        ("RATE_LIMIT_ACCOUNT_BURST", "3"),
        ("RATE_LIMIT_AUTH_BURST", "100"),
    ])
    .await;
    let user = app.user().create().await;
    for ip in [HOME, "203.0.113.2"] {
        sign_in_from(&app, ip, &user).await;
    }

    let statuses = guess_from(&app, HOME, &user.email, 5).await;

    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(status_from(&app, HOME, &user).await, 429);
    assert_eq!(status_from(&app, "203.0.113.2", &user).await, 200);
    // Two sign-ins from what were strange networks at that time.
    assert_eq!(
        guess_from(&app, "198.51.100.1", &user.email, 2).await,
        [401, 429]
    );
}

#[tokio::test]
async fn what_is_familiar_to_one_account_is_strange_to_another() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "2")]).await;
    let (user, other) = (app.user().create().await, app.user().create().await);
    sign_in_from(&app, HOME, &user).await;

    besiege(&app, &other.email).await;
    besiege(&app, "nobody@marked.example").await;

    assert_eq!(status_from(&app, HOME, &other).await, 429);
    assert_eq!(
        guess_from(&app, HOME, "nobody@marked.example", 1).await,
        [429]
    );
}

#[tokio::test]
async fn a_network_of_64_bits_is_familiar_as_a_whole() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "2")]).await;
    let user = app.user().create().await;
    sign_in_from(&app, "2001:db8:1:2::1", &user).await;

    besiege(&app, &user.email).await;

    assert_eq!(status_from(&app, "2001:db8:1:2:3::4", &user).await, 200);
    assert_eq!(status_from(&app, "2001:db8:1:3::1", &user).await, 429);
}

#[tokio::test]
async fn it_stays_familiar_after_its_sessions_and_after_the_user_changed_the_password() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "3")]).await;
    let mut user = app.user().create().await;
    let tokens = sign_in_from(&app, HOME, &user).await;
    let body = json!({"current_password": user.password, "new_password": "marked-new-password"});
    let change = app
        .post("/auth/password")
        .bearer(&tokens.access)
        .json(&body)
        .from("2001:db8:7::1");
    change.send().await.assert_status(204);
    user.password = "marked-new-password".to_owned();
    let logout = app.post("/auth/logout-all").bearer(&tokens.access).send();
    logout.await.assert_status(204);

    besiege(&app, &user.email).await;

    assert_eq!(status_from(&app, HOME, &user).await, 200);
    // And where it was changed from is familiar as well.
    assert_eq!(status_from(&app, "2001:db8:7::1", &user).await, 200);
}

#[tokio::test]
async fn an_operator_who_sets_the_password_makes_every_network_strange() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "3")]).await;
    let mut user = app.user().create().await;
    sign_in_from(&app, HOME, &user).await;
    user.password = "marked-new-password".to_owned();
    let email = Email::parse(&user.email).unwrap();
    let new = Password::parse(&user.password.clone().into(), &email, app.auth.policy()).unwrap();
    app.auth.set_password(user.id, new).await.unwrap();

    besiege(&app, &user.email).await;

    assert_eq!(app.count(REMEMBERED).await, 0);
    assert_eq!(status_from(&app, HOME, &user).await, 429);
}

#[tokio::test]
async fn twenty_are_remembered_and_the_one_not_used_for_longest_goes() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "100")]).await;
    let user = app.user().create().await;
    for number in 0..20 {
        sign_in_from(&app, &format!("203.0.113.{number}"), &user).await;
        app.advance(Duration::minutes(1));
    }
    // The first is used again, so that the second is the oldest.
    sign_in_from(&app, "203.0.113.0", &user).await;
    sign_in_from(&app, "203.0.113.20", &user).await;

    assert_eq!(app.count(REMEMBERED).await, 20);
    let kept = |number: u8| {
        let network = format!("sha256(uuid_send(user_id) || '\\xcb0071{number:02x}')");
        format!("SELECT count(*) FROM auth_networks WHERE network = {network}")
    };
    assert_eq!(app.count(&kept(0)).await, 1);
    assert_eq!(app.count(&kept(1)).await, 0);
    assert_eq!(app.count(&kept(2)).await, 1);
    assert_eq!(app.count(&kept(20)).await, 1);
}

#[tokio::test]
async fn after_ninety_days_it_is_strange_again_and_its_row_goes() {
    let app = limited(&[
        ("RATE_LIMIT_ACCOUNT_BURST", "2"),
        ("SESSION_MAX_DAYS", "30"),
    ])
    .await;
    let (user, other) = (app.user().create().await, app.user().create().await);
    sign_in_from(&app, HOME, &user).await;
    app.advance(Duration::days(90) - Duration::minutes(5));
    besiege(&app, &user.email).await;
    assert_eq!(status_from(&app, HOME, &user).await, 200);
    sign_in_from(&app, HOME, &other).await;

    app.advance(Duration::days(90));

    besiege(&app, &user.email).await;
    assert_eq!(status_from(&app, HOME, &user).await, 429);
    let (database, stop) = (&app.app.database, CancellationToken::new());
    let swept = forget_unused_networks(database, &app.clock, &stop).await;
    assert_eq!(swept.unwrap(), 2);
    assert_eq!(app.count(REMEMBERED).await, 0);
}

/// How the last use of the networks lies behind the service's clock, in whole days, the latest first.
async fn days_since_last_use(app: &TestApp) -> Vec<i64> {
    let sql = "SELECT last_used_at FROM auth_networks ORDER BY last_used_at DESC";
    let rows = app.database().await.query(sql, &[]).await.unwrap();
    let used = rows.iter().map(|row| row.get::<_, OffsetDateTime>(0));
    used.map(|used| (app.now() - used).whole_days()).collect()
}

async fn refresh_from(app: &TestApp, ip: &str, token: &str) -> Tokens {
    let body = json!({"refresh_token": token});
    let call = app.post("/auth/refresh").json(&body).from(ip);
    Tokens::of(&call.send().await)
}

#[tokio::test]
async fn a_session_that_is_refreshed_keeps_its_network_familiar() {
    let app = limited(&[
        ("RATE_LIMIT_ACCOUNT_BURST", "2"),
        ("SESSION_MAX_DAYS", "365"),
    ])
    .await;
    let user = app.user().create().await;
    let mut tokens = sign_in_from(&app, HOME, &user).await;
    for _ in 0..8 {
        app.advance(Duration::days(13));
        tokens = refresh_from(&app, HOME, &tokens.refresh).await;
    }

    besiege(&app, &user.email).await;

    assert_eq!(status_from(&app, HOME, &user).await, 200);
    assert_eq!(status_from(&app, "203.0.113.2", &user).await, 429);
}

#[tokio::test]
async fn a_use_is_noted_once_a_day_where_the_account_signed_in_before_and_nowhere_else() {
    let app = limited(&[]).await;
    let user = app.user().create().await;
    let mut tokens = sign_in_from(&app, HOME, &user).await;
    sign_in_from(&app, "203.0.113.2", &user).await;

    app.advance(Duration::days(10));
    tokens = refresh_from(&app, HOME, &tokens.refresh).await;
    assert_eq!(days_since_last_use(&app).await, [0, 10]);
    tokens = refresh_from(&app, "198.51.100.1", &tokens.refresh).await;
    assert_eq!(days_since_last_use(&app).await, [0, 10]);

    app.advance(Duration::days(1) - Duration::minutes(5));
    let written = "SELECT xmin::text::bigint FROM auth_networks ORDER BY last_used_at DESC LIMIT 1";
    let before = app.count(written).await;
    tokens = refresh_from(&app, HOME, &tokens.refresh).await;
    assert_eq!(app.count(written).await, before);
    app.advance(Duration::minutes(5));
    refresh_from(&app, HOME, &tokens.refresh).await;
    assert_ne!(app.count(written).await, before);
    assert_eq!(days_since_last_use(&app).await, [0, 11]);
}

#[tokio::test]
async fn a_refresh_makes_no_network_familiar_again_that_was_forgotten() {
    let app = limited(&[
        ("RATE_LIMIT_ACCOUNT_BURST", "2"),
        ("SESSION_MAX_DAYS", "365"),
        ("REFRESH_TOKEN_EXPIRE_DAYS", "100"),
    ])
    .await;
    let user = app.user().create().await;
    let tokens = sign_in_from(&app, HOME, &user).await;
    app.advance(Duration::days(90));

    refresh_from(&app, HOME, &tokens.refresh).await;

    besiege(&app, &user.email).await;
    assert_eq!(status_from(&app, HOME, &user).await, 429);
}

#[tokio::test]
async fn a_refresh_waits_for_nobody_who_has_locked_the_network() {
    let app = limited(&[]).await;
    let user = app.user().create().await;
    let tokens = sign_in_from(&app, HOME, &user).await;
    app.advance(Duration::days(10));
    let mut database = app.database().await;
    let transaction = database.transaction().await.unwrap();
    let lock = "SELECT FROM auth_networks FOR UPDATE";
    assert_eq!(transaction.execute(lock, &[]).await.unwrap(), 1);

    refresh_from(&app, HOME, &tokens.refresh).await;

    drop(transaction);
    assert_eq!(days_since_last_use(&app).await, [10]);
}

#[tokio::test]
async fn nobody_has_a_network_before_signing_in_or_after_being_deleted() {
    let app = limited(&[]).await;
    let new = json!({"email": "new@marked.example", "password": "marked-password"});
    let registration = app.post("/auth/register").json(&new).from(HOME).send();
    registration.await.assert_status(201);
    guess_from(&app, HOME, "new@marked.example", 1).await;
    assert_eq!(app.count(REMEMBERED).await, 0);

    let user = app.user().create().await;
    sign_in_from(&app, HOME, &user).await;
    assert_eq!(app.count(REMEMBERED).await, 1);

    app.auth.delete_user(user.id).await.unwrap();
    assert_eq!(app.count(REMEMBERED).await, 0);
}

#[tokio::test]
async fn a_request_without_an_address_is_a_strangers() {
    let app = limited(&[("RATE_LIMIT_ACCOUNT_BURST", "2")]).await;
    let user = app.user().create().await;
    let sign_in = || {
        let body = json!({"email": user.email, "password": user.password});
        let request = Request::post("/auth/token")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.to_string().into()))
            .unwrap();
        app.send(request, None)
    };
    sign_in().await.assert_status(200);
    assert_eq!(app.count(REMEMBERED).await, 0);

    besiege(&app, &user.email).await;

    sign_in().await.assert_status(429);
}

#[tokio::test]
async fn a_wrong_current_password_counts_where_a_sign_in_from_there_would() {
    let app = limited(&[
        ("RATE_LIMIT_ACCOUNT_BURST", "3"),
        ("RATE_LIMIT_AUTH_BURST", "100"),
    ])
    .await;
    let user = app.user().create().await;
    let tokens = sign_in_from(&app, HOME, &user).await;
    for _ in 0..3 {
        let body = json!({"email": "other@marked.example", "current_password": "wrong"});
        let call = app.patch("/auth/me").bearer(&tokens.access).json(&body);
        call.from(HOME).send().await.assert_status(422);
    }

    assert_eq!(status_from(&app, HOME, &user).await, 429);
    assert_eq!(
        guess_from(&app, "198.51.100.1", &user.email, 1).await,
        [401]
    );
}

#[tokio::test]
async fn the_table_holds_no_address_and_nothing_that_two_accounts_share() {
    let app = limited(&[]).await;
    for _ in 0..2 {
        let user = app.user().create().await;
        sign_in_from(&app, HOME, &user).await;
    }

    let hashes =
        "SELECT count(DISTINCT network) FROM auth_networks WHERE octet_length(network) = 32";
    assert_eq!(app.count(hashes).await, 2);
    assert_eq!(app.count("SELECT count(*) FROM rate_limits").await, 3);
}
