//! What the database holds.

use time::OffsetDateTime;
use tokio_postgres::types::{FromSqlOwned, ToSql};

use super::{TestApp, TestUser};

impl TestApp {
    /// The one value that the query asks for.
    pub async fn value<T: FromSqlOwned>(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> T {
        let database = self.database().await;
        database.query_one(sql, parameters).await.unwrap().get(0)
    }

    /// What became of each session of this user, oldest first: `live`, or why it was revoked.
    pub async fn sessions_of(&self, user: &TestUser) -> Vec<String> {
        let sql = "
SELECT coalesce(array_agg(coalesce(revoked_for, 'live') ORDER BY created_at, id), '{}')
FROM sessions
WHERE user_id = $1";
        self.value(sql, &[user.id.as_uuid()]).await
    }

    /// The hash of this user's password.
    pub async fn password_hash_of(&self, user: &TestUser) -> String {
        let sql = "SELECT password_hash FROM users WHERE id = $1";
        self.value(sql, &[user.id.as_uuid()]).await
    }

    /// What this user's password is checked against, and when the user chose it.
    pub async fn credential_of(&self, user: &TestUser) -> (String, OffsetDateTime) {
        let sql = "
SELECT secret, changed_at
FROM credentials
WHERE user_id = $1 AND kind = 'password'";
        let database = self.database().await;
        let row = database.query_one(sql, &[user.id.as_uuid()]).await.unwrap();
        (row.get("secret"), row.get("changed_at"))
    }

    /// The role of this user, and whether it is active.
    pub async fn role_of(&self, user: &TestUser) -> (String, bool) {
        let sql = "SELECT role || ' ' || is_active FROM users WHERE id = $1";
        let found: String = self.value(sql, &[user.id.as_uuid()]).await;
        let (role, is_active) = found.split_once(' ').unwrap();
        (role.to_owned(), is_active == "true")
    }
}
