//! `GET /notes/{id}`

use uuid::Uuid;
use warp_skeleton::features::identity::{Role, UserChange};

use super::{create, path_of};
use crate::support::TestApp;

#[tokio::test]
async fn one_of_another_user_looks_like_one_that_does_not_exist() {
    let app = TestApp::start().await;
    let (_, own) = app.signed_in(Role::Member).await;
    let (_, others) = app.signed_in(Role::Owner).await;
    let note = create(&app, &own).await;
    let show = async |path: &str| {
        let call = app.get(path).bearer(&others);
        call.header("x-correlation-id", "the-same").send().await
    };

    let foreign = show(&path_of(&note)).await;

    foreign.assert_problem(404, "not_found");
    let unknown = format!("/notes/{}", Uuid::now_v7());
    for path in [&unknown, "/notes/nonsense"] {
        let answer = show(path).await;
        assert_eq!(answer.status, foreign.status, "{path}");
        assert_eq!(answer.headers, foreign.headers, "{path}");
        assert_eq!(answer.body, foreign.body, "{path}");
    }
}

#[tokio::test]
async fn a_former_member_still_reads() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Member).await;
    let note = create(&app, &token).await;
    let change = UserChange {
        role: Some(Role::Viewer),
        is_active: None,
    };
    let lowered = app.auth.change_user(user.id, change).await;
    lowered.unwrap();

    let anonymous = app.get(&path_of(&note)).send().await;
    let viewer = app.get(&path_of(&note)).bearer(&token).send().await;

    anonymous.assert_problem(401, "unauthenticated");
    viewer.assert_status(200);
    assert_eq!(viewer.json(), note);
}
