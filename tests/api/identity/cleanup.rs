//! The clean-up of dead sessions, which runs beside the requests.

use time::Duration;
use tokio_util::sync::CancellationToken;
use warp_skeleton::features::identity;

use super::insert_slow_tokens;
use crate::support::{TestApp, TestUser};

async fn clean_up(app: &TestApp) -> u64 {
    let stop = CancellationToken::new();
    let outcome = identity::clean_up(&app.app.database, &app.clock, &stop).await;
    outcome.unwrap()
}

/// Sessions that are past their end, and as many that were revoked, each with a token.
async fn insert_dead(app: &TestApp, user: &TestUser, count: i32) {
    let database = app.database().await;
    let sql = "
WITH dead AS (
    INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, ends_at, revoked_at, revoked_for)
    SELECT gen_random_uuid(), $1, $2::timestamptz - interval '1 day', $2 - interval '1 day',
           $2 + CASE WHEN revoked THEN interval '1 day' ELSE interval '-1 hour' END,
           $2 + interval '1 day',
           CASE WHEN revoked THEN $2 - interval '1 hour' END,
           CASE WHEN revoked THEN 'logout' END
    FROM generate_series(1, $3), (VALUES (true), (false)) AS kinds (revoked)
    RETURNING id
)
INSERT INTO refresh_tokens (hash, session_id, created_at)
SELECT sha256(id::text::bytea), id, $2
FROM dead";
    let inserted = database
        .execute(sql, &[user.id.as_uuid(), &app.now(), &count])
        .await;
    assert_eq!(inserted.unwrap(), 2 * u64::try_from(count).unwrap());
}

#[tokio::test]
async fn dead_sessions_go_with_their_tokens_and_live_ones_stay() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    app.sign_in(&user).await;
    app.advance(Duration::days(14));
    let revoked = app.sign_in(&user).await;
    app.try_refresh(&revoked.refresh).await.assert_status(200);
    let logout = app.post("/auth/logout").bearer(&revoked.access);
    logout.send().await.assert_status(204);
    let live = app.sign_in(&user).await;

    let deleted = clean_up(&app).await;

    assert_eq!(deleted, 2);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 1);
    app.me(&live.access).await.assert_status(200);
    app.try_refresh(&live.refresh).await.assert_status(200);
    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn where_nothing_is_dead_nothing_is_done() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let tokens = app.sign_in(&user).await;

    let deleted = clean_up(&app).await;

    assert_eq!(deleted, 0);
    app.me(&tokens.access).await.assert_status(200);
}

#[tokio::test]
async fn more_dead_sessions_than_one_statement_removes_all_go() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    insert_dead(&app, &user, 700).await;

    let deleted = clean_up(&app).await;

    assert_eq!(deleted, 1400);
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 0);
}

#[tokio::test]
async fn more_tokens_than_one_statement_removes_in_its_time_go_in_steps() {
    let app = TestApp::with(&[("DB_STATEMENT_TIMEOUT_MS", "400")]).await;
    let user = app.user().create().await;
    insert_dead(&app, &user, 20).await;
    insert_slow_tokens(&app, &user, 1000).await;

    let deleted = clean_up(&app).await;

    assert_eq!(deleted, 40);
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 0);
}

#[tokio::test]
async fn a_session_that_cannot_be_removed_keeps_no_other_from_it() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    insert_dead(&app, &user, 30).await;
    // Of a fork whose table forgets to say what becomes of its rows; and the oldest, so that it comes first.
    let referring = "
CREATE TABLE kept (session_id uuid REFERENCES sessions (id));
INSERT INTO kept
SELECT id
FROM sessions
ORDER BY revoked_at NULLS FIRST, id
OFFSET 29 LIMIT 2;
UPDATE sessions
SET expires_at = expires_at - interval '1 hour', revoked_at = revoked_at - interval '1 hour'
WHERE id IN (SELECT session_id FROM kept)";
    app.database().await.batch_execute(referring).await.unwrap();

    for expected in [58, 0] {
        assert_eq!(clean_up(&app).await, expected);
        assert_eq!(app.count("SELECT count(*) FROM sessions").await, 2);
    }

    let forgotten = "TRUNCATE kept";
    app.database().await.batch_execute(forgotten).await.unwrap();
    assert_eq!(clean_up(&app).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_the_work() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let user = app.user().create().await;
    let live = app.sign_in(&user).await;
    insert_dead(&app, &user, 1000).await;

    let (here, there) = tokio::join!(clean_up(&app), clean_up(&replica));

    assert_eq!(here + there, 2000);
    assert_eq!(app.sessions_of(&user).await, ["live"]);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 1);
    app.me(&live.access).await.assert_status(200);
}

#[tokio::test]
async fn a_session_that_another_replica_is_at_is_left_to_it() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    insert_dead(&app, &user, 1).await;
    let mut database = app.database().await;
    let transaction = database.transaction().await.unwrap();
    let held = transaction
        .query(
            "SELECT id FROM sessions WHERE revoked_at IS NULL FOR UPDATE",
            &[],
        )
        .await;
    assert_eq!(held.unwrap().len(), 1);

    let deleted = clean_up(&app).await;

    assert_eq!(deleted, 1);
    transaction.commit().await.unwrap();
    assert_eq!(clean_up(&app).await, 1);
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn when_it_is_stopped_it_stops() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    insert_dead(&app, &user, 1).await;
    let stop = CancellationToken::new();
    stop.cancel();

    let deleted = identity::clean_up(&app.app.database, &app.clock, &stop).await;

    assert_eq!(deleted.unwrap(), 0);
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 2);
}
