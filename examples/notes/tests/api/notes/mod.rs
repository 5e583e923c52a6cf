//! Notes: one file per endpoint.

mod change_note;
mod create_note;
mod delete_note;
mod list_notes;
mod show_note;

use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

/// A body for a note, where a test is not about the values.
fn sample() -> Value {
    json!({
        "title": "some title",
        "body": "some body",
        "pinned": true,
    })
}

/// The values that each field refuses, with the code of the refusal.
fn unfit() -> Vec<(&'static str, Value, &'static str)> {
    let text = |name| {
        vec![
            (name, json!(1), "invalid_type"),
            (name, json!(" \n"), "too_short"),
            (name, json!("x".repeat(1001)), "too_long"),
            (name, json!("a\0b"), "nul_character"),
        ]
    };
    let flag = |name| vec![(name, json!("true"), "invalid_type")];
    let null = |name| vec![(name, json!(null), "invalid_type")];
    [
        text("title"),
        null("title"),
        text("body"),
        flag("pinned"),
        null("pinned"),
    ]
    .concat()
}

/// The answer to creating a note.
async fn try_create(app: &TestApp, token: &str, body: &Value) -> Answer {
    app.post("/notes").bearer(token).json(body).send().await
}

/// A new note, as the answer shows it.
async fn create(app: &TestApp, token: &str) -> Value {
    let answer = try_create(app, token, &sample()).await;
    answer.assert_status(201);
    answer.json()
}

/// The path of a note.
fn path_of(note: &Value) -> String {
    format!("/notes/{}", note["id"].as_str().unwrap())
}
