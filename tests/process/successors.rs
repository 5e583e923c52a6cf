//! The migration that keeps the successors of refresh tokens, with sessions there already and beside a replica of the
//! release before, whose statements are copied here.

use time::{Duration, OffsetDateTime};
use tokio_postgres::Client;
use warp_skeleton::{features::identity::RefreshToken, shared::clock::Clock};

use super::{
    cluster,
    support::{Reply, Service, ask, printed, run},
};

const ROTATE: &str = "
WITH held AS (
    UPDATE sessions AS s
    SET last_used_at = $3, expires_at = LEAST(s.ends_at, $4)
    FROM refresh_tokens AS t, users AS u
    WHERE t.hash = $1 AND coalesce(t.used_at, t.superseded_at) IS NULL
      AND s.id = t.session_id AND s.revoked_at IS NULL AND s.expires_at > $3
      AND u.id = s.user_id AND u.is_active
    RETURNING s.id, s.user_id, s.created_at, s.last_used_at, s.expires_at, s.ends_at,
              s.ip, s.user_agent
), used AS (
    UPDATE refresh_tokens AS t
    SET used_at = $3
    FROM held
    WHERE t.hash = $1 AND coalesce(t.used_at, t.superseded_at) IS NULL
    RETURNING t.hash, t.session_id
), successor AS (
    INSERT INTO refresh_tokens (hash, session_id, parent_hash, created_at)
    SELECT $2, session_id, hash, $3
    FROM used
    RETURNING session_id
)
SELECT held.id AS session_id, held.user_id, held.created_at AS session_created_at,
       held.last_used_at, held.expires_at, held.ends_at, held.ip, held.user_agent
FROM held
JOIN successor ON successor.session_id = held.id";

const FIND_BY_TOKEN: &str = "
SELECT s.id AS session_id, s.user_id, s.created_at AS session_created_at, s.last_used_at,
       s.expires_at, s.ends_at, s.ip, s.user_agent,
       u.id, u.email, u.role, u.is_active, u.created_at, u.updated_at,
       t.used_at, t.superseded_at IS NOT NULL AS is_superseded,
       CASE WHEN c.hash IS NOT NULL THEN c.used_at IS NOT NULL END AS successor_used
FROM refresh_tokens AS t
JOIN sessions AS s ON s.id = t.session_id
JOIN users AS u ON u.id = s.user_id
LEFT JOIN refresh_tokens AS c ON c.parent_hash = t.hash AND c.superseded_at IS NULL
WHERE t.hash = $1
  AND s.revoked_at IS NULL
  AND s.expires_at > $2
  AND u.is_active";

const SUPERSEDE_SUCCESSOR: &str = "
UPDATE refresh_tokens
SET superseded_at = $2
WHERE parent_hash = $1 AND used_at IS NULL AND superseded_at IS NULL";

const INSERT_TOKEN: &str = "
INSERT INTO refresh_tokens (hash, session_id, parent_hash, created_at)
VALUES ($1, $2, $3, $4)";

/// A replica of the release before, as far as its statements go.
struct ReleaseBefore(Client);

impl ReleaseBefore {
    /// Presents a token for the first time: its successor, or `None` when it is refused.
    async fn rotate(&self, token: &RefreshToken) -> Option<RefreshToken> {
        let (hash, successor, now) = (token.hash(), RefreshToken::generate(), now());
        let rotated = self
            .0
            .query_opt(
                ROTATE,
                &[
                    &hash.as_bytes(),
                    &successor.hash().as_bytes(),
                    &now,
                    &(now + Duration::days(14)),
                ],
            )
            .await
            .unwrap();
        rotated.map(|_| successor)
    }

    /// Presents it again because the reply was lost: another successor takes the place of the first.
    async fn replace(&self, token: &RefreshToken) -> RefreshToken {
        let (hash, successor, now) = (token.hash(), RefreshToken::generate(), now());
        let found = self
            .0
            .query_one(FIND_BY_TOKEN, &[&hash.as_bytes(), &now])
            .await
            .unwrap();
        assert_eq!(found.get::<_, Option<bool>>("successor_used"), Some(false));
        let session: uuid::Uuid = found.get("session_id");
        self.0
            .execute(SUPERSEDE_SUCCESSOR, &[&hash.as_bytes(), &now])
            .await
            .unwrap();
        let inserted = self
            .0
            .execute(
                INSERT_TOKEN,
                &[
                    &successor.hash().as_bytes(),
                    &session,
                    &hash.as_bytes(),
                    &now,
                ],
            )
            .await;
        assert_eq!(inserted.unwrap(), 1);
        successor
    }
}

fn now() -> OffsetDateTime {
    Clock::system().now()
}

/// Undoes this migration, and those that came later.
fn undo(url: &str) {
    let mut undone = String::new();
    while !undone.contains("V0005__keep_successors") {
        undone = printed(&run(url, &[], &["migrate", "down"], ""));
    }
}

/// A live session in the database as the release before left it, and its refresh token.
async fn older() -> (String, ReleaseBefore, RefreshToken) {
    let url = cluster::empty_database().await;
    printed(&run(&url, &[], &["migrate", "up"], ""));
    undo(&url);
    let (database, token, now) = (
        cluster::connect(&url).await,
        RefreshToken::generate(),
        now(),
    );
    let user = "
INSERT INTO users (id, email, password_hash, role, is_active, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-00000000000a', 'ada@marked.example', 'none', 'VIEWER', true, $1, $1)";
    let session = "
INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, ends_at)
SELECT id, id, $1::timestamptz, $1, $1 + interval '14 days', $1 + interval '90 days'
FROM users";
    database.execute(user, &[&now]).await.unwrap();
    database.execute(session, &[&now]).await.unwrap();
    let first =
        "INSERT INTO refresh_tokens (hash, session_id, created_at) SELECT $2, id, $1 FROM sessions";
    let hash = token.hash();
    database
        .execute(first, &[&now, &hash.as_bytes()])
        .await
        .unwrap();
    (url, ReleaseBefore(database), token)
}

async fn revoked_for(before: &ReleaseBefore) -> Option<String> {
    let row = before
        .0
        .query_one("SELECT revoked_for FROM sessions", &[])
        .await;
    row.unwrap().get(0)
}

fn refresh(service: &Service, token: &RefreshToken) -> Reply {
    let body = format!("{{\"refresh_token\": \"{}\"}}", token.expose());
    let json = [("Content-Type", "application/json")];
    ask(service.port(), "POST", "/auth/refresh", &json, &body)
}

#[track_caller]
fn successor_in(reply: &Reply) -> RefreshToken {
    assert_eq!(reply.status, 200, "{}", reply.body);
    let text = reply.json()["refresh_token"].as_str().unwrap().to_owned();
    RefreshToken::parse(&text).unwrap()
}

#[tokio::test]
async fn sessions_that_are_there_go_on_through_the_migration_and_its_undo() {
    let (url, before, first) = older().await;
    let second = before.rotate(&first).await.unwrap();

    printed(&run(&url, &[], &["migrate", "up"], ""));
    let service = Service::start(&url, &[("RATE_LIMIT", "on")]);
    let third = successor_in(&refresh(&service, &second));
    drop(service);
    undo(&url);
    let fourth = before.rotate(&third).await.unwrap();
    printed(&run(&url, &[], &["migrate", "up"], ""));

    let service = Service::start(&url, &[]);
    successor_in(&refresh(&service, &fourth));
    assert_eq!(revoked_for(&before).await, None);
}

#[tokio::test]
async fn beside_the_release_before_a_session_goes_on_whichever_replica_it_meets() {
    let (url, before, mut token) = older().await;
    printed(&run(&url, &[], &["migrate", "up"], ""));
    let service = Service::start(&url, &[]);

    for _ in 0..3 {
        token = before.rotate(&token).await.unwrap();
        token = successor_in(&refresh(&service, &token));
    }

    assert!(before.rotate(&token).await.is_some());
    assert_eq!(revoked_for(&before).await, None);
    let live =
        "SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL AND superseded_at IS NULL";
    let live: i64 = before.0.query_one(live, &[]).await.unwrap().get(0);
    assert_eq!(live, 1);
}

#[tokio::test]
async fn what_the_release_before_did_to_a_token_a_moment_ago_ends_nothing() {
    let (url, before, first) = older().await;
    printed(&run(&url, &[], &["migrate", "up"], ""));
    let service = Service::start(&url, &[]);
    let second = before.rotate(&first).await.unwrap();

    // It kept no successor that could be handed out again.
    assert_eq!(refresh(&service, &first).status, 401);
    let replaced = before.replace(&first).await;
    assert_eq!(refresh(&service, &second).status, 401, "superseded");

    assert_eq!(revoked_for(&before).await, None);
    let third = successor_in(&refresh(&service, &replaced));
    // Another successor than ours, where a client that lost our reply meets the release before.
    let again = before.replace(&replaced).await;
    assert_eq!(refresh(&service, &third).status, 401, "superseded");
    successor_in(&refresh(&service, &again));
    assert_eq!(revoked_for(&before).await, None);
}
