//! `POST /auth/revoke`

use serde_json::json;
use time::Duration;

use super::pass;
use crate::support::{Answer, TestApp, TestUser, Tokens};

async fn signed_in(app: &TestApp) -> (TestUser, Tokens) {
    let user = app.user().create().await;
    let tokens = app.sign_in(&user).await;
    (user, tokens)
}

async fn revoke(app: &TestApp, token: &str) -> Answer {
    let form = [("token", token)];
    app.post("/auth/revoke").form(&form).send().await
}

#[track_caller]
fn assert_done(answer: &Answer) {
    answer.assert_status(200);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn either_token_ends_its_session_and_no_other() {
    let app = TestApp::start().await;
    let (user, here) = signed_in(&app).await;
    for by_refresh_token in [true, false] {
        let there = app.sign_in(&user).await;
        let token = if by_refresh_token {
            &there.refresh
        } else {
            &there.access
        };

        assert_done(&revoke(&app, token).await);

        let me = app.replica().me(&there.access).await;
        me.assert_problem(401, "invalid_token");
        let refreshed = app.try_refresh(&there.refresh).await;
        refreshed.assert_problem(401, "invalid_token");
    }
    assert_eq!(app.sessions_of(&user).await, ["live", "revoked", "revoked"]);
    app.me(&here.access).await.assert_status(200);
}

#[tokio::test]
async fn an_expired_access_token_ends_its_session() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;
    app.advance(Duration::days(1));
    app.me(&tokens.access).await.assert_status(401);

    assert_done(&revoke(&app, &tokens.access).await);

    assert_eq!(app.sessions_of(&user).await, ["revoked"]);
    app.try_refresh(&tokens.refresh).await.assert_status(401);
}

#[tokio::test]
async fn a_token_that_an_earlier_secret_signed_ends_its_session() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;
    let new = "marked-secret-of-another-replica-9876543210";
    let forgotten = app.replica_with(&[("JWT_SECRET_KEY", new)]);
    let previous = [
        ("JWT_SECRET_KEY", new),
        ("JWT_PREVIOUS_SECRET_KEYS", crate::support::SECRET),
    ];
    let changed = app.replica_with(&previous);
    app.advance(Duration::days(1));

    assert_done(&revoke(&forgotten, &tokens.access).await);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    assert_done(&revoke(&changed, &tokens.access).await);

    assert_eq!(app.sessions_of(&user).await, ["revoked"]);
}

#[tokio::test]
async fn a_used_refresh_token_ends_its_session() {
    let app = TestApp::start().await;
    let (user, first) = signed_in(&app).await;
    let second = Tokens::of(&app.try_refresh(&first.refresh).await);
    pass(&app, 900).await;

    assert_done(&revoke(&app, &first.refresh).await);

    // Not for its reuse: whoever gives a token back wants its session to end.
    assert_eq!(app.sessions_of(&user).await, ["revoked"]);
    app.try_refresh(&second.refresh).await.assert_status(401);
}

#[tokio::test]
async fn whatever_the_token_is_the_answer_is_the_same() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;
    let (gone, ended) = signed_in(&app).await;
    let logout = app.post("/auth/logout").bearer(&ended.access);
    logout.send().await.assert_status(204);
    let (message, signature) = tokens.access.rsplit_once('.').unwrap();
    let attempt = async |token: &str| {
        let call = app.post("/auth/revoke").form(&[("token", token)]);
        call.header("x-correlation-id", "the-same").send().await
    };
    let known = attempt(&ended.refresh).await;
    assert_done(&known);

    for token in [
        ended.access.as_str(),
        "nonsense",
        " ",
        "\0",
        &"A".repeat(43),
        &"A".repeat(60_000),
        &format!("{}=", tokens.refresh),
        &tokens.refresh[..42],
        message,
        &format!("{message}."),
        &format!("{message}.{}", signature.to_lowercase()),
        &format!(" {}", tokens.access),
    ] {
        let answer = attempt(token).await;

        assert_done(&answer);
        assert_eq!(answer.headers, known.headers);
    }
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    assert_eq!(app.sessions_of(&gone).await, ["logout"]);
}

#[tokio::test]
async fn with_limits_its_headers_are_the_same_too() {
    let app = TestApp::start().await;
    let limited = app.replica_with(&[
        ("RATE_LIMIT", "on"),
        ("RATE_LIMIT_AUTH_PER_MINUTE", "1"),
        ("RATE_LIMIT_AUTH_BURST", "2"),
    ]);
    let (_, tokens) = signed_in(&app).await;
    let attempt = async |token: &str| {
        let call = limited.post("/auth/revoke").form(&[("token", token)]);
        call.header("x-correlation-id", "the-same").send().await
    };

    let known = attempt(&tokens.refresh).await;
    let unknown = attempt("nonsense").await;

    assert_done(&unknown);
    assert_eq!(unknown.headers, known.headers);
    // It counted.
    attempt("nonsense").await.assert_status(200);
    attempt("nonsense").await.assert_status(429);
}

#[tokio::test]
async fn the_form_is_read_as_the_rfc_says() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;
    let send = async |form: &[(&str, &str)]| app.post("/auth/revoke").form(form).send().await;
    let token = tokens.refresh.as_str();

    for form in [
        [].as_slice(),
        &[("token", "")],
        &[("token_type_hint", "refresh_token")],
        &[("token", token), ("token", token)],
        &[
            ("token", token),
            ("token_type_hint", "a"),
            ("token_type_hint", "b"),
        ],
    ] {
        let answer = send(form).await;

        answer.assert_status(400);
        assert_eq!(answer.json()["error"], "invalid_request", "{form:?}");
        assert!(!answer.text().contains(token));
    }
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    // A hint that is wrong, unknown or empty is no reason not to look.
    for hint in ["access_token", "refresh_token", "id_token", ""] {
        let (user, tokens) = signed_in(&app).await;
        let form = [
            ("token", tokens.refresh.as_str()),
            ("token_type_hint", hint),
            ("client_id", "a"),
        ];
        assert_done(&send(&form).await);
        assert_eq!(app.sessions_of(&user).await, ["revoked"], "{hint}");
    }
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;

    let json = app
        .post("/auth/revoke")
        .json(&json!({"token": tokens.refresh}));
    let query = app
        .post(&format!("/auth/revoke?token={}", tokens.refresh))
        .form(&[("token", &tokens.refresh)]);

    let json = json.send().await;
    json.assert_problem(415, "unsupported_media_type");
    assert_eq!(
        json.header("accept-post"),
        "application/x-www-form-urlencoded"
    );
    query.send().await.assert_invalid(&[" unknown_parameter"]);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test]
async fn a_session_that_has_ended_keeps_its_reason_and_one_that_expired_stays_as_it_is() {
    let app = TestApp::start().await;
    let (user, tokens) = signed_in(&app).await;
    let twice = app.sign_in(&user).await;
    for _ in 0..2 {
        assert_done(&revoke(&app, &twice.refresh).await);
    }
    app.advance(Duration::days(14));

    assert_done(&revoke(&app, &tokens.refresh).await);
    assert_done(&revoke(&app, &tokens.access).await);

    assert_eq!(app.sessions_of(&user).await, ["live", "revoked"]);
    let metrics = app.app.operations.metrics().unwrap();
    let ended = "auth_events_total{event=\"session_end\",outcome=\"success\"} 1";
    assert!(metrics.contains(ended), "{metrics}");
}

#[tokio::test]
async fn only_tokens_that_are_none_of_ours_count_in_the_limit() {
    let app = TestApp::start().await;
    let limited = app.replica_with(&[
        ("RATE_LIMIT", "on"),
        ("RATE_LIMIT_AUTH_PER_MINUTE", "1"),
        ("RATE_LIMIT_AUTH_BURST", "2"),
    ]);
    let (user, tokens) = signed_in(&app).await;
    let other = app.sign_in(&user).await;
    for _ in 0..4 {
        assert_done(&revoke(&limited, &tokens.refresh).await);
        assert_done(&revoke(&limited, &tokens.access).await);
    }
    for _ in 0..2 {
        assert_done(&revoke(&limited, "nonsense").await);
    }

    let answer = revoke(&limited, &other.refresh).await;

    answer.assert_problem(429, "too_many_requests");
    assert_eq!(app.sessions_of(&user).await, ["revoked", "live"]);
    let metrics = limited.app.operations.metrics().unwrap();
    let refused = "auth_events_total{event=\"session_end\",outcome=\"refused\"} 2";
    assert!(metrics.contains(refused), "{metrics}");
}

#[tokio::test]
async fn a_token_of_a_session_that_has_ended_is_no_way_past_the_limits() {
    let app = TestApp::start().await;
    let limited = app.replica_with(&[("RATE_LIMIT", "on")]);
    let (_, tokens) = signed_in(&app).await;

    let both = [&tokens.refresh, &tokens.access];
    for token in both {
        for _ in 0..60 {
            assert_done(&revoke(&limited, token).await);
        }
    }
    // However long that took, nothing has come back.
    app.advance(Duration::seconds(-30));

    for token in both {
        let answer = revoke(&limited, token).await;
        answer.assert_problem(429, "too_many_requests");
    }
}

#[tokio::test]
async fn a_token_that_is_presented_too_often_is_refused_before_the_database_is_asked() {
    let app = TestApp::start().await;
    let limited = app.replica_with(&[("RATE_LIMIT", "on")]);
    let (_, tokens) = signed_in(&app).await;
    for _ in 0..60 {
        assert_done(&revoke(&limited, &tokens.refresh).await);
    }
    app.advance(Duration::seconds(-30));
    let before = limited.statements();

    revoke(&limited, &tokens.refresh).await.assert_status(429);

    assert_eq!(limited.statements(), before);
}
