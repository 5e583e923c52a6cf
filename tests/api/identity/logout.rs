//! `POST /auth/logout` and `POST /auth/logout-all`

use crate::support::{Answer, TestApp};

async fn logout(app: &TestApp, token: &str) -> Answer {
    app.post("/auth/logout").bearer(token).send().await
}

async fn logout_all(app: &TestApp, token: &str) -> Answer {
    app.post("/auth/logout-all").bearer(token).send().await
}

#[tokio::test]
async fn logging_out_ends_this_session_and_no_other() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let (here, there) = (app.sign_in(&user).await, app.sign_in(&user).await);

    let answer = logout(&app, &here.access).await;

    answer.assert_status(204);
    assert!(answer.body.is_empty());
    assert_eq!(app.sessions_of(&user).await, ["logout", "live"]);
    let refused = app.me(&here.access).await;
    refused.assert_problem(401, "invalid_token");
    app.me(&there.access).await.assert_status(200);
    app.try_refresh(&there.refresh).await.assert_status(200);
}

#[tokio::test]
async fn logging_out_twice_is_refused() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let tokens = app.sign_in(&user).await;
    logout(&app, &tokens.access).await.assert_status(204);

    let answer = logout(&app, &tokens.access).await;

    answer.assert_problem(401, "invalid_token");
    let everywhere = logout_all(&app, &tokens.access).await;
    everywhere.assert_problem(401, "invalid_token");
    assert_eq!(app.sessions_of(&user).await, ["logout"]);
}

#[tokio::test]
async fn logging_out_everywhere_ends_all_of_ones_own_sessions() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().create().await, app.user().create().await);
    let (here, there) = (app.sign_in(&user).await, app.sign_in(&user).await);
    let others = app.sign_in(&other).await;

    let answer = logout_all(&app, &here.access).await;

    answer.assert_status(204);
    assert!(answer.body.is_empty());
    assert_eq!(app.sessions_of(&user).await, ["logout_all", "logout_all"]);
    assert_eq!(app.sessions_of(&other).await, ["live"]);
    for tokens in [here, there] {
        let refused = app.me(&tokens.access).await;
        refused.assert_problem(401, "invalid_token");
        let refused = app.try_refresh(&tokens.refresh).await;
        refused.assert_problem(401, "invalid_token");
    }
    app.me(&others.access).await.assert_status(200);
}

#[tokio::test]
async fn logging_out_everywhere_does_not_rewrite_why_a_session_ended() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let (first, second) = (app.sign_in(&user).await, app.sign_in(&user).await);
    logout(&app, &first.access).await.assert_status(204);

    logout_all(&app, &second.access).await.assert_status(204);

    assert_eq!(app.sessions_of(&user).await, ["logout", "logout_all"]);
}

#[tokio::test]
async fn one_may_sign_in_again() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let tokens = app.sign_in(&user).await;
    logout_all(&app, &tokens.access).await.assert_status(204);

    let again = app.sign_in(&user).await;

    app.me(&again.access).await.assert_status(200);
}

#[tokio::test]
async fn a_query_is_refused() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let tokens = app.sign_in(&user).await;

    for path in ["/auth/logout?all=true", "/auth/logout-all?x=1"] {
        let answer = app.post(path).bearer(&tokens.access).send().await;

        answer.assert_invalid(&[" unknown_parameter"]);
    }

    assert_eq!(app.sessions_of(&user).await, ["live"]);
}
