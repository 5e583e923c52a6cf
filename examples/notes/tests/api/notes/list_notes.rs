//! `GET /notes`

use serde_json::Value;
use warp_skeleton::features::identity::Role;

use super::create;
use crate::support::{Answer, TestApp};

async fn list(app: &TestApp, token: &str, query: &str) -> Answer {
    let call = app.get(&format!("/notes{query}")).bearer(token);
    call.send().await
}

/// The items of a page.
fn shown(answer: &Answer) -> Vec<Value> {
    answer.assert_status(200);
    answer.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn pages_show_each_note_once_oldest_first() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.push(create(&app, &token).await);
    }

    let mut found = Vec::new();
    let mut next = "/notes?limit=3".to_owned();
    while !next.is_empty() {
        let answer = app.get(&next).bearer(&token).send().await;
        found.extend(shown(&answer));
        let link = answer.header("link");
        assert_eq!(link.is_empty(), answer.json()["next_cursor"].is_null());
        let target = link.split(['<', '>']).nth(1);
        next = target.unwrap_or_default().to_owned();
    }

    assert_eq!(found, expected);
}

#[tokio::test]
async fn twenty_are_shown_unless_asked_otherwise() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    for _ in 0..21 {
        create(&app, &token).await;
    }

    assert_eq!(shown(&list(&app, &token, "").await).len(), 20);
    assert_eq!(shown(&list(&app, &token, "?limit=21").await).len(), 21);
}

#[tokio::test]
async fn each_user_sees_their_own() {
    let app = TestApp::start().await;
    let (_, own) = app.signed_in(Role::Member).await;
    let (_, others) = app.signed_in(Role::Owner).await;
    let note = create(&app, &own).await;

    assert_eq!(shown(&list(&app, &own, "").await), [note]);
    assert_eq!(shown(&list(&app, &others, "").await), [Value::Null; 0]);
}

#[tokio::test]
async fn a_page_is_found_by_the_index() {
    let app = TestApp::start().await;
    let database = app.database().await;
    let sql = "
SET enable_seqscan = off;
SET enable_sort = off;
SET plan_cache_mode = force_generic_plan;
PREPARE p (uuid, uuid) AS SELECT id FROM notes WHERE user_id = $1 AND id > $2 ORDER BY id";
    database.batch_execute(sql).await.unwrap();

    let sql = "EXPLAIN EXECUTE p (gen_random_uuid(), gen_random_uuid())";
    let rows = database.query(sql, &[]).await.unwrap();

    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("notes_user_id_id_idx"), "{plan}");
    assert!(plan.contains("(id > $2)"), "{plan}");
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    for (query, expected) in [
        ("?limit=0", "/limit invalid_value"),
        ("?limit=101", "/limit invalid_value"),
        ("?cursor=nonsense", "/cursor invalid_value"),
        ("?limit=1&limit=2", "/limit duplicate_parameter"),
        ("?user_id=1", " unknown_parameter"),
    ] {
        list(&app, &token, query).await.assert_invalid(&[expected]);
    }
}

#[tokio::test]
async fn every_signed_in_user_is_admitted() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    let anonymous = app.get("/notes").send().await;
    let viewer = list(&app, &token, "").await;

    anonymous.assert_problem(401, "unauthenticated");
    assert_eq!(shown(&viewer), [Value::Null; 0]);
}
