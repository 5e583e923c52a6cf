//! Which endpoint takes which credential, from what their definitions state.

use std::collections::BTreeSet;

use chassis_http::{Access, Operation};
use http::{Method, header};
use serde_json::{Value, json};
use warp_skeleton::{features::identity::Role, routes};

use super::{operations, path_of};
use crate::support::{Answer, TestApp};

/// What a request comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Session(Role),
    /// A key of an account of this role, with the scope of the endpoint.
    KeyWithScope(Role),
    /// One with every scope but that.
    KeyWithoutScope(Role),
}

/// What has to come of it.
fn expected(operation: &Operation, sent: Sent) -> Option<(u16, &'static str)> {
    let is_below = |role: Role| match operation.access {
        Access::AtLeast(least) => role < least.parse().unwrap(),
        _ => false,
    };
    match sent {
        _ if !operation.access.needs_token() => None,
        Sent::Nothing => Some((401, "unauthenticated")),
        Sent::KeyWithoutScope(_) => Some((403, "key_not_allowed")),
        Sent::KeyWithScope(_) if operation.scope.is_none() => Some((403, "key_not_allowed")),
        Sent::Session(role) | Sent::KeyWithScope(role) if is_below(role) => {
            Some((403, "insufficient_role"))
        }
        Sent::Session(_) | Sent::KeyWithScope(_) => None,
    }
}

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

#[tokio::test]
async fn each_endpoint_takes_exactly_the_credentials_that_its_definition_states() {
    let settings: &[(&str, &str)] = &[
        // recovery: begin
        ("MAIL_FOLDER", env!("CARGO_TARGET_TMPDIR")),
        // recovery: end
    ];
    let app = TestApp::with(settings).await;
    let scopes = routes::scopes(&app.app);
    let (mut asked, mut differing) = (0, Vec::new());
    let mut users = Vec::new();
    for role in Role::ALL {
        users.push((role, app.user().role(role).create().await));
    }
    for operation in operations(&app) {
        for (role, user) in &users {
            let is_its = |scope: &&&str| Some(**scope) == operation.scope;
            let its: Vec<_> = scopes.as_slice().iter().filter(is_its).copied().collect();
            let rest = scopes.as_slice().iter().filter(|scope| !is_its(scope));
            let rest: Vec<_> = rest.copied().collect();
            // An endpoint without a scope gets a key with all there are.
            let with = if its.is_empty() { &rest } else { &its };
            for sent in [
                Sent::Nothing,
                Sent::Session(*role),
                Sent::KeyWithScope(*role),
                Sent::KeyWithoutScope(*role),
            ] {
                let token = match sent {
                    Sent::Nothing => None,
                    Sent::Session(_) => Some(app.sign_in(user).await.access),
                    Sent::KeyWithScope(_) => Some(app.key_of(user.id, with).await.key),
                    Sent::KeyWithoutScope(_) => Some(app.key_of(user.id, &rest).await.key),
                };
                let answer = ask(&app, &operation, token.as_deref()).await;
                app.database()
                    .await
                    .batch_execute("DELETE FROM api_keys")
                    .await
                    .unwrap();

                asked += 1;
                let status = answer.status.as_u16();
                let is_right = match expected(&operation, sent) {
                    Some((expected, code)) => status == expected && answer.json()["code"] == code,
                    None => !matches!(status, 401 | 403 | 500..),
                };
                if !is_right {
                    let (method, template) = (&operation.method, operation.template);
                    differing.push(format!("{sent:?} {method} {template}: {}", answer.text()));
                }
                if answer.status == 403 {
                    let challenge = answer.header(header::WWW_AUTHENTICATE);
                    assert!(challenge.contains("insufficient_scope"), "{challenge}");
                }
            }
        }
    }
    assert!(differing.is_empty(), "of {asked}: {differing:#?}");
    assert!(asked > 400, "{asked}");
    let kept = app.count("SELECT count(*) FROM users WHERE is_active");
    assert_eq!(kept.await, 4);
}

#[tokio::test]
async fn each_scheme_is_documented_on_exactly_the_endpoints_that_take_it() {
    let app = TestApp::start().await;
    let document = app.openapi();

    for operation in operations(&app) {
        let method = operation.method.as_str().to_lowercase();
        let described = &document["paths"][operation.template][&method];
        let found: BTreeSet<String> = described["security"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|one| one.as_object().unwrap())
            .map(|(name, scopes)| format!("{name}{scopes}"))
            .collect();

        let mut stated = BTreeSet::new();
        if operation.access.takes_token() {
            stated.extend(["bearer[]", "password[]"].map(str::to_owned));
            stated.extend(operation.scope.map(|scope| format!("key[\"{scope}\"]")));
        }
        let place = (method, operation.template);
        // Further schemes are the concern of the features that have them.
        let known = ["bearer", "password", "key"];
        let found: BTreeSet<_> = found
            .into_iter()
            .filter(|one| {
                known
                    .iter()
                    .any(|name| one.starts_with(&format!("{name}[")))
            })
            .collect();
        assert_eq!(found, stated, "{place:?}");
        let description = described["description"].as_str().unwrap();
        let says = operation.scope.map(|scope| format!("Scope: `{scope}`."));
        let is_said = says.as_ref().is_some_and(|says| description.contains(says));
        assert_eq!(is_said, says.is_some(), "{place:?}: {description}");
        assert!(says.is_some() || !description.contains("Scope"));
        if operation.scope.is_some() {
            assert!(
                operation.access.needs_token(),
                "{place:?} has a scope for nobody"
            );
        }
    }
}

#[tokio::test]
async fn a_key_can_be_given_to_the_pages_that_try_the_api() {
    let app = TestApp::start().await;
    let scheme = &app.openapi()["components"]["securitySchemes"]["key"];

    // Swagger UI asks for what `http` and `bearer` say, and sends it as it was typed.
    assert_eq!(
        (&scheme["type"], &scheme["scheme"]),
        (&json!("http"), &json!("bearer"))
    );
    let description = scheme["description"].as_str().unwrap_or_default();
    for scope in routes::scopes(&app.app).as_slice() {
        assert!(description.contains(&format!("`{scope}`")), "{scope}");
    }
    assert_ne!(scheme["bearerFormat"], Value::Null);
}
