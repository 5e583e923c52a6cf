//! `POST /notes`

use serde_json::json;
use uuid::Uuid;
use warp_skeleton::features::identity::Role;

use super::{path_of, sample, try_create, unfit};
use crate::support::TestApp;

#[tokio::test]
async fn a_note_is_found_where_the_answer_says() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;

    let answer = try_create(&app, &token, &sample()).await;

    answer.assert_status(201);
    let note = answer.json();
    assert_eq!(answer.header("location"), path_of(&note));
    let found = app.get(answer.header("location")).bearer(&token);
    assert_eq!(found.send().await.json(), note);
}

#[tokio::test]
async fn the_answer_is_what_was_sent_with_an_id_and_times() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;

    let mut note = try_create(&app, &token, &sample()).await.json();

    let fields = note.as_object_mut().unwrap();
    let [id, created_at, updated_at] =
        ["id", "created_at", "updated_at"].map(|name| fields.remove(name).unwrap());
    let id: Uuid = id.as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(created_at, updated_at);
    assert_eq!(note, sample());
}

#[tokio::test]
async fn what_may_be_left_out_has_a_default() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let body = json!({"title": "some title"});

    let answer = try_create(&app, &token, &body).await;

    answer.assert_status(201);
    let note = answer.json();
    assert_eq!(note["body"], json!(null));
    assert_eq!(note["pinned"], json!(false));
}

#[tokio::test]
async fn what_is_required_cannot_be_left_out() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let required = ["title"];

    for name in required {
        let mut body = sample();
        body.as_object_mut().unwrap().remove(name);
        let answer = try_create(&app, &token, &body).await;
        answer.assert_invalid(&[&format!("/{name} required")]);
    }
    assert_eq!(app.count("SELECT count(*) FROM notes").await, 0);
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;

    for (name, value, code) in unfit() {
        let mut body = sample();
        body[name] = value;
        let answer = try_create(&app, &token, &body).await;
        answer.assert_invalid(&[&format!("/{name} {code}")]);
    }
    assert_eq!(app.count("SELECT count(*) FROM notes").await, 0);
}

#[tokio::test]
async fn nothing_else_can_be_chosen() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Member).await;

    for (name, value) in [
        ("id", json!(Uuid::now_v7())),
        ("user_id", json!(user.id.as_uuid())),
        ("created_at", json!("2030-01-31T12:00:00Z")),
    ] {
        let mut body = sample();
        body[name] = value;
        let answer = try_create(&app, &token, &body).await;
        answer.assert_invalid(&[" unknown_field"]);
    }
    assert_eq!(app.count("SELECT count(*) FROM notes").await, 0);
}

#[tokio::test]
async fn it_takes_a_member() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    let answer = try_create(&app, &token, &sample()).await;

    answer.assert_problem(403, "insufficient_role");
    assert_eq!(app.count("SELECT count(*) FROM notes").await, 0);
}
