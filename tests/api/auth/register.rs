//! `POST /auth/register`

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn the_widely_copied_example_registers_as_a_viewer() {
    let app = TestApp::start().await;

    let body = json!({"email": "test@example.com", "password": "Pass123!"});
    let answer = app.post("/auth/register").json(&body).send().await;

    answer.assert_status(201);
    let user = answer.json();
    assert_eq!(user["email"], "test@example.com");
    assert_eq!(user["role"], "VIEWER");
    assert_eq!(user["is_active"], true);
    assert_eq!(
        answer.header("location"),
        format!("/users/{}", user["id"].as_str().unwrap())
    );
    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn registering_the_same_address_twice_is_a_conflict() {
    let app = TestApp::start().await;
    let user = app.user().create().await;

    let body = json!({"email": user.email.to_uppercase(), "password": "marked-password-2"});
    let answer = app.post("/auth/register").json(&body).send().await;

    answer.assert_problem(409, "email_taken");
    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn a_role_cannot_be_chosen() {
    let app = TestApp::start().await;

    let body =
        json!({"email": "eve@marked.example", "password": "marked-password", "role": "OWNER"});
    let answer = app.post("/auth/register").json(&body).send().await;

    answer.assert_invalid(&[" unknown_field"]);
    assert_eq!(app.count("SELECT count(*) FROM users").await, 0);
}
