//! `DELETE /notes/{id}`

use uuid::Uuid;
use warp_skeleton::features::identity::Role;

use super::{create, path_of};
use crate::support::{Answer, TestApp};

async fn try_delete(app: &TestApp, token: &str, path: &str) -> Answer {
    app.delete(path).bearer(token).send().await
}

#[tokio::test]
async fn a_note_is_deleted_once_and_the_others_stay() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let note = create(&app, &token).await;
    let other = create(&app, &token).await;

    let first = try_delete(&app, &token, &path_of(&note)).await;
    let second = try_delete(&app, &token, &path_of(&note)).await;

    first.assert_status(204);
    assert!(first.body.is_empty());
    second.assert_problem(404, "not_found");
    let gone = app.get(&path_of(&note)).bearer(&token).send().await;
    gone.assert_problem(404, "not_found");
    let stays = app.get(&path_of(&other)).bearer(&token).send().await;
    assert_eq!(stays.json(), other);
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
        let answer = try_delete(&app, &others, path).await;
        answer.assert_problem(404, "not_found");
    }
    assert_eq!(app.count("SELECT count(*) FROM notes").await, 1);
}

#[tokio::test]
async fn a_deleted_user_takes_their_notes_along() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Member).await;
    let (_, others) = app.signed_in(Role::Member).await;
    create(&app, &token).await;
    let stays = create(&app, &others).await;

    let deleted = app.auth.delete_user(user.id).await;

    deleted.unwrap();
    assert_eq!(app.count("SELECT count(*) FROM notes").await, 1);
    let found = app.get(&path_of(&stays)).bearer(&others).send().await;
    assert_eq!(found.json(), stays);
}

#[tokio::test]
async fn it_takes_a_member() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    let answer = try_delete(&app, &token, "/notes/nonsense").await;

    answer.assert_problem(403, "insufficient_role");
}
