//! `GET /users/{id}`

use serde_json::Value;
use uuid::Uuid;
use warp_skeleton::features::identity::Role;

use crate::support::TestApp;

#[tokio::test]
async fn an_account_is_shown_to_an_administrator() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    let user = app.user().create().await;

    let answer = app
        .get(&format!("/users/{}", user.id))
        .bearer(&token)
        .send()
        .await;

    answer.assert_status(200);
    assert_eq!(answer.json()["email"], user.email);
    assert_eq!(answer.json()["role"], "VIEWER");
}

#[tokio::test]
async fn an_id_has_one_spelling() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    let id = app.user().create().await.id.to_string();

    for spelling in [
        id.replace('-', ""),
        id.to_uppercase(),
        format!("urn:uuid:{id}"),
        format!("%7B{id}%7D"),
    ] {
        let shown = app.get(&format!("/users/{spelling}")).bearer(&token);
        shown.send().await.assert_problem(404, "not_found");
    }
}

#[tokio::test]
async fn what_is_not_there_looks_like_what_cannot_be() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    let body = |mut problem: Value| {
        problem["correlation_id"] = Value::Null;
        problem
    };

    let unknown = app
        .get(&format!("/users/{}", Uuid::now_v7()))
        .bearer(&token)
        .send()
        .await;
    let malformed = app.get("/users/1%20OR%201").bearer(&token).send().await;

    unknown.assert_problem(404, "not_found");
    assert_eq!(body(unknown.json()), body(malformed.json()));
}

#[tokio::test]
async fn it_takes_an_administrator_and_asks_before_it_looks() {
    let app = TestApp::start().await;
    let (member, token) = app.signed_in(Role::Member).await;

    let own = app
        .get(&format!("/users/{}", member.id))
        .bearer(&token)
        .send()
        .await;
    let malformed = app.get("/users/nonsense").bearer(&token).send().await;

    own.assert_problem(403, "insufficient_role");
    malformed.assert_problem(403, "insufficient_role");
    app.get("/users/nonsense")
        .send()
        .await
        .assert_problem(401, "unauthenticated");
}
