//! Administering accounts.

mod change;
mod delete;
mod list;
mod read;

use serde_json::Value;
use warp_skeleton::features::users::UserId;

use crate::support::{Answer, TestApp};

/// The answer to a change of role or state.
async fn try_change(app: &TestApp, token: &str, id: UserId, body: &Value) -> Answer {
    let call = app.patch(&format!("/users/{id}")).bearer(token);
    call.json(body).send().await
}

/// What the database holds of a user's role and state.
async fn stored(app: &TestApp, id: UserId) -> (String, bool) {
    let sql = "SELECT role, is_active FROM users WHERE id = $1";
    let row = app
        .database()
        .await
        .query_one(sql, &[id.as_uuid()])
        .await
        .unwrap();
    (row.get("role"), row.get("is_active"))
}
