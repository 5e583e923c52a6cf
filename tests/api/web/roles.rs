//! Who may call what, endpoint by endpoint and role by role.

use chassis_http::{Access, Operation};
use http::{Method, header};
use serde_json::json;
use warp_skeleton::features::identity::Role;

use super::{operations, path_of};
use crate::support::{Answer, TestApp, TestUser};

const ROLES: [Role; 4] = [Role::Viewer, Role::Member, Role::Admin, Role::Owner];

/// Asks with a body and ids that change nothing.
async fn ask(app: &TestApp, operation: &Operation, token: Option<&str>) -> Answer {
    let mut call = app.call(operation.method.clone(), &path_of(operation.template));
    if matches!(operation.method, Method::POST | Method::PATCH) {
        call = call.json(&json!({}));
    }
    if let Some(token) = token {
        call = call.bearer(token);
    }
    call.send().await
}

#[track_caller]
fn assert_admitted(answer: &Answer, who: &str, operation: &Operation) {
    assert!(
        !matches!(answer.status.as_u16(), 401 | 403 | 500..),
        "{who} {} {}: {}",
        operation.method,
        operation.template,
        answer.text()
    );
}

#[tokio::test]
async fn each_endpoint_admits_exactly_the_roles_that_it_states() {
    let app = TestApp::with(&[("MAIL_FOLDER", env!("CARGO_TARGET_TMPDIR"))]).await;
    let mut users: Vec<(Role, TestUser)> = Vec::new();
    for role in ROLES {
        users.push((role, app.user().role(role).create().await));
    }

    for operation in operations(&app) {
        for (role, user) in &users {
            // Of its own, because some endpoints end the session.
            let token = app.sign_in(user).await.access;
            let answer = ask(&app, &operation, Some(&token)).await;

            match operation.access {
                Access::AtLeast(least) if *role < least.parse().unwrap() => {
                    answer.assert_problem(403, "insufficient_role");
                    assert!(
                        answer
                            .header(header::WWW_AUTHENTICATE)
                            .contains("insufficient_scope")
                    );
                }
                _ => assert_admitted(&answer, role.as_str(), &operation),
            }
        }
    }
    let kept = app.count("SELECT count(*) FROM users WHERE is_active");
    assert_eq!(kept.await, 4);
}

#[tokio::test]
async fn nobody_gets_past_an_endpoint_that_needs_a_token() {
    let app = TestApp::start().await;

    for operation in operations(&app) {
        let answer = ask(&app, &operation, None).await;

        if operation.access.needs_token() {
            answer.assert_problem(401, "unauthenticated");
            assert_eq!(
                answer.header(header::WWW_AUTHENTICATE),
                "Bearer realm=\"api\""
            );
        } else {
            assert_admitted(&answer, "nobody", &operation);
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_refused_wherever_one_is_needed() {
    let app = TestApp::start().await;
    let guarded = operations(&app)
        .into_iter()
        .filter(|operation| operation.access.needs_token());

    for operation in guarded {
        let answer = ask(&app, &operation, Some("eyJhbGciOiJub25lIn0.e30.")).await;

        answer.assert_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn the_guard_comes_before_query_path_and_body() {
    let app = TestApp::start().await;
    let guarded: Vec<_> = operations(&app)
        .into_iter()
        .filter(|operation| operation.access.needs_token())
        .collect();

    for operation in &guarded {
        let path = operation.template.replace("{id}", "no-id");
        let call = app.call(operation.method.clone(), &format!("{path}?unknown=1"));
        let answer = call.body(vec![b'x'; 100_000]).send().await;

        answer.assert_problem(401, "unauthenticated");
    }
    assert!(guarded.len() > 5);
}

#[tokio::test]
async fn an_endpoint_that_asks_for_no_token_does_not_look_at_one() {
    let app = TestApp::start().await;
    let open = operations(&app)
        .into_iter()
        .filter(|operation| !operation.access.takes_token());

    for operation in open {
        let with = ask(&app, &operation, Some("nonsense")).await;
        let without = ask(&app, &operation, None).await;

        assert_eq!(with.status, without.status, "{}", operation.template);
    }
}
