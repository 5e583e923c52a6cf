//! `GET /auth/me`

use http::Method;
use warp_skeleton::features::identity::Role;

use crate::support::TestApp;

#[tokio::test]
async fn whoever_is_signed_in_sees_their_own_account() {
    let app = TestApp::start().await;

    for role in Role::ALL {
        let (user, token) = app.signed_in(role).await;

        let answer = app.me(&token).await;

        answer.assert_status(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let me = answer.json();
        let names: Vec<_> = me.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "created_at",
                "email",
                "id",
                "is_active",
                "role",
                "updated_at"
            ]
        );
        assert_eq!(me["id"], user.id.to_string());
        assert_eq!(me["email"], user.email);
        assert_eq!(me["role"], role.as_str());
        assert_eq!(me["is_active"], true);
        assert!(!answer.text().contains("scrypt"));
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;
    let length = app.me(&token).await.body.len();

    let call = app.call(Method::HEAD, "/auth/me").bearer(&token);
    let answer = call.send().await;

    answer.assert_status(200);
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("content-length"), length.to_string());
}

#[tokio::test]
async fn a_query_is_refused() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    let answer = app.get("/auth/me?id=1").bearer(&token).send().await;

    answer.assert_invalid(&[" unknown_parameter"]);
}
