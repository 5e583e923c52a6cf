//! `POST /auth/keys`, `GET /auth/keys`

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_util::sync::CancellationToken;
use warp_skeleton::{
    features::{
        api_keys::{self, PREFIX},
        identity::Role,
    },
    routes,
};

use super::{list, shown, try_create, with_key};
use crate::support::TestApp;

#[tokio::test]
async fn a_key_is_shown_once_and_its_hash_is_all_that_is_kept() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let body = json!({
        "name": " nightly report ",
        "scopes": ["users:read", "account:read", "users:read"],
        "expires_in_days": 30,
    });

    let answer = try_create(&app, &token, &body).await;

    let key = shown(&answer);
    let mut new = answer.json();
    assert_eq!(answer.header("location"), format!("/auth/keys/{}", key.id));
    assert_eq!(new["name"], "nightly report");
    assert_eq!(new["scopes"], json!(["account:read", "users:read"]));
    assert_eq!(new["start"], key.key[..PREFIX.len() + 5]);
    let expires_at = OffsetDateTime::parse(new["expires_at"].as_str().unwrap(), &Rfc3339).unwrap();
    let left = expires_at - app.now();
    assert!(Duration::days(29) < left && left <= Duration::days(30));
    // The list shows the same without the key, and so does nothing else.
    new.as_object_mut().unwrap().remove("key");
    assert_eq!(list(&app, &token).await, [new]);
    let sql = "SELECT count(*) FROM api_keys AS k WHERE k::text LIKE '%' || $1 || '%'";
    let rest = &key.key[PREFIX.len() + 5..];
    assert_eq!(app.value::<i64>(sql, &[&rest]).await, 0);
    app.me(&key.key).await.assert_status(200);
}

#[tokio::test]
async fn without_a_lifetime_a_key_does_not_expire() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;
    let mut keys = Vec::new();
    for body in [
        json!({"name": "a", "scopes": ["account:read"]}),
        json!({"name": "b", "scopes": ["account:read"], "expires_in_days": null}),
    ] {
        let answer = try_create(&app, &token, &body).await;
        assert_eq!(answer.json()["expires_at"], Value::Null);
        keys.push(shown(&answer).key);
    }

    app.advance(Duration::days(20 * 365));

    for key in keys {
        app.me(&key).await.assert_status(200);
    }
}

#[tokio::test]
async fn what_no_endpoint_states_is_no_scope() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Owner).await;

    let with = async |scopes: Value| {
        let body = json!({"name": "report", "scopes": scopes});
        try_create(&app, &token, &body).await
    };

    for unknown in ["nothing:read", "users", "users:*", "USERS:READ", ""] {
        let answer = with(json!(["account:read", unknown])).await;
        answer.assert_invalid(&["/scopes unknown_scope"]);
        let problem = answer.text();
        assert!(problem.contains("account:read, "), "{problem}");
    }
    with(json!([])).await.assert_invalid(&["/scopes required"]);
    let all = routes::scopes(&app.app);
    assert!(all.as_slice().contains(&"users:write"));
    with(json!(all.as_slice())).await.assert_status(201);
}

#[tokio::test]
async fn every_other_field_is_looked_at() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;
    for (name, value, error) in [
        ("name", json!(" "), "/name too_short"),
        ("name", json!("a".repeat(81)), "/name too_long"),
        ("name", json!("a\u{1b}[2Jb\nc"), "/name control_character"),
        (
            "expires_in_days",
            json!(0),
            "/expires_in_days invalid_value",
        ),
        (
            "expires_in_days",
            json!(3651),
            "/expires_in_days invalid_value",
        ),
    ] {
        let mut body = json!({"name": "report", "scopes": ["account:read"]});
        body[name] = value;
        try_create(&app, &token, &body)
            .await
            .assert_invalid(&[error]);
    }
    let body = json!({"name": "report", "scopes": ["account:read"], "role": "OWNER"});
    let unknown = try_create(&app, &token, &body).await;
    unknown.assert_problem(422, "validation_failed");
    assert!(list(&app, &token).await.is_empty());
}

#[tokio::test]
async fn it_takes_a_password_that_was_given_just_now() {
    let app = TestApp::start().await;
    let (user, token, key) = with_key(&app).await;
    let body = json!({"name": "second", "scopes": ["account:read"]});
    let rotate = format!("/auth/keys/{}/rotate", key.id);
    app.advance(Duration::minutes(11));

    let refused = try_create(&app, &token, &body).await;
    refused.assert_problem(403, "reauthentication_required");
    let refused = app.post(&rotate).bearer(&token).send().await;
    refused.assert_problem(403, "reauthentication_required");

    let password = json!({"current_password": user.password});
    let call = app.post("/auth/reauthenticate").bearer(&token);
    call.json(&password).send().await.assert_status(204);
    shown(&try_create(&app, &token, &body).await);
    shown(&app.post(&rotate).bearer(&token).send().await);
}

#[tokio::test]
async fn an_account_has_so_many_live_keys_and_no_more() {
    let app = TestApp::start().await;
    let (user, token, key) = with_key(&app).await;
    for _ in 1..50 {
        app.key_of(user.id, &["account:read"]).await;
    }
    let body = json!({"name": "one more", "scopes": ["account:read"]});

    let refused = try_create(&app, &token, &body).await;
    refused.assert_problem(409, "too_many_keys");
    let rotate = format!("/auth/keys/{}/rotate", key.id);
    let refused = app.post(&rotate).bearer(&token).send().await;
    refused.assert_problem(409, "too_many_keys");
    // The old one was not ended either.
    assert_eq!(list(&app, &token).await.len(), 50);
    app.me(&key.key).await.assert_status(200);

    let path = format!("/auth/keys/{}", key.id);
    app.delete(&path)
        .bearer(&token)
        .send()
        .await
        .assert_status(204);
    shown(&try_create(&app, &token, &body).await);
}

#[tokio::test]
async fn dead_keys_are_kept_for_ninety_days() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    // It lives for a day.
    app.key_of(user.id, &["account:read"]).await;
    let sweep = async || {
        let (database, clock) = (&app.app.database, &app.app.clock);
        let stop = CancellationToken::new();
        api_keys::sweep(database, clock, &stop).await.unwrap()
    };
    app.advance(Duration::days(90));
    app.key_of(user.id, &["account:read"]).await;
    assert_eq!(sweep().await, 0);

    app.advance(Duration::days(2));

    assert_eq!(sweep().await, 1);
    assert_eq!(app.keys_of(&user).await.len(), 1);
}

#[tokio::test]
async fn who_makes_and_ends_keys_without_end_fills_no_table() {
    let app = TestApp::start().await;
    let (user, _, live) = with_key(&app).await;
    let sql = "
INSERT INTO api_keys (id, user_id, name, hash, start, scopes, created_at, revoked_at, revoked_for)
SELECT gen_random_uuid(), $1, 'dead', sha256(n::text::bytea), 'start', '{account:read}', now(),
    now() - n * interval '1 s', 'owner'
FROM generate_series(1, 300) AS n";
    let database = app.database().await;
    database.execute(sql, &[user.id.as_uuid()]).await.unwrap();

    app.key_of(user.id, &["account:read"]).await;

    assert_eq!(app.keys_of(&user).await.len(), 102);
    app.me(&live.key).await.assert_status(200);
    // Those that died last are kept.
    let oldest = "SELECT count(*) FROM api_keys WHERE revoked_at < now() - interval '150 s'";
    assert_eq!(app.count(oldest).await, 0);
}
