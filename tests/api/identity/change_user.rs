//! `PATCH /users/{id}`

use serde_json::json;
use uuid::Uuid;
use warp_skeleton::features::identity::Role;

use super::{stored, try_change};
use crate::support::TestApp;

#[tokio::test]
async fn an_administrator_changes_role_and_state() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    let user = app.user().create().await;

    let answer = try_change(
        &app,
        &token,
        user.id,
        &json!({"role": "ADMIN", "is_active": false}),
    )
    .await;

    answer.assert_status(200);
    assert_eq!(answer.json()["role"], "ADMIN");
    assert_eq!(answer.json()["is_active"], false);
    assert_eq!(stored(&app, user.id).await, ("ADMIN".to_owned(), false));
}

#[tokio::test]
async fn a_change_of_nothing_changes_nothing() {
    let app = TestApp::start().await;
    let (admin, token) = app.signed_in(Role::Admin).await;
    app.advance(time::Duration::minutes(1));

    for body in [
        json!({}),
        json!({"role": "ADMIN"}),
        json!({"is_active": true}),
    ] {
        let answer = try_change(&app, &token, admin.id, &body).await;
        answer.assert_status(200);
        assert_eq!(answer.json()["updated_at"], answer.json()["created_at"]);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    let user = app.user().create().await;

    for (body, expected) in [
        (json!({"role": "KING"}), "/role unknown_role"),
        (json!({"role": 1}), "/role invalid_type"),
        (json!({"role": null}), "/role invalid_type"),
        (json!({"is_active": null}), "/is_active invalid_type"),
        (json!({"is_active": "no"}), "/is_active invalid_type"),
        (json!({"email": "x@marked.example"}), " unknown_field"),
    ] {
        try_change(&app, &token, user.id, &body)
            .await
            .assert_invalid(&[expected]);
    }
    assert_eq!(stored(&app, user.id).await, ("VIEWER".to_owned(), true));
}

#[tokio::test]
async fn nobody_grants_or_edits_above_their_own_level() {
    let app = TestApp::start().await;
    let (admin, token) = app.signed_in(Role::Admin).await;
    let owner = app.user().role(Role::Owner).create().await;
    let user = app.user().create().await;

    for (id, body) in [
        (user.id, json!({"role": "OWNER"})),
        (admin.id, json!({"role": "OWNER"})),
        (owner.id, json!({"role": "VIEWER"})),
        (owner.id, json!({"is_active": false})),
        (owner.id, json!({})),
    ] {
        try_change(&app, &token, id, &body)
            .await
            .assert_problem(403, "insufficient_level");
    }

    assert_eq!(stored(&app, owner.id).await, ("OWNER".to_owned(), true));
    assert_eq!(stored(&app, admin.id).await, ("ADMIN".to_owned(), true));
    assert_eq!(stored(&app, user.id).await, ("VIEWER".to_owned(), true));
}

#[tokio::test]
async fn the_last_active_owner_stays() {
    let app = TestApp::start().await;
    let (owner, token) = app.signed_in(Role::Owner).await;
    app.user().role(Role::Admin).create().await;
    let retired = app.user().role(Role::Owner).create().await;
    try_change(&app, &token, retired.id, &json!({"is_active": false}))
        .await
        .assert_status(200);

    for body in [json!({"role": "ADMIN"}), json!({"is_active": false})] {
        try_change(&app, &token, owner.id, &body)
            .await
            .assert_problem(409, "last_owner");
    }

    assert_eq!(stored(&app, owner.id).await, ("OWNER".to_owned(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_who_demote_each_other_at_once_one_stays() {
    for _ in 0..10 {
        let app = TestApp::start().await;
        let replica = app.replica();
        let (one, ones) = app.signed_in(Role::Owner).await;
        let (two, twos) = app.signed_in(Role::Owner).await;
        let body = json!({"role": "MEMBER"});

        let (first, second) = tokio::join!(
            try_change(&app, &ones, two.id, &body),
            try_change(&replica, &twos, one.id, &body),
        );

        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        // The slower one may find that it is no owner any more before it is let in.
        assert!(matches!(statuses, [200, 403 | 409]), "{statuses:?}");
        let owners = "SELECT count(*) FROM users WHERE role = 'OWNER' AND is_active";
        assert_eq!(app.count(owners).await, 1);
    }
}

#[tokio::test]
async fn disabling_ends_sessions_everywhere_and_for_good() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (_, token) = app.signed_in(Role::Admin).await;
    let user = app.user().create().await;
    let tokens = app.sign_in(&user).await;

    try_change(&app, &token, user.id, &json!({"is_active": false}))
        .await
        .assert_status(200);
    replica
        .me(&tokens.access)
        .await
        .assert_problem(401, "invalid_token");
    try_change(&app, &token, user.id, &json!({"is_active": true}))
        .await
        .assert_status(200);

    replica
        .me(&tokens.access)
        .await
        .assert_problem(401, "invalid_token");
    replica
        .try_refresh(&tokens.refresh)
        .await
        .assert_problem(401, "invalid_token");
    let revoked = "SELECT count(*) FROM sessions WHERE revoked_for = 'disabled'";
    assert_eq!(app.count(revoked).await, 1);
    replica
        .try_sign_in(&user.email, &user.password)
        .await
        .assert_status(200);
}

#[tokio::test]
async fn a_lowered_role_counts_on_the_next_request_of_another_replica() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (_, owner) = app.signed_in(Role::Owner).await;
    let (admin, token) = app.signed_in(Role::Admin).await;
    replica
        .get("/users")
        .bearer(&token)
        .send()
        .await
        .assert_status(200);

    try_change(&app, &owner, admin.id, &json!({"role": "MEMBER"}))
        .await
        .assert_status(200);

    let after = replica.get("/users").bearer(&token).send().await;
    after.assert_problem(403, "insufficient_role");
    replica.me(&token).await.assert_status(200);
}

#[tokio::test]
async fn who_is_not_there_cannot_be_changed() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;

    let unknown = try_change(
        &app,
        &token,
        Uuid::now_v7().into(),
        &json!({"role": "MEMBER"}),
    )
    .await;
    let malformed = app
        .patch("/users/nonsense")
        .bearer(&token)
        .json(&json!({}))
        .send()
        .await;

    unknown.assert_problem(404, "not_found");
    malformed.assert_problem(404, "not_found");
}

#[tokio::test]
async fn it_takes_an_administrator() {
    let app = TestApp::start().await;
    let (member, token) = app.signed_in(Role::Member).await;

    let promoted = try_change(&app, &token, member.id, &json!({"role": "ADMIN"})).await;

    promoted.assert_problem(403, "insufficient_role");
    assert_eq!(stored(&app, member.id).await, ("MEMBER".to_owned(), true));
}
