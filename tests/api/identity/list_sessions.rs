//! `GET /auth/sessions` and `DELETE /auth/sessions/{id}`

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use warp_skeleton::features::identity::Role;

use crate::support::{Answer, TestApp, TestUser, Tokens, until};

async fn list(app: &TestApp, token: &str) -> Vec<Value> {
    let answer = app.get("/auth/sessions").bearer(token).send().await;
    answer.assert_status(200);
    answer.json()["items"].as_array().unwrap().clone()
}

async fn end(app: &TestApp, token: &str, id: &str) -> Answer {
    let call = app.delete(&format!("/auth/sessions/{id}")).bearer(token);
    call.send().await
}

fn id_of(session: &Value) -> &str {
    session["id"].as_str().unwrap()
}

fn time_of(session: &Value, name: &str) -> OffsetDateTime {
    OffsetDateTime::parse(session[name].as_str().unwrap(), &Rfc3339).unwrap()
}

#[tokio::test]
async fn the_list_shows_ones_own_live_sessions_oldest_first() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().create().await, app.user().create().await);
    app.sign_in(&other).await;
    let body = json!({"email": user.email, "password": user.password});
    let call = app.post("/auth/token").json(&body).from("2001:db8::7");
    let answer = call.header("user-agent", "marked/1.0").send().await;
    let first = Tokens::of(&answer);
    app.advance(Duration::minutes(1));
    app.sign_in(&user).await;

    let answer = app.get("/auth/sessions").bearer(&first.access).send().await;

    answer.assert_status(200);
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let items = body["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    let names: Vec<_> = items[0].as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "created_at",
            "current",
            "expires_at",
            "id",
            "ip",
            "last_used_at",
            // browser_sessions: begin
            "transport",
            // browser_sessions: end
            "user_agent"
        ]
    );
    assert_eq!(items[0]["ip"], "2001:db8::7");
    assert_eq!(items[0]["user_agent"], "marked/1.0");
    assert_eq!(items[0]["current"], true);
    assert_eq!(items[1]["ip"], "127.0.0.1");
    assert_eq!(items[1]["user_agent"], Value::Null);
    assert_eq!(items[1]["current"], false);
    assert!(time_of(&items[0], "created_at") < time_of(&items[1], "created_at"));
    assert_eq!(items[0]["created_at"], items[0]["last_used_at"]);
    let lifetime = time_of(&items[0], "expires_at") - time_of(&items[0], "created_at");
    assert_eq!(lifetime, Duration::days(14));
}

#[tokio::test]
async fn current_is_whichever_session_asks() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let (first, second) = (app.sign_in(&user).await, app.sign_in(&user).await);

    let seen_by = async |tokens: &Tokens| -> Vec<bool> {
        let items = list(&app, &tokens.access).await;
        items
            .iter()
            .map(|session| session["current"].as_bool().unwrap())
            .collect()
    };

    assert_eq!(seen_by(&first).await, [true, false]);
    assert_eq!(seen_by(&second).await, [false, true]);
}

#[tokio::test]
async fn sessions_that_are_over_are_not_listed() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    app.sign_in(&user).await;
    app.advance(Duration::days(14));
    let ended = app.sign_in(&user).await;
    let logout = app.post("/auth/logout").bearer(&ended.access);
    logout.send().await.assert_status(204);
    let here = app.sign_in(&user).await;

    let items = list(&app, &here.access).await;

    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["current"], true);
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 3);
}

#[tokio::test]
async fn one_may_end_another_session_of_ones_own() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let (there, here) = (app.sign_in(&user).await, app.sign_in(&user).await);
    let sessions = list(&app, &here.access).await;

    let answer = end(&app, &here.access, id_of(&sessions[0])).await;

    answer.assert_status(204);
    assert!(answer.body.is_empty());
    assert_eq!(app.sessions_of(&user).await, ["logout", "live"]);
    let refused = app.replica().me(&there.access).await;
    refused.assert_problem(401, "invalid_token");
    let refused = app.try_refresh(&there.refresh).await;
    refused.assert_problem(401, "invalid_token");
    assert_eq!(list(&app, &here.access).await.len(), 1);
}

#[tokio::test]
async fn one_may_end_the_session_one_is_in() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let sessions = list(&app, &token).await;

    let answer = end(&app, &token, id_of(&sessions[0])).await;

    answer.assert_status(204);
    assert_eq!(app.sessions_of(&user).await, ["logout"]);
    app.me(&token).await.assert_problem(401, "invalid_token");
}

#[tokio::test]
async fn somebody_elses_unknown_and_malformed_ids_cannot_be_told_apart() {
    let app = TestApp::start().await;
    let (victim, victims) = app.signed_in(Role::Viewer).await;
    let (_, owner) = app.signed_in(Role::Owner).await;
    let foreign = id_of(&list(&app, &victims).await[0]).to_owned();
    let attempt = async |id: &str| {
        let call = app.delete(&format!("/auth/sessions/{id}")).bearer(&owner);
        call.header("x-correlation-id", "the-same").send().await
    };

    let others = attempt(&foreign).await;

    others.assert_problem(404, "not_found");
    for id in [
        uuid::Uuid::now_v7().to_string().as_str(),
        "00000000-0000-0000-0000-000000000000",
        "not-an-id",
        "1",
        "%00",
        "%27%20OR%201=1",
        &format!("{foreign}x"),
    ] {
        let answer = attempt(id).await;
        assert_eq!(answer.status, others.status, "{id}");
        assert_eq!(answer.headers, others.headers, "{id}");
        assert_eq!(answer.body, others.body, "{id}");
    }
    assert_eq!(app.sessions_of(&victim).await, ["live"]);
    app.me(&victims).await.assert_status(200);
}

#[tokio::test]
async fn a_session_ends_once() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let (there, here) = (app.sign_in(&user).await, app.sign_in(&user).await);
    let id = id_of(&list(&app, &there.access).await[0]).to_owned();
    end(&app, &here.access, &id).await.assert_status(204);

    let answer = end(&app, &here.access, &id).await;

    answer.assert_problem(404, "not_found");
}

#[tokio::test]
async fn a_query_is_refused() {
    let app = TestApp::start().await;
    let (user, token) = app.signed_in(Role::Viewer).await;
    let id = id_of(&list(&app, &token).await[0]).to_owned();

    let listed = app.get("/auth/sessions?limit=1").bearer(&token);
    let path = format!("/auth/sessions/{id}?force=1");
    let ended = app.delete(&path).bearer(&token);

    listed.send().await.assert_invalid(&[" unknown_parameter"]);
    ended.send().await.assert_invalid(&[" unknown_parameter"]);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
}

async fn last_used_at(app: &TestApp, user: &TestUser) -> OffsetDateTime {
    let sql = "SELECT last_used_at FROM sessions WHERE user_id = $1";
    app.value(sql, &[user.id.as_uuid()]).await
}

#[tokio::test]
async fn a_session_in_use_is_noted_beside_the_requests() {
    let mut app = TestApp::start().await;
    let tasks = app.start_tasks();
    let (user, token) = app.signed_in(Role::Viewer).await;
    let opened = last_used_at(&app, &user).await;

    app.advance(Duration::seconds(61));
    app.me(&token).await.assert_status(200);

    until("the note of its use", async || {
        last_used_at(&app, &user).await != opened
    })
    .await;
    assert!(last_used_at(&app, &user).await - opened >= Duration::seconds(61));
    let sessions = list(&app, &token).await;
    assert!(time_of(&sessions[0], "last_used_at") - opened >= Duration::seconds(61));
    tasks.stop().await;
}

#[tokio::test]
async fn a_session_in_use_is_noted_at_most_once_a_minute() {
    let mut app = TestApp::start().await;
    let tasks = app.start_tasks();
    let (user, token) = app.signed_in(Role::Viewer).await;
    let opened = last_used_at(&app, &user).await;

    app.advance(Duration::seconds(50));
    app.me(&token).await.assert_status(200);
    // What was seen is written before the tasks end.
    tasks.stop().await;

    assert_eq!(last_used_at(&app, &user).await, opened);
}

#[tokio::test]
async fn what_was_seen_last_is_written_before_the_tasks_end() {
    let mut app = TestApp::start().await;
    let tasks = app.start_tasks();
    let (user, token) = app.signed_in(Role::Viewer).await;
    let opened = last_used_at(&app, &user).await;

    app.advance(Duration::seconds(61));
    app.me(&token).await.assert_status(200);
    tasks.stop().await;

    assert!(last_used_at(&app, &user).await - opened >= Duration::seconds(61));
}

#[tokio::test]
async fn a_session_that_is_locked_is_not_waited_for() {
    let mut app = TestApp::start().await;
    let tasks = app.start_tasks();
    let (free, frees) = app.signed_in(Role::Viewer).await;
    let (held, helds) = app.signed_in(Role::Viewer).await;
    let opened = (
        last_used_at(&app, &free).await,
        last_used_at(&app, &held).await,
    );
    let mut database = app.database().await;
    let transaction = database.transaction().await.unwrap();
    let lock = "SELECT FROM sessions WHERE user_id = $1 FOR SHARE";
    transaction
        .execute(lock, &[held.id.as_uuid()])
        .await
        .unwrap();

    app.advance(Duration::seconds(61));
    for token in [&frees, &helds] {
        app.me(token).await.assert_status(200);
    }
    // What was seen is written before the tasks end.
    tasks.stop().await;

    assert!(last_used_at(&app, &free).await > opened.0);
    assert_eq!(last_used_at(&app, &held).await, opened.1);
    transaction.rollback().await.unwrap();
}
