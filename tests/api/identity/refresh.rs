//! `POST /auth/refresh`

use futures_util::future::join_all;
use serde_json::json;
use time::Duration;

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
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 6);
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
async fn when_the_reply_was_lost_the_token_gives_another_pair() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let lost = refreshed(&app, &first.refresh).await;

    app.advance(Duration::seconds(8));
    let second = refreshed(&app, &first.refresh).await;

    assert_ne!(second.refresh, lost.refresh);
    app.me(&second.access).await.assert_status(200);
    let superseded = "SELECT count(*) FROM refresh_tokens WHERE superseded_at IS NOT NULL";
    assert_eq!(app.count(superseded).await, 1);
    assert_eq!(live_tokens(&app).await, 1);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test]
async fn a_superseded_token_is_refused_and_revokes_nothing() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let lost = refreshed(&app, &first.refresh).await;
    let second = refreshed(&app, &first.refresh).await;

    let early = app.try_refresh(&lost.refresh).await;
    app.advance(Duration::minutes(1));
    let late = app.try_refresh(&lost.refresh).await;

    assert_refused(&early);
    assert_refused(&late);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    refreshed(&app, &second.refresh).await;
}

#[tokio::test]
async fn a_reply_may_be_lost_more_than_once() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;

    for _ in 0..3 {
        refreshed(&app, &first.refresh).await;
    }
    let last = refreshed(&app, &first.refresh).await;

    assert_eq!(live_tokens(&app).await, 1);
    refreshed(&app, &last.refresh).await;
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test]
async fn a_token_used_again_later_revokes_the_session() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let elsewhere = app.sign_in(&user).await;
    let second = refreshed(&app, &first.refresh).await;

    app.advance(Duration::seconds(11));
    let answer = app.try_refresh(&first.refresh).await;

    assert_refused(&answer);
    assert_eq!(app.sessions_of(&user).await, ["reuse", "live"]);
    assert_refused(&app.me(&second.access).await);
    assert_refused(&app.replica().me(&second.access).await);
    assert_refused(&app.try_refresh(&second.refresh).await);
    app.me(&elsewhere.access).await.assert_status(200);
}

#[tokio::test]
async fn a_token_used_again_after_its_successor_revokes_the_session() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let second = refreshed(&app, &first.refresh).await;
    let third = refreshed(&app, &second.refresh).await;

    let answer = app.try_refresh(&first.refresh).await;

    assert_refused(&answer);
    assert_eq!(app.sessions_of(&user).await, ["reuse"]);
    assert_refused(&app.me(&third.access).await);
    assert_refused(&app.try_refresh(&third.refresh).await);
}

#[tokio::test]
async fn a_token_used_again_after_its_second_successor_revokes_the_session() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    refreshed(&app, &first.refresh).await;
    let second = refreshed(&app, &first.refresh).await;
    refreshed(&app, &second.refresh).await;

    let answer = app.try_refresh(&first.refresh).await;

    assert_refused(&answer);
    assert_eq!(app.sessions_of(&user).await, ["reuse"]);
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
    app.advance(Duration::seconds(11));

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
async fn of_twenty_refreshes_at_once_on_two_replicas_one_branch_lives() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (user, first) = signed_in(&app).await;

    let attempts = (0..20).map(|number| {
        let app = if number % 2 == 0 { &app } else { &replica };
        app.try_refresh(&first.refresh)
    });
    let answers = join_all(attempts).await;

    let (given, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    refused.into_iter().for_each(assert_refused);
    assert!(!given.is_empty());
    assert_eq!(live_tokens(&app).await, 1);
    let mut alive = 0;
    for answer in given {
        let answer = app.try_refresh(&Tokens::of(answer).refresh).await;
        if answer.status == 200 {
            alive += 1;
        } else {
            assert_refused(&answer);
        }
    }
    assert_eq!(alive, 1);
    assert_eq!(live_tokens(&app).await, 1);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_and_its_successor_at_once_leave_one_branch_or_none() {
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

        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_refused(answer);
        }
        let live: i64 = app
            .value(
                "
SELECT count(*)
FROM refresh_tokens AS t
JOIN sessions AS s ON s.id = t.session_id
WHERE s.user_id = $1 AND s.revoked_at IS NULL AND t.used_at IS NULL AND t.superseded_at IS NULL",
                &[user.id.as_uuid()],
            )
            .await;
        assert!(live <= 1, "{live}");
        let expected = if live == 1 { "live" } else { "reuse" };
        assert_eq!(app.sessions_of(&user).await, [expected]);
    }
}
