//! `POST /auth/token`

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future::{join_all, join3};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::Duration;
use warp_skeleton::features::identity::Role;

use super::pass;
use crate::support::{Answer, TestApp, Tokens, until};

async fn session_count(app: &TestApp) -> i64 {
    app.count("SELECT count(*) FROM sessions").await
}

#[tokio::test]
async fn the_right_password_opens_a_session() {
    let app = TestApp::start().await;
    let user = app.user().create().await;

    let answer = app.try_sign_in(&user.email, &user.password).await;

    answer.assert_status(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let tokens = answer.json();
    let names: Vec<_> = tokens.as_object().unwrap().keys().collect();
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
    assert_eq!(tokens["token_type"], "bearer");
    assert_eq!(tokens["expires_in"], 15 * 60);
    assert_eq!(tokens["refresh_expires_in"], 14 * 24 * 60 * 60);
    let me = app.me(tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(me.assert_status(200).json()["id"], user.id.to_string());
    assert_eq!(session_count(&app).await, 1);
}

#[tokio::test]
async fn lifetimes_are_the_ones_that_were_set() {
    let app = TestApp::with(&[
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "5"),
        ("REFRESH_TOKEN_EXPIRE_DAYS", "30"),
        ("SESSION_MAX_DAYS", "2"),
    ])
    .await;
    let user = app.user().create().await;

    let tokens = app.try_sign_in(&user.email, &user.password).await.json();

    assert_eq!(tokens["expires_in"], 300);
    assert_eq!(tokens["refresh_expires_in"], 2 * 24 * 60 * 60);
}

#[tokio::test]
async fn the_database_keeps_only_a_hash_of_the_refresh_token() {
    let app = TestApp::start().await;
    let user = app.user().create().await;

    let tokens = app.sign_in(&user).await;

    assert_eq!(tokens.refresh.len(), 43);
    let kept: Vec<u8> = app.value("SELECT hash FROM refresh_tokens", &[]).await;
    assert_eq!(kept, Sha256::digest(tokens.refresh.as_bytes()).to_vec());
}

#[tokio::test]
async fn the_access_token_says_what_was_promised() {
    let app = TestApp::start().await;
    let user = app.user().create().await;

    let tokens = app.sign_in(&user).await;

    let part = |index: usize| -> Value {
        let part = tokens.access.split('.').nth(index).unwrap();
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({"alg": "HS256", "typ": "at+jwt"}));
    let claims = part(1);
    let names: Vec<_> = claims.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["aud", "exp", "iat", "iss", "jti", "nbf", "sid", "sub"]
    );
    assert_eq!(claims["iss"], "warp-skeleton");
    assert_eq!(claims["aud"], "warp-skeleton");
    assert_eq!(claims["sub"], user.id.to_string());
    let session: uuid::Uuid = app.value("SELECT id FROM sessions", &[]).await;
    assert_eq!(claims["sid"], session.to_string());
    assert_eq!(claims["nbf"], claims["iat"]);
    let seconds = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(seconds, 15 * 60);
}

#[tokio::test]
async fn the_case_of_the_address_does_not_matter() {
    let app = TestApp::start().await;
    let user = app.user().create().await;

    let answer = app
        .try_sign_in(&user.email.to_uppercase(), &user.password)
        .await;

    answer.assert_status(200);
}

#[tokio::test]
async fn a_session_remembers_where_it_was_opened() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let body = json!({"email": user.email, "password": user.password});

    let call = app.post("/auth/token").json(&body).from("203.0.113.9");
    let answer = call.header("user-agent", "marked/1.0 é").send().await;

    answer.assert_status(200);
    let kept: String = app
        .value("SELECT host(ip) || ' ' || user_agent FROM sessions", &[])
        .await;
    assert_eq!(kept, "203.0.113.9 marked/1.0 é");
}

#[tokio::test]
async fn a_long_user_agent_is_cut() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let body = json!({"email": user.email, "password": user.password});

    let call = app.post("/auth/token").json(&body);
    let answer = call.header("user-agent", &"é".repeat(300)).send().await;

    answer.assert_status(200);
    let kept: String = app.value("SELECT user_agent FROM sessions", &[]).await;
    assert_eq!(kept, "é".repeat(256));
}

#[tokio::test]
async fn wrong_unknown_and_disabled_cannot_be_told_apart() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let disabled = app.user().disabled().create().await;
    let attempt = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        let call = app.post("/auth/token").json(&body);
        call.header("x-correlation-id", "the-same").send().await
    };

    let wrong = attempt(&user.email, "marked-password-wrong").await;
    let unknown = attempt("nobody@marked.example", &user.password).await;
    let shut_out = attempt(&disabled.email, &disabled.password).await;
    let impossible = attempt(&user.email, &"marked-password".repeat(100)).await;

    wrong.assert_problem(401, "invalid_credentials");
    assert_eq!(wrong.header("www-authenticate"), "Bearer realm=\"api\"");
    for other in [unknown, shut_out, impossible] {
        assert_eq!(other.status, wrong.status);
        assert_eq!(other.headers, wrong.headers);
        assert_eq!(other.body, wrong.body);
    }
    assert_eq!(session_count(&app).await, 0);
}

#[tokio::test]
async fn a_body_that_breaks_a_rule_is_invalid() {
    let app = TestApp::start().await;

    for (body, expected) in [
        (r#"{"password": "marked-password"}"#, "/email required"),
        (r#"{"email": "ada@marked.example"}"#, "/password required"),
        (
            r#"{"email": "ada@marked.example", "password": 12345678}"#,
            "/password invalid_type",
        ),
        (
            r#"{"email": "ada", "password": "marked-password"}"#,
            "/email invalid_email",
        ),
        (
            r#"{"email": "ada@marked.example ", "password": "marked-password"}"#,
            "/email invalid_email",
        ),
        (
            r#"{"email": "ada@marked.example", "password": "marked\u0000"}"#,
            "/password nul_character",
        ),
        (
            r#"{"email": "a@marked.example", "email": "b@marked.example", "password": "marked-password"}"#,
            "/email duplicate_field",
        ),
        (
            r#"{"email": "ada@marked.example", "password": "marked-password", "role": "OWNER"}"#,
            " unknown_field",
        ),
        ("[]", " invalid_type"),
    ] {
        let call = app.post("/auth/token").json(&json!(null));
        let answer = call.body(body).send().await;

        answer.assert_invalid(&[expected]);
        assert!(!answer.text().contains("marked"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let app = TestApp::start().await;

    let malformed = app.post("/auth/token").json(&json!(null)).body("{");
    let untyped = app.post("/auth/token").body("{}");
    let multipart = app
        .post("/auth/token")
        .header("content-type", "multipart/form-data; boundary=x");
    let huge = app
        .post("/auth/token")
        .json(&json!({"email": "ada@marked.example", "password": "x".repeat(70_000)}));
    let query = app
        .post("/auth/token?scope=all")
        .json(&json!({"email": "ada@marked.example", "password": "marked-password"}));

    malformed.send().await.assert_problem(400, "malformed_json");
    untyped
        .send()
        .await
        .assert_problem(415, "unsupported_media_type");
    multipart
        .send()
        .await
        .assert_problem(415, "unsupported_media_type");
    huge.send().await.assert_problem(413, "body_too_large");
    query.send().await.assert_invalid(&[" unknown_parameter"]);
}

async fn grant(app: &TestApp, form: &[(&str, &str)]) -> Answer {
    app.post("/auth/token").form(form).send().await
}

#[tokio::test]
async fn the_form_signs_in_with_a_password() {
    let app = TestApp::start().await;
    let user = app.user().create().await;

    let form = [
        ("grant_type", "password"),
        ("username", user.email.as_str()),
        ("password", user.password.as_str()),
    ];
    let answer = grant(&app, &form).await;

    let tokens = Tokens::of(&answer);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json()["token_type"], "bearer");
    assert_eq!(answer.json()["expires_in"], 900);
    app.me(&tokens.access).await.assert_status(200);
    assert_eq!(session_count(&app).await, 1);
}

#[tokio::test]
async fn the_form_refreshes_a_session() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let first = app.sign_in(&user).await;

    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &first.refresh),
    ];
    let answer = grant(&app, &form).await;

    let second = Tokens::of(&answer);
    assert_ne!(second.refresh, first.refresh);
    app.me(&second.access).await.assert_status(200);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

#[tokio::test]
async fn parameters_of_the_form_that_mean_nothing_here_are_ignored() {
    // RFC 6749, section 3.2; Swagger UI sends some of these.
    let app = TestApp::start().await;
    let user = app.user().create().await;

    let form = [
        ("grant_type", "password"),
        ("username", user.email.as_str()),
        ("password", user.password.as_str()),
        ("scope", ""),
        ("client_id", "swagger"),
    ];
    let answer = grant(&app, &form).await;

    answer.assert_status(200);
}

#[track_caller]
fn assert_token_error(answer: &Answer, error: &str) {
    answer.assert_status(400);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["error"], error, "{body}");
    let names: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["error", "error_description"]);
    assert!(!answer.text().contains("marked"), "{body}");
}

#[tokio::test]
async fn a_form_that_lacks_something_is_an_invalid_request() {
    let app = TestApp::start().await;
    let (name, word) = ("ada@marked.example", "marked-password");

    for form in [
        &[][..],
        &[("username", name), ("password", word)],
        &[("grant_type", ""), ("username", name), ("password", word)],
        &[("grant_type", "password"), ("username", name)],
        &[("grant_type", "password"), ("password", word)],
        &[
            ("grant_type", "password"),
            ("username", name),
            ("password", ""),
        ],
        &[("grant_type", "refresh_token")],
        &[
            ("grant_type", "password"),
            ("grant_type", "password"),
            ("username", name),
            ("password", word),
        ],
        &[
            ("grant_type", "password"),
            ("username", name),
            ("username", "bob@marked.example"),
            ("password", word),
        ],
    ] {
        let answer = grant(&app, form).await;

        assert_token_error(&answer, "invalid_request");
    }
}

#[tokio::test]
async fn a_form_for_another_grant_is_unsupported() {
    let app = TestApp::start().await;

    for grant_type in ["client_credentials", "authorization_code", "Password", "\0"] {
        let answer = grant(&app, &[("grant_type", grant_type)]).await;

        assert_token_error(&answer, "unsupported_grant_type");
    }
}

#[tokio::test]
async fn a_form_with_bad_credentials_is_an_invalid_grant() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let disabled = app.user().disabled().create().await;
    let spent = app.sign_in(&user).await;
    app.try_refresh(&spent.refresh).await;
    pass(&app, 11).await;

    for (name, word) in [
        (user.email.as_str(), "marked-password-wrong"),
        (user.email.as_str(), "marked\0password"),
        ("nobody@marked.example", "marked-password"),
        (&disabled.email, &disabled.password),
        ("no address at all", "marked-password"),
        ("ada\0@marked.example", "marked-password"),
    ] {
        let form = [
            ("grant_type", "password"),
            ("username", name),
            ("password", word),
        ];
        let answer = grant(&app, &form).await;

        assert_token_error(&answer, "invalid_grant");
    }
    for token in ["marked", &spent.refresh] {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let answer = grant(&app, &form).await;

        assert_token_error(&answer, "invalid_grant");
    }

    assert_eq!(app.sessions_of(&user).await, ["reuse"]);
    assert_eq!(session_count(&app).await, 1);
}

#[tokio::test]
async fn signing_in_makes_an_outdated_hash_anew() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let before = app.password_hash_of(&user).await;
    let dearer = app.replica_with(&[("SCRYPT_LOG_N", "3")]);

    let wrong = dearer.try_sign_in(&user.email, "marked-password-x").await;
    let untouched = app.password_hash_of(&user).await;
    let right = dearer.try_sign_in(&user.email, &user.password).await;

    wrong.assert_problem(401, "invalid_credentials");
    assert_eq!(untouched, before);
    right.assert_status(200);
    let after = app.password_hash_of(&user).await;
    assert!(before.starts_with("$scrypt$ln=1,"), "{before}");
    assert!(after.starts_with("$scrypt$ln=3,"), "{after}");
    app.sign_in(&user).await;
    dearer.sign_in(&user).await;
    assert_eq!(app.password_hash_of(&user).await, after);
}

#[tokio::test]
async fn a_password_that_is_hashed_anew_was_not_changed() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let made = app.credential_of(&user).await;
    let dearer = app.replica_with(&[("SCRYPT_LOG_N", "3")]);
    app.advance(Duration::hours(1));

    dearer.sign_in(&user).await;

    let (secret, changed_at) = app.credential_of(&user).await;
    assert!(secret.starts_with("$scrypt$ln=3,"), "{secret}");
    assert_eq!(secret, app.password_hash_of(&user).await);
    assert_eq!(changed_at, made.1);
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_session_ends() {
    let app = TestApp::with(&[("MAX_SESSIONS_PER_USER", "2")]).await;
    let (user, other) = (app.user().create().await, app.user().create().await);
    app.sign_in(&other).await;
    let first = app.sign_in(&user).await;
    let second = app.sign_in(&user).await;

    let third = app.sign_in(&user).await;

    assert_eq!(app.sessions_of(&user).await, ["limit", "live", "live"]);
    assert_eq!(app.sessions_of(&other).await, ["live"]);
    let refused = app.me(&first.access).await;
    refused.assert_problem(401, "invalid_token");
    let refused = app.try_refresh(&first.refresh).await;
    refused.assert_problem(401, "invalid_token");
    app.me(&second.access).await.assert_status(200);
    app.me(&third.access).await.assert_status(200);
}

#[tokio::test]
async fn a_session_that_is_over_does_not_count() {
    let app = TestApp::with(&[("MAX_SESSIONS_PER_USER", "2")]).await;
    let user = app.user().create().await;
    let kept = app.sign_in(&user).await;
    let ended = app.sign_in(&user).await;
    let logout = app.post("/auth/logout").bearer(&ended.access);
    logout.send().await.assert_status(204);

    app.sign_in(&user).await;

    app.me(&kept.access).await.assert_status(200);
    assert_eq!(app.sessions_of(&user).await, ["live", "logout", "live"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_holds_when_many_sign_in_at_once() {
    let app = TestApp::with(&[("MAX_SESSIONS_PER_USER", "3")]).await;
    let replica = app.replica();
    let user = app.user().create().await;

    let attempts = (0..20).map(|number| {
        let app = if number % 2 == 0 { &app } else { &replica };
        app.try_sign_in(&user.email, &user.password)
    });
    let answers = join_all(attempts).await;

    assert!(answers.iter().all(|answer| answer.status == 200));
    let sessions = app.sessions_of(&user).await;
    let live = sessions.iter().filter(|state| *state == "live").count();
    assert_eq!((sessions.len(), live), (20, 3));
}

#[tokio::test]
async fn too_many_sign_ins_at_once_may_come_back() {
    let app = TestApp::with(&[
        ("PASSWORD_HASH_WAIT_MS", "0"),
        ("PASSWORD_HASH_CONCURRENCY", "1"),
        ("SCRYPT_LOG_N", "14"),
    ])
    .await;
    let user = app.user().create().await;

    let attempts = (0..5).map(|_| app.try_sign_in(&user.email, &user.password));
    let answers = join_all(attempts).await;

    let count = |status: u16| answers.iter().filter(|a| a.status == status).count();
    assert!(count(200) >= 1 && count(503) >= 1);
    assert_eq!(count(200) + count(503), 5);
    for answer in answers.iter().filter(|answer| answer.status == 503) {
        answer.assert_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    let sessions = session_count(&app).await;
    assert_eq!(usize::try_from(sessions).unwrap(), count(200));
}

#[tokio::test]
async fn of_many_sign_ins_at_once_that_hash_the_password_anew_none_is_refused() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let dearer = app.replica_with(&[("SCRYPT_LOG_N", "2"), ("PASSWORD_HASH_WAIT_MS", "60000")]);

    let sign_ins = (0..8).map(|_| dearer.try_sign_in(&user.email, &user.password));

    for answer in join_all(sign_ins).await {
        answer.assert_status(200);
    }
}

#[tokio::test]
async fn a_password_that_is_hashed_anew_while_it_is_proven_stays_proven() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let dearer = app.replica_with(&[("SCRYPT_LOG_N", "2")]);
    let database = app.database().await;
    let lock = "BEGIN; SELECT id FROM users FOR UPDATE";
    database.batch_execute(lock).await.unwrap();
    let waiting = async |number: i64| {
        let sql = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until("a wait for the lock", async || {
            app.count(sql).await >= number
        })
        .await;
    };
    let body = json!({"current_password": user.password, "new_password": "marked-new-password"});

    // The sign-in waits with its new hash, and the change behind it with the old one.
    let sign_in = dearer.try_sign_in(&user.email, &user.password);
    let change = async {
        waiting(1).await;
        app.post("/auth/password")
            .bearer(&token)
            .json(&body)
            .send()
            .await
    };
    let release = async {
        waiting(2).await;
        database.batch_execute("COMMIT").await.unwrap();
    };
    let (_, change, ()) = join3(sign_in, change, release).await;

    change.assert_status(204);
}
