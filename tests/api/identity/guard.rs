//! What stands before every endpoint that asks who is calling.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use time::Duration;
use warp_skeleton::features::identity::{Role, UserChange};

use crate::support::{Answer, SECRET, TestApp};

/// Every endpoint of these features behind a guard, and the lowest role that it admits.
const GUARDED: [(Method, &str, Role); 8] = [
    (Method::POST, "/auth/logout", Role::Viewer),
    (Method::POST, "/auth/logout-all", Role::Viewer),
    (Method::GET, "/auth/me", Role::Viewer),
    (Method::PATCH, "/auth/me", Role::Viewer),
    (Method::POST, "/auth/password", Role::Viewer),
    (Method::GET, "/auth/sessions", Role::Viewer),
    (Method::DELETE, "/auth/sessions/not-an-id", Role::Viewer),
    (Method::GET, "/info", Role::Member),
];

#[track_caller]
fn assert_unauthenticated(answer: &Answer) {
    answer.assert_problem(401, "unauthenticated");
    // RFC 6750, section 3.1: without a token there is no error to name.
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    answer.assert_problem(401, "invalid_token");
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"api\", error=\"invalid_token\""
    );
}

async fn with_header(app: &TestApp, value: &str) -> Answer {
    let call = app.get("/auth/me").header("authorization", value);
    call.send().await
}

#[tokio::test]
async fn without_a_token_nobody_gets_past() {
    let app = TestApp::start().await;

    for (method, path, _) in GUARDED {
        let answer = app.call(method, path).send().await;

        assert_unauthenticated(&answer);
    }
}

#[tokio::test]
async fn the_guard_comes_before_body_query_and_path() {
    let app = TestApp::start().await;

    for (method, path, _) in GUARDED {
        let path = format!("{path}?unknown=%00&unknown=1");
        let call = app.call(method, &path).body("{ not json".repeat(10_000));
        let answer = call.send().await;

        assert_unauthenticated(&answer);
    }
}

#[tokio::test]
async fn a_role_below_is_told_so_before_anything_else() {
    let app = TestApp::start().await;

    for (role, lower) in [(Role::Admin, Role::Member), (Role::Member, Role::Viewer)] {
        let (_, token) = app.signed_in(lower).await;
        for (method, path, _) in GUARDED.into_iter().filter(|(_, _, least)| *least == role) {
            let path = format!("{path}?unknown=1");
            let call = app.call(method, &path).bearer(&token).body("{ not json");
            let answer = call.send().await;

            answer.assert_problem(403, "insufficient_role");
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"api\", error=\"insufficient_scope\""
            );
        }
    }
}

#[tokio::test]
async fn a_role_above_is_let_in() {
    let app = TestApp::start().await;

    for role in Role::ALL {
        let (_, token) = app.signed_in(role).await;
        for (path, least) in [("/auth/me", Role::Viewer), ("/info", Role::Member)] {
            let answer = app.get(path).bearer(&token).send().await;

            answer.assert_status(if role >= least { 200 } else { 403 });
        }
    }
}

#[tokio::test]
async fn the_scheme_may_be_spelled_in_any_case() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let answer = with_header(&app, &format!("{scheme} {token}")).await;

        answer.assert_status(200);
    }
}

#[tokio::test]
async fn what_is_no_bearer_header_counts_as_none() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let basic = base64::prelude::BASE64_STANDARD.encode(format!("{}:x", user.email));

    for value in [
        "",
        &token,
        &format!("Bearer{token}"),
        &format!("Bearer\t{token}"),
        &format!("Bearer:{token}"),
        &format!("Token {token}"),
        &format!("Basic {basic}"),
    ] {
        assert_unauthenticated(&with_header(&app, value).await);
    }
}

#[tokio::test]
async fn a_bearer_header_that_holds_no_token_is_refused() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    for value in [
        "Bearer",
        "Bearer ",
        &format!("Bearer  {token}"),
        &format!("Bearer {token} "),
        &format!("Bearer {token}, Bearer {token}"),
        &format!("Bearer \"{token}\""),
        &format!("Bearer {token}é"),
    ] {
        assert_refused(&with_header(&app, value).await);
    }
}

#[tokio::test]
async fn two_headers_are_a_bad_request() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    let call = app.get("/auth/me").bearer(&token).bearer(&token);
    let answer = call.send().await;

    answer.assert_problem(400, "invalid_request");
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"api\", error=\"invalid_request\""
    );
}

#[tokio::test]
async fn a_token_is_looked_for_nowhere_but_in_the_header() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    let query = app.get(&format!("/auth/me?access_token={token}"));
    let cookie = app
        .get("/auth/me")
        .header("cookie", &format!("access_token={token}"));
    let body = app.get("/auth/me").form(&[("access_token", &token)]);

    assert_unauthenticated(&query.send().await);
    assert_unauthenticated(&cookie.send().await);
    assert_unauthenticated(&body.send().await);
}

#[tokio::test]
async fn beside_a_good_header_a_token_in_the_query_is_an_unknown_parameter() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    let call = app.get("/auth/me?access_token=x").bearer(&token);
    let answer = call.send().await;

    answer.assert_invalid(&[" unknown_parameter"]);
}

#[tokio::test]
async fn garbage_is_refused() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();

    for garbage in [
        "x",
        "..",
        "a.b.c",
        message,
        &format!("{message}."),
        &format!("{token}."),
        &format!("{token}="),
        &format!("{header}..{signature}"),
        &format!("{claims}.{claims}.{signature}"),
        &"A".repeat(20_000),
        &format!("{}.{}.{}", "A".repeat(3000), claims, signature),
    ] {
        assert_refused(&with_header(&app, &format!("Bearer {garbage}")).await);
    }
}

/// The claims of a token, to make another of.
fn claims_of(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn sign(claims: &Value, typ: &str, algorithm: Algorithm, secret: &str) -> String {
    let mut header = Header::new(algorithm);
    header.typ = Some(typ.to_owned());
    encode(
        &header,
        claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .unwrap()
}

#[tokio::test]
async fn a_token_that_was_signed_otherwise_is_refused() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;
    let claims = claims_of(&token);
    let unsigned = |alg: &str| {
        let header = json!({"alg": alg, "typ": "at+jwt"}).to_string();
        let part = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.", part(header), part(claims.to_string()))
    };
    let same = sign(&claims, "at+jwt", Algorithm::HS256, SECRET);
    with_header(&app, &format!("Bearer {same}"))
        .await
        .assert_status(200);

    for forged in [
        unsigned("none"),
        unsigned("None"),
        unsigned("HS256"),
        sign(&claims, "at+jwt", Algorithm::HS256, "another-secret"),
        sign(&claims, "at+jwt", Algorithm::HS512, SECRET),
        sign(&claims, "JWT", Algorithm::HS256, SECRET),
    ] {
        assert_refused(&with_header(&app, &format!("Bearer {forged}")).await);
    }
}

#[tokio::test]
async fn claims_that_contradict_the_database_are_refused() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;
    let (_, other) = app.signed_in(Role::Owner).await;
    let (claims, others) = (claims_of(&token), claims_of(&other));

    for (name, value) in [
        ("sub", others["sub"].clone()),
        ("sid", others["sid"].clone()),
        ("sub", json!(uuid::Uuid::now_v7())),
        ("sid", json!(uuid::Uuid::now_v7())),
        ("iss", json!("somebody else")),
        ("aud", json!("somebody else")),
        // Beyond the session's end.
        ("exp", json!(claims["exp"].as_i64().unwrap() + 15 * 86_400)),
        ("nbf", json!(claims["nbf"].as_i64().unwrap() + 60)),
    ] {
        let mut forged = claims.clone();
        forged[name] = value;
        let forged = sign(&forged, "at+jwt", Algorithm::HS256, SECRET);

        assert_refused(&with_header(&app, &format!("Bearer {forged}")).await);
    }
    for name in ["iss", "aud", "sub", "jti", "sid", "iat", "nbf", "exp"] {
        let mut forged = claims.clone();
        forged.as_object_mut().unwrap().remove(name);
        let forged = sign(&forged, "at+jwt", Algorithm::HS256, SECRET);

        assert_refused(&with_header(&app, &format!("Bearer {forged}")).await);
    }
}

#[tokio::test]
async fn a_previous_secret_verifies_until_it_is_taken_away() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;
    let next = "marked-secret-fedcba9876543210fedcba9876543210";
    let overlap = app.replica_with(&[
        ("JWT_SECRET_KEY", next),
        ("JWT_PREVIOUS_SECRET_KEYS", SECRET),
    ]);
    let afterwards = app.replica_with(&[("JWT_SECRET_KEY", next)]);

    let during = overlap.me(&token).await;
    let after = afterwards.me(&token).await;
    let (_, signed_during) = overlap.signed_in(Role::Viewer).await;

    during.assert_status(200);
    assert_refused(&after);
    afterwards.me(&signed_during).await.assert_status(200);
    assert_refused(&app.me(&signed_during).await);
}

#[tokio::test]
async fn an_access_token_expires() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    app.advance(Duration::minutes(15) + Duration::seconds(3));
    let within_leeway = app.me(&token).await;
    app.advance(Duration::seconds(3));
    let beyond = app.me(&token).await;

    within_leeway.assert_status(200);
    assert_refused(&beyond);
}

#[tokio::test]
async fn an_access_token_does_not_outlive_its_session() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let found = app.auth.find(user.id).await.unwrap();
    let length = Duration::minutes(10);
    let (_, token) = app.auth.open_for_operator(&found, length).await.unwrap();

    let before = app.me(&token.text).await;
    // Well within the leeway of the token itself.
    app.advance(length);
    let after = app.me(&token.text).await;

    before.assert_status(200);
    assert_refused(&after);
}

#[tokio::test]
async fn a_token_from_the_future_is_refused() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    app.advance(Duration::seconds(-10));
    let answer = app.me(&token).await;

    assert_refused(&answer);
}

#[tokio::test]
async fn a_session_that_ended_has_ended_on_every_replica() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (_, token) = app.signed_in(Role::Viewer).await;
    replica.me(&token).await.assert_status(200);

    let logout = app.post("/auth/logout").bearer(&token);
    logout.send().await.assert_status(204);

    assert_refused(&replica.me(&token).await);
}

#[tokio::test]
async fn a_user_who_was_disabled_is_out_on_every_replica() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (user, token) = app.signed_in(Role::Admin).await;
    replica.me(&token).await.assert_status(200);
    let change = UserChange {
        role: None,
        is_active: Some(false),
    };

    let disabled = app.auth.change_user(user.id, change).await;

    disabled.unwrap();
    assert_refused(&replica.me(&token).await);
    assert_refused(&app.me(&token).await);
}

#[tokio::test]
async fn a_user_disabled_behind_our_back_is_out_as_well() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;

    let sql = "UPDATE users SET is_active = false WHERE id = $1";
    let database = app.database().await;
    database.execute(sql, &[user.id.as_uuid()]).await.unwrap();

    assert_refused(&app.me(&token).await);
}

#[tokio::test]
async fn a_changed_role_counts_at_once_on_every_replica() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (user, token) = app.signed_in(Role::Member).await;
    let ask = async || replica.get("/info").bearer(&token).send().await;
    let set_role = async |role: Role| {
        let change = UserChange {
            role: Some(role),
            is_active: None,
        };
        let changed = app.auth.change_user(user.id, change).await;
        changed.unwrap();
    };
    ask().await.assert_status(200);

    set_role(Role::Viewer).await;
    let lowered = ask().await;
    set_role(Role::Member).await;
    let raised = ask().await;

    lowered.assert_problem(403, "insufficient_role");
    raised.assert_status(200);
}

#[tokio::test]
async fn a_user_who_was_deleted_is_out_on_every_replica() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (user, token) = app.signed_in(Role::Admin).await;
    replica.me(&token).await.assert_status(200);

    let deleted = app.auth.delete_user(user.id).await;

    deleted.unwrap();

    assert_refused(&replica.me(&token).await);
}
