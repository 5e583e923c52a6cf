//! `DELETE /users/{id}`

use futures_util::future::join;
use uuid::Uuid;
use warp_skeleton::features::identity::{Role, UserChange, UserId};

use super::{insert_slow_tokens, insert_tokens};
use crate::support::{Answer, TestApp, until};

async fn try_delete(app: &TestApp, token: &str, id: UserId) -> Answer {
    app.delete(&format!("/users/{id}"))
        .bearer(token)
        .send()
        .await
}

#[tokio::test]
async fn a_deleted_user_takes_everything_along() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (_, token) = app.signed_in(Role::Admin).await;
    let user = app.user().create().await;
    let tokens = app.sign_in(&user).await;

    let answer = try_delete(&app, &token, user.id).await;

    answer.assert_status(204);
    assert!(answer.body.is_empty());
    replica
        .me(&tokens.access)
        .await
        .assert_problem(401, "invalid_token");
    replica
        .try_refresh(&tokens.refresh)
        .await
        .assert_problem(401, "invalid_token");
    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 1);
}

#[tokio::test]
async fn the_last_active_owner_stays() {
    let app = TestApp::start().await;
    let (owner, token) = app.signed_in(Role::Owner).await;

    try_delete(&app, &token, owner.id)
        .await
        .assert_problem(409, "last_owner");

    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn nobody_deletes_above_their_own_level() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    let owner = app.user().role(Role::Owner).create().await;

    try_delete(&app, &token, owner.id)
        .await
        .assert_problem(403, "insufficient_level");

    assert_eq!(app.count("SELECT count(*) FROM users").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_who_delete_each_other_at_once_one_stays() {
    for _ in 0..5 {
        let app = TestApp::start().await;
        let replica = app.replica();
        let (one, ones) = app.signed_in(Role::Owner).await;
        let (two, twos) = app.signed_in(Role::Owner).await;

        let (first, second) = tokio::join!(
            try_delete(&app, &ones, two.id),
            try_delete(&replica, &twos, one.id),
        );

        assert!([&first, &second].iter().any(|answer| answer.status == 204));
        assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
    }
}

#[tokio::test]
async fn who_is_not_there_cannot_be_deleted() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;

    try_delete(&app, &token, Uuid::now_v7().into())
        .await
        .assert_problem(404, "not_found");
    app.delete("/users/nonsense")
        .bearer(&token)
        .send()
        .await
        .assert_problem(404, "not_found");
}

#[tokio::test]
async fn it_takes_an_administrator() {
    let app = TestApp::start().await;
    let (member, token) = app.signed_in(Role::Member).await;

    try_delete(&app, &token, member.id)
        .await
        .assert_problem(403, "insufficient_role");

    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn a_user_with_more_tokens_than_one_statement_removes_in_its_time_goes_all_the_same() {
    let app = TestApp::with(&[("DB_STATEMENT_TIMEOUT_MS", "400")]).await;
    let (_, owner) = app.signed_in(Role::Owner).await;
    let user = app.user().create().await;
    for _ in 0..20 {
        app.sign_in(&user).await;
    }
    insert_slow_tokens(&app, &user, 2000).await;

    try_delete(&app, &owner, user.id).await.assert_status(204);

    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 1);
}

#[tokio::test]
async fn a_deletion_that_takes_several_transactions_is_decided_again_in_the_last_one() {
    let change = |role, is_active| UserChange { role, is_active };
    for (is_about_target, meanwhile, status, code) in [
        (
            false,
            change(Some(Role::Viewer), None),
            403,
            "insufficient_role",
        ),
        (false, change(None, Some(false)), 401, "invalid_token"),
        (
            true,
            change(Some(Role::Owner), None),
            403,
            "insufficient_level",
        ),
    ] {
        let app = TestApp::start().await;
        app.user().role(Role::Owner).create().await;
        let (admin, token) = app.signed_in(Role::Admin).await;
        let user = app.user().create().await;
        app.sign_in(&user).await;
        insert_tokens(&app, &user, 10_001).await;
        let database = app.database().await;
        let hold = "BEGIN; SELECT hash FROM refresh_tokens WHERE used_at IS NOT NULL FOR UPDATE";
        database.batch_execute(hold).await.unwrap();

        let in_between = async {
            let disabled = "SELECT count(*) FROM users WHERE NOT is_active";
            until("the disabled account", async || {
                app.count(disabled).await > 0
            })
            .await;
            let changed = if is_about_target { user.id } else { admin.id };
            app.auth.change_user(changed, meanwhile).await.unwrap();
            database.batch_execute("COMMIT").await.unwrap();
        };
        let (answer, ()) = join(try_delete(&app, &token, user.id), in_between).await;

        answer.assert_problem(status, code);
        let id = user.id.as_uuid();
        let found: i64 = app
            .value("SELECT count(*) FROM users WHERE id = $1", &[id])
            .await;
        assert_eq!(found, 1, "{code}");
    }
}
