//! `POST /auth/refresh`

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use serde_json::json;
use time::Duration;
use tokio_util::sync::CancellationToken;
use warp_skeleton::features::identity::{self, RefreshToken};

use super::pass;
use crate::support::{Answer, TestApp, TestUser, Tokens};

async fn signed_in(app: &TestApp) -> (TestUser, Tokens) {
    let user = app.user().create().await;
    let tokens = app.sign_in(&user).await;
    (user, tokens)
}

async fn refreshed(app: &TestApp, token: &str) -> Tokens {
    Tokens::of(&app.try_refresh(token).await)
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    answer.assert_problem(401, "invalid_token");
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"api\", error=\"invalid_token\""
    );
}

/// How many refresh tokens could still be exchanged.
async fn live_tokens(app: &TestApp) -> i64 {
    app.count("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL AND superseded_at IS NULL")
        .await
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_pair() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;

    let answer = app.try_refresh(&first.refresh).await;

    let second = Tokens::of(&answer);
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    let names: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "access_token",
            "expires_in",
            "refresh_expires_in",
            "refresh_token",
            "token_type"
        ]
    );
    assert_eq!(body["token_type"], "bearer");
    assert_eq!(body["expires_in"], 15 * 60);
    assert_eq!(body["refresh_expires_in"], 14 * 24 * 60 * 60);
    assert_ne!(second.access, first.access);
    assert_ne!(second.refresh, first.refresh);
    app.me(&second.access).await.assert_status(200);
    app.me(&first.access).await.assert_status(200);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    assert_eq!(live_tokens(&app).await, 1);
}

#[tokio::test]
async fn refreshing_may_go_on_and_on() {
    let app = TestApp::start().await;
    let (user, mut tokens) = signed_in(&app).await;

    for _ in 0..5 {
        app.advance(Duration::days(13));
        tokens = refreshed(&app, &tokens.refresh).await;
    }

    app.me(&tokens.access).await.assert_status(200);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    // The live one, and those that were used less than 14 days ago.
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 3);
}

#[tokio::test]
async fn a_refresh_moves_the_time_the_session_was_last_used() {
    let app = TestApp::start().await;
    let (_, tokens) = signed_in(&app).await;

    app.advance(Duration::seconds(20));
    refreshed(&app, &tokens.refresh).await;

    let sql = "SELECT count(*) FROM sessions WHERE last_used_at >= created_at + interval '20 s'";
    assert_eq!(app.count(sql).await, 1);
}

#[tokio::test]
async fn a_session_that_nobody_refreshes_expires() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;

    app.advance(Duration::days(14));
    let answer = app.try_refresh(&tokens.refresh).await;

    assert_refused(&answer);
    assert_eq!(live_tokens(&app).await, 1);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test]
async fn refreshing_does_not_extend_a_session_beyond_its_end() {
    let app = TestApp::with(&[("SESSION_MAX_DAYS", "20")]).await;
    let (_, first) = signed_in(&app).await;

    app.advance(Duration::days(10));
    let answer = app.try_refresh(&first.refresh).await;
    let second = Tokens::of(&answer);
    app.advance(Duration::days(10) - Duration::minutes(5));
    let near_the_end = app.try_refresh(&second.refresh).await;
    let third = Tokens::of(&near_the_end);
    app.advance(Duration::minutes(5));
    let at_the_end = app.try_refresh(&third.refresh).await;

    let seconds = |answer: &Answer, name: &str| answer.json()[name].as_i64().unwrap();
    let days = seconds(&answer, "refresh_expires_in").cast_unsigned();
    // The clock goes on while the test runs, so a little less than what is left of the twenty days.
    assert!(
        (863_900..=864_000).contains(&days),
        "{}",
        answer.json()["refresh_expires_in"]
    );
    let access_lifetime = seconds(&near_the_end, "expires_in");
    assert!((200..=300).contains(&access_lifetime), "{access_lifetime}");
    assert!(seconds(&near_the_end, "refresh_expires_in") <= 300);
    assert_refused(&at_the_end);
    let extended = "SELECT count(*) FROM sessions WHERE expires_at > ends_at";
    assert_eq!(app.count(extended).await, 0);
}

#[tokio::test]
async fn when_the_reply_was_lost_the_token_gives_the_same_successor() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let lost = refreshed(&app, &first.refresh).await;

    pass(&app, 9).await;
    let second = refreshed(&app.replica(), &first.refresh).await;

    assert_eq!(second.refresh, lost.refresh);
    assert_ne!(second.access, lost.access);
    app.me(&second.access).await.assert_status(200);
    app.me(&lost.access).await.assert_status(200);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 2);
    assert_eq!(live_tokens(&app).await, 1);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    refreshed(&app, &second.refresh).await;
}

#[tokio::test]
async fn the_window_goes_by_the_clock_of_postgresql() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let second = refreshed(&app, &first.refresh).await;

    app.advance(Duration::minutes(5));
    let by_a_fast_clock = refreshed(&app, &first.refresh).await;
    app.advance(Duration::minutes(-10));
    let by_a_slow_clock = refreshed(&app, &first.refresh).await;

    assert_eq!(by_a_fast_clock.refresh, second.refresh);
    assert_eq!(by_a_slow_clock.refresh, second.refresh);
    let later = "UPDATE refresh_tokens SET masked_until = masked_until - interval '11 s'";
    app.database().await.execute(later, &[]).await.unwrap();
    // By the slow clock it has not even been used yet.
    assert_refused(&app.try_refresh(&first.refresh).await);
    assert_eq!(app.sessions_of(&user).await, ["reuse"]);
}

#[tokio::test]
async fn a_reply_may_be_lost_more_than_once() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;

    let mut successors = Vec::new();
    for _ in 0..4 {
        successors.push(refreshed(&app, &first.refresh).await.refresh);
    }

    successors.dedup();
    let [successor] = successors.as_slice() else {
        panic!("{} successors", successors.len());
    };
    refreshed(&app, successor).await;
    assert_eq!(live_tokens(&app).await, 1);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test]
async fn whatever_became_of_the_successor_it_is_the_same_within_the_window() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let second = refreshed(&app, &first.refresh).await;
    let third = refreshed(&app, &second.refresh).await;
    let fourth = refreshed(&app, &third.refresh).await;

    let again = [&first, &second, &third].map(|tokens| app.try_refresh(&tokens.refresh));
    let again = join_all(again).await;

    let again: Vec<_> = again
        .iter()
        .map(|answer| Tokens::of(answer).refresh)
        .collect();
    assert_eq!(
        again,
        [second.refresh, third.refresh, fourth.refresh.clone()]
    );
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 4);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    refreshed(&app, &fourth.refresh).await;
}

#[tokio::test]
async fn a_change_of_the_secret_changes_nothing_about_refresh_tokens() {
    let app = TestApp::start().await;
    let (_, first) = signed_in(&app).await;
    let second = refreshed(&app, &first.refresh).await;
    let other = app.replica_with(&[(
        "JWT_SECRET_KEY",
        "marked-secret-of-another-replica-9876543210",
    )]);

    let again = refreshed(&other, &first.refresh).await;

    assert_eq!(again.refresh, second.refresh);
    other.me(&again.access).await.assert_status(200);
    refreshed(&other, &second.refresh).await;
}

#[tokio::test]
async fn a_token_used_again_later_revokes_the_session() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let elsewhere = app.sign_in(&user).await;
    let second = refreshed(&app, &first.refresh).await;

    pass(&app, 11).await;
    let answer = app.try_refresh(&first.refresh).await;

    assert_refused(&answer);
    assert_eq!(app.sessions_of(&user).await, ["reuse", "live"]);
    assert_refused(&app.me(&second.access).await);
    assert_refused(&app.replica().me(&second.access).await);
    assert_refused(&app.try_refresh(&second.refresh).await);
    app.me(&elsewhere.access).await.assert_status(200);
}

#[tokio::test]
async fn a_thief_who_uses_the_token_within_the_window_is_found_out_by_the_next_refresh() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let victims = refreshed(&app, &first.refresh).await;
    let thiefs = refreshed(&app, &first.refresh).await;
    let stolen = refreshed(&app, &thiefs.refresh).await;

    pass(&app, 900).await;
    let answer = app.try_refresh(&victims.refresh).await;

    assert_refused(&answer);
    assert_eq!(app.sessions_of(&user).await, ["reuse"]);
    assert_refused(&app.me(&stolen.access).await);
    assert_refused(&app.try_refresh(&stolen.refresh).await);
}

#[tokio::test]
async fn the_database_keeps_a_mask_and_neither_token() {
    let app = TestApp::start().await;
    let (_, first) = signed_in(&app).await;
    let second = refreshed(&app, &first.refresh).await;

    let sql = "SELECT masked_successor FROM refresh_tokens WHERE masked_successor IS NOT NULL";
    let masked: Vec<u8> = app.value(sql, &[]).await;
    let dump: String = app
        .value(
            "SELECT string_agg(t::text, ' ') FROM refresh_tokens AS t",
            &[],
        )
        .await;

    let bytes = |token: &str| BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
    assert_eq!(masked.len(), 32);
    for token in [&first.refresh, &second.refresh] {
        assert_ne!(masked, bytes(token));
        let hex = format!("{:02x?}", bytes(token)).replace(['[', ',', ' ', ']'], "");
        assert!(!dump.contains(token) && !dump.contains(&hex));
    }
}

#[tokio::test]
async fn masks_that_are_past_are_erased_by_the_next_rotation_and_by_the_sweep() {
    let app = TestApp::start().await;
    let (_, first) = signed_in(&app).await;
    let (_, other) = signed_in(&app).await;
    refreshed(&app, &other.refresh).await;
    let second = refreshed(&app, &first.refresh).await;
    let third = refreshed(&app, &second.refresh).await;
    let masks = "SELECT count(*) FROM refresh_tokens WHERE masked_successor IS NOT NULL";
    let sweep = async || {
        let stop = CancellationToken::new();
        identity::sweep_masks(&app.app.database, &stop)
            .await
            .unwrap()
    };
    assert_eq!((app.count(masks).await, sweep().await), (3, 0));

    pass(&app, 11).await;
    let fourth = refreshed(&app, &third.refresh).await;

    // Its own, and that of the other session.
    assert_eq!(app.count(masks).await, 2);
    assert_eq!(sweep().await, 1);
    assert_eq!(app.count(masks).await, 1);
    refreshed(&app, &fourth.refresh).await;
    // Without their masks they prove a reuse all the same.
    assert_refused(&app.try_refresh(&first.refresh).await);
    assert_refused(&app.try_refresh(&fourth.refresh).await);
}

#[tokio::test]
async fn a_session_rotates_sixty_times_and_then_once_a_second() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;
    let limited = app.replica_with(&[("RATE_LIMIT", "on")]);
    let mut token = tokens.refresh;
    let full = "UPDATE sessions SET rotations_full_at = now() + interval '50 s'";
    for _ in 0..9 {
        app.database().await.execute(full, &[]).await.unwrap();
        token = refreshed(&limited, &token).await.refresh;
    }
    let empty = "UPDATE sessions SET rotations_full_at = now() + interval '90 s'";
    app.database().await.execute(empty, &[]).await.unwrap();

    let answer = limited.try_refresh(&token).await;

    answer.assert_problem(429, "too_many_requests");
    let retry_after: u32 = answer.header("retry-after").parse().unwrap();
    assert!((30..=61).contains(&retry_after), "{retry_after}");
    // It was not used up, and the source is not to blame.
    assert_eq!(app.count("SELECT count(*) FROM rate_limits").await, 0);
    let filling = "UPDATE sessions SET rotations_full_at = now() + interval '59 s'";
    app.database().await.execute(filling, &[]).await.unwrap();
    token = refreshed(&limited, &token).await.refresh;
    app.database().await.execute(empty, &[]).await.unwrap();
    let refused = limited.try_refresh(&token).await;
    refused.assert_problem(429, "too_many_requests");
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    let metrics = limited.app.operations.metrics().unwrap();
    assert!(
        metrics.contains("rate_limited_total{class=\"session\"} 2"),
        "{metrics}"
    );
    // A replica without limits does not mind what others counted.
    token = refreshed(&app, &token).await.refresh;
    // PostgreSQL's clock was set back.
    let ahead = "UPDATE sessions SET rotations_full_at = now() + interval '1 h'";
    app.database().await.execute(ahead, &[]).await.unwrap();
    for _ in 0..2 {
        token = refreshed(&limited, &token).await.refresh;
    }
}

#[tokio::test]
async fn one_token_is_looked_up_sixty_times_and_then_once_a_second() {
    let app = TestApp::start().await;
    let (_, tokens) = signed_in(&app).await;
    let limited = app.replica_with(&[("RATE_LIMIT", "on")]);

    for _ in 0..60 {
        refreshed(&limited, &tokens.refresh).await;
    }
    // However long that took, nothing has come back.
    app.advance(Duration::seconds(-30));
    let answer = limited.try_refresh(&tokens.refresh).await;

    answer.assert_problem(429, "too_many_requests");
    let retry_after: u32 = answer.header("retry-after").parse().unwrap();
    assert!((1..=31).contains(&retry_after), "{retry_after}");
}

#[tokio::test]
async fn a_token_that_is_presented_too_often_is_refused_before_the_database_is_asked() {
    let app = TestApp::start().await;
    let (_, tokens) = signed_in(&app).await;
    let limited = app.replica_with(&[("RATE_LIMIT", "on")]);
    for _ in 0..60 {
        refreshed(&limited, &tokens.refresh).await;
    }
    app.advance(Duration::seconds(-30));
    let before = limited.statements();

    let refused = limited.try_refresh(&tokens.refresh).await;

    refused.assert_problem(429, "too_many_requests");
    assert_eq!(limited.statements(), before);
}

#[tokio::test]
async fn a_refresh_is_one_statement_and_a_look_at_the_limit() {
    let app = TestApp::start().await;
    let (_, tokens) = signed_in(&app).await;
    let limited = app.replica_with(&[("RATE_LIMIT", "on")]);
    app.advance(Duration::days(2));
    let before = limited.statements();

    refreshed(&limited, &tokens.refresh).await;

    assert_eq!(limited.statements(), before + 2);
}

#[tokio::test]
async fn a_rotation_forgets_a_hundred_tokens_that_were_used_too_long_ago() {
    let app = TestApp::with(&[("REFRESH_TOKEN_EXPIRE_DAYS", "14")]).await;
    let (user, first) = signed_in(&app).await;
    let sql = "
INSERT INTO refresh_tokens (hash, session_id, created_at, used_at)
SELECT sha256(number::text::bytea), id, created_at, $2::timestamptz - number * interval '1 day'
FROM sessions, generate_series(1, $3::int) AS number
WHERE user_id = $1";
    let database = app.database().await;
    // Thirteen of them were used within the last fourteen days.
    let inserted = database
        .execute(sql, &[user.id.as_uuid(), &app.now(), &163])
        .await;
    assert_eq!(inserted.unwrap(), 163);
    let old = "SELECT count(*) FROM refresh_tokens WHERE used_at < created_at - interval '13 days 23 hours'";

    let second = refreshed(&app, &first.refresh).await;
    assert_eq!(app.count(old).await, 50);
    refreshed(&app, &second.refresh).await;

    assert_eq!(app.count(old).await, 0);
    // Two that were used just now and the live one.
    assert_eq!(
        app.count("SELECT count(*) FROM refresh_tokens").await,
        13 + 3
    );
}

#[tokio::test]
async fn what_became_of_refreshes_is_counted() {
    let app = TestApp::start().await;
    let (_, first) = signed_in(&app).await;
    refreshed(&app, &first.refresh).await;
    refreshed(&app, &first.refresh).await;
    app.try_refresh("nonsense").await.assert_status(401);
    pass(&app, 11).await;
    app.try_refresh(&first.refresh).await.assert_status(401);

    let metrics = app.app.operations.metrics().unwrap();

    for outcome in ["success", "repeated", "refused", "reused"] {
        let series = format!("auth_events_total{{event=\"refresh\",outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&series), "{series} in {metrics}");
    }
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;
    let token = tokens.refresh.as_str();
    let unused_bits = {
        // The last character carries two bits that no byte needs.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.find(&token[42..]).unwrap();
        format!("{}{}", &token[..42], &alphabet[last + 1..last + 2])
    };

    for text in [
        "",
        " ",
        "null",
        &token[..42],
        &format!("{token}A"),
        &format!("{token}="),
        &format!(" {token}"),
        &format!("{token}\n"),
        &unused_bits,
        &"A".repeat(43),
        &"A".repeat(60_000),
        &"é".repeat(43),
        "' OR 1=1 --",
        &tokens.access,
    ] {
        assert_refused(&app.try_refresh(text).await);
    }

    assert_eq!(app.sessions_of(&user).await, ["live"]);
    refreshed(&app, token).await;
}

#[tokio::test]
async fn after_logout_there_is_nothing_to_refresh() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;
    let logout = app.post("/auth/logout").bearer(&tokens.access);
    logout.send().await.assert_status(204);

    let answer = app.try_refresh(&tokens.refresh).await;

    assert_refused(&answer);
    assert_eq!(app.sessions_of(&user).await, ["logout"]);
}

#[tokio::test]
async fn a_used_token_of_a_session_that_is_over_does_not_change_why_it_ended() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let second = refreshed(&app, &first.refresh).await;
    let logout = app.post("/auth/logout").bearer(&second.access);
    logout.send().await.assert_status(204);
    assert_refused(&app.try_refresh(&first.refresh).await);
    pass(&app, 11).await;

    let answer = app.try_refresh(&first.refresh).await;

    assert_refused(&answer);
    assert_eq!(app.sessions_of(&user).await, ["logout"]);
}

#[tokio::test]
async fn a_disabled_user_refreshes_nothing() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;
    let sql = "UPDATE users SET is_active = false WHERE id = $1";
    let database = app.database().await;
    database.execute(sql, &[user.id.as_uuid()]).await.unwrap();

    let answer = app.try_refresh(&tokens.refresh).await;

    assert_refused(&answer);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 1);
}

#[tokio::test]
async fn a_body_that_breaks_a_rule_is_invalid() {
    let app = TestApp::start().await;

    for (body, expected) in [
        ("{}", "/refresh_token required"),
        (r#"{"refresh_token": null}"#, "/refresh_token invalid_type"),
        (
            r#"{"refresh_token": "\u0000"}"#,
            "/refresh_token nul_character",
        ),
        (
            r#"{"refresh_token": "a", "refresh_token": "b"}"#,
            "/refresh_token duplicate_field",
        ),
        (r#"{"refresh_token": "a", "scope": "b"}"#, " unknown_field"),
        (r#""a""#, " invalid_type"),
    ] {
        let call = app.post("/auth/refresh").json(&json!(null));
        let answer = call.body(body).send().await;

        answer.assert_invalid(&[expected]);
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;

    let malformed = app.post("/auth/refresh").json(&json!(null)).body("{");
    let form = app
        .post("/auth/refresh")
        .form(&[("refresh_token", &tokens.refresh)]);
    let huge = app
        .post("/auth/refresh")
        .json(&json!({"refresh_token": "A".repeat(70_000)}));
    let query = app
        .post("/auth/refresh?x=1")
        .json(&json!({"refresh_token": tokens.refresh}));

    malformed.send().await.assert_problem(400, "malformed_json");
    form.send()
        .await
        .assert_problem(415, "unsupported_media_type");
    huge.send().await.assert_problem(413, "body_too_large");
    query.send().await.assert_invalid(&[" unknown_parameter"]);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_refreshes_at_once_on_two_replicas_all_hold_one_successor() {
    let app = TestApp::start().await;
    let limited = app.replica_with(&[("RATE_LIMIT", "on")]);
    let (user, first) = signed_in(&app).await;

    let attempts = (0..20).map(|number| {
        let app = if number % 2 == 0 { &app } else { &limited };
        app.try_refresh(&first.refresh)
    });
    let answers = join_all(attempts).await;

    let mut successors: Vec<_> = answers
        .iter()
        .map(|answer| Tokens::of(answer).refresh)
        .collect();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 2);
    assert_eq!(live_tokens(&app).await, 1);
    refreshed(&app, &successors[0]).await;
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_and_its_successor_at_once_leave_one_branch() {
    let app = TestApp::start().await;
    let replica = app.replica();

    for _ in 0..5 {
        let (user, first) = signed_in(&app).await;
        let second = refreshed(&app, &first.refresh).await;

        let attempts = (0..10).map(|number| match number % 2 {
            0 => app.try_refresh(&first.refresh),
            _ => replica.try_refresh(&second.refresh),
        });
        let answers = join_all(attempts).await;

        let successors: HashSet<_> = answers
            .iter()
            .map(|answer| Tokens::of(answer).refresh)
            .collect();
        assert_eq!(successors.len(), 2);
        assert!(successors.contains(&second.refresh));
        assert_eq!(app.sessions_of(&user).await, ["live"]);
    }
    assert_eq!(live_tokens(&app).await, 5);
}

/// A refresh as the release before this one did it, which keeps no successor.
async fn rotate_as_the_release_before(app: &TestApp, token: &str) -> String {
    let successor = RefreshToken::generate();
    let now = app.now();
    let used = "UPDATE refresh_tokens SET used_at = $2 WHERE hash = sha256($1::text::bytea) AND used_at IS NULL";
    let added = "
INSERT INTO refresh_tokens (hash, session_id, parent_hash, created_at)
SELECT sha256($2::text::bytea), session_id, hash, $3
FROM refresh_tokens
WHERE hash = sha256($1::text::bytea)";
    let database = app.database().await;
    assert_eq!(database.execute(used, &[&token, &now]).await.unwrap(), 1);
    let added = database
        .execute(added, &[&token, &successor.expose(), &now])
        .await;
    assert_eq!(added.unwrap(), 1);
    successor.expose().to_owned()
}

#[tokio::test]
async fn what_the_release_before_rotated_a_moment_ago_is_refused_and_ends_nothing() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let second = rotate_as_the_release_before(&app, &first.refresh).await;

    app.advance(Duration::seconds(9));
    assert_refused(&app.try_refresh(&first.refresh).await);

    assert_eq!(app.sessions_of(&user).await, ["live"]);
    refreshed(&app, &second).await;
    app.advance(Duration::seconds(2));
    assert_refused(&app.try_refresh(&first.refresh).await);
    assert_eq!(app.sessions_of(&user).await, ["reuse"]);
}

#[tokio::test]
async fn what_the_release_before_superseded_is_refused_and_ends_nothing() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let second = refreshed(&app, &first.refresh).await;
    let supersede = "UPDATE refresh_tokens SET superseded_at = now() WHERE used_at IS NULL";
    assert_eq!(
        app.database().await.execute(supersede, &[]).await.unwrap(),
        1
    );

    assert_refused(&app.try_refresh(&second.refresh).await);
    pass(&app, 60).await;
    assert_refused(&app.try_refresh(&second.refresh).await);

    assert_eq!(app.sessions_of(&user).await, ["live"]);
}
