//! Keys of machines: how they are made, used and ended.

mod authenticate;
mod create_key;
mod password;
mod rename_key;
mod revoke_key;
mod rotate_key;
mod scanner;

use serde_json::{Value, json};
use warp_skeleton::{
    features::{
        api_keys::{KeyName, NewKey, Scopes},
        identity::{Role, UserId},
    },
    routes,
};

use crate::support::{Answer, TestApp, TestUser};

/// A key that an owner has made.
pub struct TestKey {
    pub id: String,
    pub key: String,
}

impl TestApp {
    /// A key of this account with these scopes, which expires after a day.
    pub async fn key_of(&self, user: UserId, scopes: &[&str]) -> TestKey {
        let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let new = NewKey {
            name: KeyName::parse("of a test").unwrap(),
            scopes: Scopes::parse(&scopes, &routes::scopes(&self.app)).unwrap(),
            lifetime: Some(time::Duration::days(1)),
        };
        let keys = &self.app.keys;
        let created = keys.create_for_operator(&self.auth, user, new);
        let (record, key) = created.await.unwrap();
        TestKey {
            id: record.id.to_string(),
            key: key.expose().to_owned(),
        }
    }

    /// What became of each key of this user, oldest first: `live`, or why it is over.
    async fn keys_of(&self, user: &TestUser) -> Vec<String> {
        let sql = "
SELECT coalesce(array_agg(coalesce(revoked_for, 'live') ORDER BY created_at, id), '{}')
FROM api_keys
WHERE user_id = $1";
        self.value(sql, &[user.id.as_uuid()]).await
    }
}

/// The answer to making a key.
async fn try_create(app: &TestApp, token: &str, body: &Value) -> Answer {
    app.post("/auth/keys").bearer(token).json(body).send().await
}

/// The key that an answer shows.
#[track_caller]
fn shown(answer: &Answer) -> TestKey {
    answer.assert_status(201);
    let new = answer.json();
    let text = |name: &str| new[name].as_str().unwrap().to_owned();
    TestKey {
        id: text("id"),
        key: text("key"),
    }
}

/// A member with a session, and a key for reading its account.
async fn with_key(app: &TestApp) -> (TestUser, String, TestKey) {
    let (user, token) = app.signed_in(Role::Member).await;
    let body = json!({"name": "report", "scopes": ["account:read"]});
    let key = shown(&try_create(app, &token, &body).await);
    (user, token, key)
}

/// What one's own list shows.
async fn list(app: &TestApp, token: &str) -> Vec<Value> {
    let answer = app.get("/auth/keys").bearer(token).send().await;
    answer.assert_status(200);
    answer.json()["items"].as_array().unwrap().clone()
}
