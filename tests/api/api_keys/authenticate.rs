//! What a key is good for, and until when.

use std::future::Future;

use serde_json::json;
use time::{Duration, OffsetDateTime};
use warp_skeleton::features::{
    api_keys::{ApiKey, PREFIX},
    identity::{Role, UserChange},
};

use super::{TestKey, list, with_key};
use crate::support::{TestApp, TestUser};

#[tokio::test]
async fn a_key_acts_for_its_owner_and_names_the_scheme_as_a_token_does() {
    let app = TestApp::start().await;
    let (user, _, key) = with_key(&app).await;

    let me = app.me(&key.key).await;

    me.assert_status(200);
    assert_eq!(me.json()["id"], user.id.to_string());
    let refused = app.get("/auth/keys").bearer(&key.key).send().await;
    refused.assert_problem(403, "key_not_allowed");
    let challenge = "Bearer realm=\"api\", error=\"insufficient_scope\"";
    assert_eq!(refused.header("www-authenticate"), challenge);
    let elsewhere = app.get(&format!("/auth/me?access_token={}", key.key));
    elsewhere
        .send()
        .await
        .assert_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_key_with_a_mistake_in_it_is_refused_without_a_query() {
    let app = TestApp::start().await;
    let (_, _, key) = with_key(&app).await;
    let mut mistaken: Vec<String> = (PREFIX.len() + 1..key.key.len())
        .map(|index| {
            let mut bytes = key.key.clone().into_bytes();
            bytes[index] = if bytes[index] == b'x' { b'y' } else { b'x' };
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    // Two neighbours that change places, and what is too short, too long, or of another alphabet.
    mistaken.extend((PREFIX.len() + 1..key.key.len() - 1).filter_map(|index| {
        let mut bytes = key.key.clone().into_bytes();
        bytes.swap(index, index + 1);
        let text = String::from_utf8(bytes).unwrap();
        (text != key.key).then_some(text)
    }));
    mistaken.push(key.key[..key.key.len() - 1].to_owned());
    mistaken.push(format!("{}0", key.key));
    mistaken.push(format!("{PREFIX}_"));
    mistaken.push(format!("{PREFIX}_{}", "-".repeat(49)));
    let before = app.statements();

    for text in &mistaken {
        app.me(text).await.assert_problem(401, "invalid_token");
    }

    assert_eq!(app.statements(), before);
    assert!(mistaken.len() > 80);
    // One that only nobody has takes a query.
    let unknown = ApiKey::generate();
    let refused = app.me(unknown.expose()).await;
    refused.assert_problem(401, "invalid_token");
    assert_eq!(app.statements(), before + 1);
    app.me(&key.key).await.assert_status(200);
    assert_eq!(app.statements(), before + 2);
}

/// Asks both replicas for the list of accounts by the key of an administrator, before and after something happens at the
/// first.
async fn counts_at_once<F>(
    happen: impl FnOnce(TestApp, TestUser, TestKey) -> F,
    status: u16,
    code: &str,
) where
    F: Future<Output = TestApp>,
{
    let app = TestApp::with(&[("KEY_OVERLAP_HOURS", "3")]).await;
    let replica = app.replica();
    app.user().role(Role::Owner).create().await;
    let owner = app.user().role(Role::Admin).create().await;
    let key = app.key_of(owner.id, &["users:read"]).await;
    let text = key.key.clone();
    for at in [&app, &replica] {
        at.get("/users")
            .bearer(&text)
            .send()
            .await
            .assert_status(200);
    }

    let app = happen(app, owner, key).await;

    for at in [&replica, &app] {
        let refused = at.get("/users").bearer(&text).send().await;
        refused.assert_problem(status, code);
    }
}

async fn change(
    app: TestApp,
    owner: TestUser,
    role: Option<Role>,
    is_active: Option<bool>,
) -> TestApp {
    let change = UserChange { role, is_active };
    app.auth.change_user(owner.id, change).await.unwrap();
    app
}

#[tokio::test]
async fn a_key_that_expired_counts_no_more_on_any_replica() {
    let expire = async |app: TestApp, _, _| {
        app.advance(Duration::days(1));
        app
    };
    counts_at_once(expire, 401, "invalid_token").await;
}

#[tokio::test]
async fn a_key_that_was_revoked_counts_no_more_on_any_replica() {
    let revoke = async |app: TestApp, _, key: TestKey| {
        let id = key.id.parse().unwrap();
        app.app
            .keys
            .revoke_for_operator(&app.auth, id)
            .await
            .unwrap();
        app
    };
    counts_at_once(revoke, 401, "invalid_token").await;
}

#[tokio::test]
async fn a_key_that_was_revoked_by_a_replica_whose_clock_is_ahead_counts_no_more_at_once() {
    let app = TestApp::start().await;
    let (user, token, key) = with_key(&app).await;
    let revoke = "
UPDATE api_keys
SET revoked_at = now() + interval '1 minute', revoked_for = 'presented'
WHERE user_id = $1";
    let database = app.database().await;
    database
        .execute(revoke, &[user.id.as_uuid()])
        .await
        .unwrap();

    let refused = app.me(&key.key).await;

    refused.assert_problem(401, "invalid_token");
    assert!(list(&app, &token).await.is_empty());
    let path = format!("/auth/keys/{}", key.id);
    let again = app.delete(&path).bearer(&token).send().await;
    again.assert_problem(404, "not_found");
}

#[tokio::test]
async fn a_key_of_an_organisation_is_refused_by_a_program_that_knows_none() {
    let app = TestApp::start().await;
    let (user, token, key) = with_key(&app).await;
    let database = app.database().await;
    let join = "UPDATE api_keys SET org_id = gen_random_uuid() WHERE user_id = $1";
    let joined = database.execute(join, &[user.id.as_uuid()]).await;
    assert_eq!(joined.unwrap(), 1);

    let refused = app.me(&key.key).await;

    refused.assert_problem(401, "invalid_token");
    // Its successor would be the owner's own.
    let path = format!("/auth/keys/{}/rotate", key.id);
    let rotated = app.post(&path).bearer(&token).send().await;
    rotated.assert_problem(404, "not_found");
    assert_eq!(app.count("SELECT count(*) FROM api_keys").await, 1);
}

#[tokio::test]
async fn a_key_that_was_rotated_counts_no_more_on_any_replica_after_the_overlap() {
    let rotate = async |app: TestApp, owner: TestUser, key: TestKey| {
        let token = app.sign_in(&owner).await.access;
        let path = format!("/auth/keys/{}/rotate", key.id);
        app.post(&path)
            .bearer(&token)
            .send()
            .await
            .assert_status(201);
        app.advance(Duration::hours(3) - Duration::minutes(1));
        app.get("/users")
            .bearer(&key.key)
            .send()
            .await
            .assert_status(200);
        app.advance(Duration::minutes(2));
        app
    };
    counts_at_once(rotate, 401, "invalid_token").await;
}

#[tokio::test]
async fn a_key_whose_owner_was_disabled_or_deleted_counts_no_more_on_any_replica() {
    let disable = |app, owner, _| change(app, owner, None, Some(false));
    counts_at_once(disable, 401, "invalid_token").await;
    let delete = async |app: TestApp, owner: TestUser, _| {
        app.auth.delete_user(owner.id).await.unwrap();
        app
    };
    counts_at_once(delete, 401, "invalid_token").await;
}

#[tokio::test]
async fn a_key_has_the_role_that_its_owner_has_now_on_every_replica() {
    let demote = |app, owner, _| change(app, owner, Some(Role::Member), None);
    counts_at_once(demote, 403, "insufficient_role").await;
}

#[tokio::test]
async fn when_a_disabled_owner_is_enabled_again_the_key_is_good_again() {
    let app = TestApp::start().await;
    let (user, _, key) = with_key(&app).await;
    let app = change(app, user.clone(), None, Some(false)).await;
    app.me(&key.key).await.assert_status(401);

    let app = change(app, user, None, Some(true)).await;

    app.me(&key.key).await.assert_status(200);
}

#[tokio::test]
async fn what_a_key_changes_is_done_by_its_owner_and_under_the_rules_for_it() {
    let app = TestApp::start().await;
    let owner = app.user().role(Role::Owner).create().await;
    let admin = app.user().role(Role::Admin).create().await;
    let target = app.user().role(Role::Viewer).create().await;
    let key = app.key_of(admin.id, &["users:write"]).await.key;
    let body = json!({"role": "MEMBER"});
    let patch = |id| app.patch(&format!("/users/{id}")).bearer(&key).json(&body);

    patch(target.id).send().await.assert_status(200);
    patch(owner.id)
        .send()
        .await
        .assert_problem(403, "insufficient_level");
    // To read takes another scope.
    let read = app.get(&format!("/users/{}", target.id)).bearer(&key);
    read.send().await.assert_problem(403, "key_not_allowed");
    // It may delete the account that it acts for, and goes with it.
    let own = app.delete(&format!("/users/{}", admin.id)).bearer(&key);
    own.send().await.assert_status(204);
    patch(target.id)
        .send()
        .await
        .assert_problem(401, "invalid_token");
    assert_eq!(app.count("SELECT count(*) FROM api_keys").await, 0);
}

async fn last_used_at(app: &TestApp) -> Option<OffsetDateTime> {
    app.value("SELECT last_used_at FROM api_keys", &[]).await
}

#[tokio::test]
async fn when_a_key_was_last_used_is_noted_beside_the_requests() {
    let mut app = TestApp::start().await;
    let tasks = app.start_tasks();
    let (_, _, key) = with_key(&app).await;
    assert_eq!(last_used_at(&app).await, None);

    app.me(&key.key).await.assert_status(200);
    let used = app.now();
    // What was seen is written before the tasks end.
    tasks.stop().await;

    let noted = last_used_at(&app).await.unwrap();
    assert!((noted - used).abs() < Duration::minutes(1));
}

#[tokio::test]
async fn a_key_in_use_is_noted_once_a_minute() {
    let mut app = TestApp::start().await;
    let (_, _, key) = with_key(&app).await;
    let sql = "UPDATE api_keys SET last_used_at = $1";
    let before = app.now() - Duration::seconds(50);
    let database = app.database().await;
    database.execute(sql, &[&before]).await.unwrap();
    let before = last_used_at(&app).await;
    let tasks = app.start_tasks();

    app.me(&key.key).await.assert_status(200);
    tasks.stop().await;

    assert_eq!(last_used_at(&app).await, before);
}
