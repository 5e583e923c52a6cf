//! `PATCH /notes/{id}`

use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;
use warp_skeleton::features::identity::Role;

use super::{create, path_of, sample, unfit};
use crate::support::{Answer, TestApp};

async fn try_change(app: &TestApp, token: &str, path: &str, body: &Value) -> Answer {
    app.patch(path).bearer(token).json(body).send().await
}

#[tokio::test]
async fn a_field_changes_alone_and_for_good() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let mut expected = create(&app, &token).await;
    let path = path_of(&expected);
    let values = [
        ("title", json!("another title")),
        ("body", json!("another body")),
        ("body", json!(null)),
        ("pinned", json!(false)),
    ];

    for (name, value) in values {
        app.advance(Duration::seconds(1));
        let answer = try_change(&app, &token, &path, &json!({name: value})).await;

        answer.assert_status(200);
        let changed = answer.json();
        assert_ne!(changed["updated_at"], expected["updated_at"], "{name}");
        expected[name] = value;
        expected["updated_at"] = changed["updated_at"].clone();
        assert_eq!(changed, expected);
        let found = app.get(&path).bearer(&token).send().await;
        assert_eq!(found.json(), expected);
    }
}

#[tokio::test]
async fn a_change_of_nothing_changes_nothing() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let note = create(&app, &token).await;
    app.advance(Duration::minutes(1));

    for body in [json!({}), sample()] {
        let answer = try_change(&app, &token, &path_of(&note), &body).await;

        answer.assert_status(200);
        assert_eq!(answer.json(), note);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let note = create(&app, &token).await;

    for (name, value, code) in unfit() {
        let answer = try_change(&app, &token, &path_of(&note), &json!({name: value})).await;
        answer.assert_invalid(&[&format!("/{name} {code}")]);
    }
    let answer = try_change(&app, &token, &path_of(&note), &json!({"user_id": 1})).await;
    answer.assert_invalid(&[" unknown_field"]);
    let found = app.get(&path_of(&note)).bearer(&token).send().await;
    assert_eq!(found.json(), note);
}

#[tokio::test]
async fn one_of_another_user_is_not_found() {
    let app = TestApp::start().await;
    let (_, own) = app.signed_in(Role::Member).await;
    let (_, others) = app.signed_in(Role::Owner).await;
    let note = create(&app, &own).await;
    let foreign = path_of(&note);
    let unknown = format!("/notes/{}", Uuid::now_v7());

    for path in [&foreign, &unknown, "/notes/nonsense"] {
        let answer = try_change(&app, &others, path, &sample()).await;
        answer.assert_problem(404, "not_found");
    }
}

#[tokio::test]
async fn it_takes_a_member() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    let answer = try_change(&app, &token, "/notes/nonsense", &json!({})).await;

    answer.assert_problem(403, "insufficient_role");
}
