//! `GET /users`

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use warp_skeleton::features::identity::Role;

use crate::support::{Answer, TestApp, leaks};

async fn list(app: &TestApp, token: &str, query: &str) -> Answer {
    app.get(&format!("/users{query}"))
        .bearer(token)
        .send()
        .await
}

fn emails(answer: &Answer) -> Vec<String> {
    answer.assert_status(200);
    let page = answer.json();
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|user| user["email"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn pages_show_everyone_once_oldest_first() {
    let app = TestApp::start().await;
    let (admin, token) = app.signed_in(Role::Admin).await;
    let mut expected = vec![admin.email];
    for _ in 0..6 {
        expected.push(app.user().create().await.email);
    }

    let mut found = Vec::new();
    let mut path = "?limit=3".to_owned();
    loop {
        let answer = list(&app, &token, &path).await;
        found.extend(emails(&answer));
        let Value::String(cursor) = answer.json()["next_cursor"].take() else {
            assert_eq!(answer.header("link"), "");
            break;
        };
        let next = format!("?limit=3&cursor={cursor}");
        assert_eq!(
            answer.header("link"),
            format!("</users{next}>; rel=\"next\"")
        );
        path = next;
    }

    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_page_that_ends_with_the_last_user_is_the_last() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    app.user().create().await;

    let answer = list(&app, &token, "?limit=2").await;

    assert_eq!(emails(&answer).len(), 2);
    assert_eq!(answer.json()["next_cursor"], Value::Null);
}

#[tokio::test]
async fn twenty_are_shown_unless_asked_otherwise() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    for _ in 0..20 {
        app.user().create().await;
    }

    assert_eq!(emails(&list(&app, &token, "").await).len(), 20);
    assert_eq!(emails(&list(&app, &token, "?limit=100").await).len(), 21);
}

#[tokio::test]
async fn q_finds_the_beginning_of_an_address_in_any_case() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    app.user().email("ada@marked.example").create().await;
    app.user().email("adam@marked.example").create().await;
    app.user().email("xada@marked.example").create().await;

    assert_eq!(emails(&list(&app, &token, "?q=ada").await).len(), 2);
    assert_eq!(
        emails(&list(&app, &token, "?q=ADAM").await),
        ["adam@marked.example"]
    );
    assert_eq!(
        emails(&list(&app, &token, "?q=ada%40marked.example").await),
        ["ada@marked.example"]
    );
    assert_eq!(emails(&list(&app, &token, "?q=nobody").await), [""; 0]);
}

#[tokio::test]
async fn q_takes_nothing_for_a_pattern() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    app.user().email("a_b@marked.example").create().await;
    app.user().email("axb@marked.example").create().await;

    assert_eq!(
        emails(&list(&app, &token, "?q=a_").await),
        ["a_b@marked.example"]
    );
    for nothing in ["%25", "a%25", "%5C", "'%3B--", "%C3%A9"] {
        assert_eq!(
            emails(&list(&app, &token, &format!("?q={nothing}")).await),
            [""; 0],
            "{nothing}"
        );
    }
}

#[tokio::test]
async fn a_search_is_listed_by_address_and_its_cursor_outlives_the_account() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    for name in ["adb", "ada", "adc", "xyz"] {
        let email = format!("{name}@marked.example");
        app.user().email(&email).create().await;
    }

    let first = list(&app, &token, "?q=ad&limit=1").await;
    assert_eq!(emails(&first), ["ada@marked.example"]);
    let deleted = "DELETE FROM users WHERE email = 'ada@marked.example'";
    app.database().await.execute(deleted, &[]).await.unwrap();
    let cursor = first.json()["next_cursor"].take();
    let cursor = cursor.as_str().unwrap();
    let rest = list(&app, &token, &format!("?q=ad&cursor={cursor}")).await;

    assert_eq!(emails(&rest), ["adb@marked.example", "adc@marked.example"]);
    let elsewhere = list(&app, &token, &format!("?cursor={cursor}")).await;
    elsewhere.assert_invalid(&["/cursor invalid_value"]);
    let of_ids = list(&app, &token, "?limit=1").await.json()["next_cursor"].take();
    let mixed = format!("?q=ad&cursor={}", of_ids.as_str().unwrap());
    let mixed = list(&app, &token, &mixed).await;
    mixed.assert_invalid(&["/cursor invalid_value"]);
}

#[tokio::test]
async fn role_and_state_narrow_the_list_and_the_next_page_too() {
    let app = TestApp::start().await;
    let (admin, token) = app.signed_in(Role::Admin).await;
    let gone = app.user().disabled().create().await;
    let viewers = [app.user().create().await, app.user().create().await];

    assert_eq!(
        emails(&list(&app, &token, "?role=ADMIN").await),
        [admin.email]
    );
    assert_eq!(
        emails(&list(&app, &token, "?is_active=false").await),
        [gone.email]
    );
    let first = list(&app, &token, "?limit=1&role=VIEWER&is_active=true").await;
    assert_eq!(emails(&first), [viewers[0].email.clone()]);
    let link = first.header("link").to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    assert!(next.ends_with("&role=VIEWER&is_active=true"), "{next}");
    let second = app.get(next).bearer(&token).send().await;
    assert_eq!(emails(&second), [viewers[1].email.clone()]);
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;

    for (query, expected) in [
        ("?limit=0", "/limit invalid_value"),
        ("?limit=101", "/limit invalid_value"),
        ("?limit=many", "/limit invalid_value"),
        ("?limit=", "/limit invalid_value"),
        ("?limit=%2B5", "/limit invalid_value"),
        ("?limit=005", "/limit invalid_value"),
        ("?cursor=nonsense", "/cursor invalid_value"),
        ("?cursor=AAAA", "/cursor invalid_value"),
        ("?role=admin", "/role unknown_role"),
        ("?is_active=1", "/is_active invalid_value"),
        ("?q=%00", "/q nul_character"),
        ("?limit=1&limit=2", "/limit duplicate_parameter"),
        ("?sort=email", " unknown_parameter"),
    ] {
        list(&app, &token, query).await.assert_invalid(&[expected]);
    }
    let several = list(&app, &token, "?limit=0&role=KING").await;
    several.assert_invalid(&["/limit invalid_value", "/role unknown_role"]);
}

#[tokio::test]
async fn it_takes_an_administrator() {
    let app = TestApp::start().await;
    let (_, member) = app.signed_in(Role::Member).await;

    let nobody = app.get("/users?q=ada%40marked.example").send().await;
    let member = list(&app, &member, "?nonsense").await;

    nobody.assert_problem(401, "unauthenticated");
    member.assert_problem(403, "insufficient_role");
}

#[tokio::test]
async fn nothing_about_passwords_is_shown() {
    let app = TestApp::start().await;
    let (admin, token) = app.signed_in(Role::Admin).await;

    let answer = list(&app, &token, "").await;

    let mut user = answer.json()["items"][0].take();
    let times = ["created_at", "updated_at"].map(|name| user.as_object_mut().unwrap().remove(name));
    assert!(times.iter().all(Option::is_some));
    assert_eq!(
        user,
        json!({"id": admin.id.to_string(), "email": admin.email, "role": "ADMIN", "is_active": true})
    );
}

#[tokio::test]
async fn searching_accounts_by_address_leaves_no_address_behind() {
    let app = TestApp::with(&[("SLOW_QUERY_MS", "0")]).await;
    let user = app.user().email("sought@marked.example").create().await;
    let (_, token) = app.signed_in(Role::Admin).await;

    for query in [
        "q=sought@marked.example",
        "q=sought%40marked.example",
        "q=sought@marked.example&x=1",
    ] {
        let answer = app
            .get(&format!("/users?{query}"))
            .bearer(&token)
            .send()
            .await;

        let lines = leaks::lines_of(answer.header("x-correlation-id"));
        let text = format!("{lines:?}");
        assert!(text.contains("request_completed"));
        assert!(
            !text.contains("sought") && !text.contains("marked.example"),
            "{text}"
        );
    }
    let metrics = app.app.operations.metrics().unwrap();
    assert!(!metrics.contains(&user.email));
    leaks::assert_none();
}

/// What to list: how many at a time, and which.
fn listing() -> impl Strategy<Value = (usize, Option<Role>, Option<bool>, Option<String>)> {
    let role = prop::option::of(prop::sample::select(Role::ALL.to_vec()));
    let prefix = prop::sample::select(vec!["", "a", "ab", "B", "c"]).prop_map(str::to_owned);
    let (is_active, prefix) = (prop::option::of(any::<bool>()), prop::option::of(prefix));
    (1..=12_usize, role, is_active, prefix)
}

#[tokio::test]
async fn however_it_is_narrowed_pages_show_everyone_once_in_order() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Owner).await;
    for (number, prefix) in (0..18).zip(["a", "ab", "abc", "b", "c"].into_iter().cycle()) {
        let user = app
            .user()
            .email(&format!("{prefix}{number}@marked.example"))
            .role(Role::ALL[number % 4]);
        let user = if number % 3 == 0 {
            user.disabled()
        } else {
            user
        };
        user.create().await;
    }
    let mut runner = TestRunner::deterministic();

    for _ in 0..16 {
        let listing = listing().new_tree(&mut runner).unwrap().current();
        let (limit, role, is_active, prefix) = &listing;
        let query = [
            Some(format!("?limit={limit}")),
            prefix.as_ref().map(|prefix| format!("&q={prefix}")),
            role.map(|role| format!("&role={role}")),
            is_active.map(|is_active| format!("&is_active={is_active}")),
        ];
        let query: String = query.into_iter().flatten().collect();
        let sql = "
SELECT coalesce(array_agg(email ORDER BY CASE WHEN $1::text IS NULL THEN id::text ELSE email END), '{}')
FROM users
WHERE starts_with(email, lower(coalesce($1, '')))
  AND role = coalesce($2, role)
  AND is_active = coalesce($3, is_active)";
        let role = role.map(Role::as_str);
        let expected: Vec<String> = app.value(sql, &[prefix, &role, is_active]).await;

        let mut seen = Vec::new();
        let mut next = query.clone();
        loop {
            let answer = list(&app, &token, &next).await;
            let page = emails(&answer);
            assert!(page.len() <= *limit, "{listing:?}");
            seen.extend(page);
            let body = answer.json();
            let Some(cursor) = body["next_cursor"].as_str() else {
                break;
            };
            next = format!("{query}&cursor={cursor}");
        }

        assert_eq!(seen, expected, "{listing:?}");
    }
}
