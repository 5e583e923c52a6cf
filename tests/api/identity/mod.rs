//! Accounts, sessions, and their administration: one file per endpoint, and what runs beside them.

mod change_email;
mod change_password;
mod change_user;
mod cleanup;
mod delete_user;
mod events;
mod guard;
mod list_sessions;
mod list_users;
mod logout;
mod me;
mod recheck;
mod refresh;
mod register;
mod revoke_token;
mod show_user;
mod sign_in;

use serde_json::Value;
use warp_skeleton::features::identity::UserId;

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

/// Lets time pass: tokens are used by the service's clock, and their successors kept by PostgreSQL's.
async fn pass(app: &TestApp, seconds: i64) {
    app.advance(time::Duration::seconds(seconds));
    let earlier = "UPDATE refresh_tokens SET masked_until = masked_until - $1 * interval '1 s'";
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let seconds = seconds as f64;
    let database = app.database().await;
    database.execute(earlier, &[&seconds]).await.unwrap();
}
