//! Accounts, sessions, and their administration: one file per endpoint, and what runs beside them.

mod change_email;
mod change_password;
mod change_user;
mod cleanup;
mod delete_user;
pub mod events;
mod guard;
mod list_sessions;
mod list_users;
mod logout;
mod me;
mod reauthenticate;
mod recheck;
mod refresh;
mod register;
mod revoke_token;
mod show_user;
mod sign_in;

// browser_sessions: begin
pub use self::recheck::wait_until_one_waits;
// browser_sessions: end

use serde_json::Value;
use warp_skeleton::features::identity::UserId;

use crate::support::{Answer, TestApp, TestUser};

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

/// Gives each session of a user so many used tokens, each of which takes a while to remove.
async fn insert_slow_tokens(app: &TestApp, user: &TestUser, count: i32) {
    insert_tokens(app, user, count).await;
    // As long as many more would take.
    let slow = "
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count(*) FROM generate_series(1, 500);
    RETURN OLD;
END
$$;
CREATE TRIGGER dawdle BEFORE DELETE ON refresh_tokens FOR EACH ROW EXECUTE FUNCTION dawdle()";
    app.database().await.batch_execute(slow).await.unwrap();
}

/// Gives each session of a user so many used tokens.
async fn insert_tokens(app: &TestApp, user: &TestUser, count: i32) {
    let sql = "
INSERT INTO refresh_tokens (hash, session_id, created_at, used_at)
SELECT sha256((id::text || number)::bytea), id, created_at, created_at
FROM sessions, generate_series(1, $2) AS number
WHERE user_id = $1";
    let database = app.database().await;
    let inserted = database.execute(sql, &[user.id.as_uuid(), &count]).await;
    assert!(inserted.unwrap() > 0);
}
