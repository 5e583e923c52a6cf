//! `POST /auth/register`

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Answer, TestApp};

const EMAIL: &str = "ada@marked.example";
const PASSWORD: &str = "marked-password";

async fn register(app: &TestApp, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    app.post("/auth/register").json(&body).send().await
}

async fn user_count(app: &TestApp) -> i64 {
    app.count("SELECT count(*) FROM users").await
}

#[tokio::test]
async fn the_widely_copied_example_registers_as_a_viewer() {
    let app = TestApp::start().await;

    let answer = register(&app, "test@example.com", "Pass123!").await;

    answer.assert_status(201);
    let user = answer.json();
    assert_eq!(user["email"], "test@example.com");
    assert_eq!(user["role"], "VIEWER");
    assert_eq!(user["is_active"], true);
    assert_eq!(
        answer.header("location"),
        format!("/users/{}", user["id"].as_str().unwrap())
    );
    assert_eq!(user_count(&app).await, 1);
}

#[tokio::test]
async fn the_answer_is_the_user_and_nothing_else() {
    let app = TestApp::start().await;

    let answer = register(&app, EMAIL, PASSWORD).await;

    answer.assert_status(201);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let user = answer.json();
    let names: Vec<_> = user.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "created_at",
            "email",
            "id",
            "is_active",
            "role",
            "updated_at"
        ]
    );
    assert_eq!(user["created_at"], user["updated_at"]);
    assert!(user["created_at"].as_str().unwrap().ends_with('Z'));
    let id: uuid::Uuid = user["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
}

#[tokio::test]
async fn what_is_kept_is_a_hash_and_a_lower_case_address() {
    let app = TestApp::start().await;

    let answer = register(&app, "Ada.Lovelace+Notes@Marked.Example", PASSWORD).await;

    answer.assert_status(201);
    assert_eq!(answer.json()["email"], "ada.lovelace+notes@marked.example");
    let kept: String = app.value("SELECT email FROM users", &[]).await;
    assert_eq!(kept, "ada.lovelace+notes@marked.example");
    let hash: String = app.value("SELECT password_hash FROM users", &[]).await;
    assert!(hash.starts_with("$scrypt$"), "{hash}");
    assert!(!hash.contains(PASSWORD));
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn registering_the_same_address_twice_is_a_conflict() {
    let app = TestApp::start().await;
    let user = app.user().create().await;
    let hash = app.password_hash_of(&user).await;

    let exact = register(&app, &user.email, "marked-password-2").await;
    let shouted = register(&app, &user.email.to_uppercase(), "marked-password-2").await;

    exact.assert_problem(409, "email_taken");
    shouted.assert_problem(409, "email_taken");
    assert!(!exact.text().contains(&user.email));
    assert_eq!(user_count(&app).await, 1);
    assert_eq!(app.password_hash_of(&user).await, hash);
}

#[tokio::test]
async fn addresses_that_differ_by_more_than_case_are_different() {
    let app = TestApp::start().await;

    for email in [
        "ada@marked.example",
        "a.da@marked.example",
        "ada+1@marked.example",
    ] {
        register(&app, email, PASSWORD).await.assert_status(201);
    }

    assert_eq!(user_count(&app).await, 3);
}

#[tokio::test]
async fn nothing_but_address_and_password_can_be_chosen() {
    let app = TestApp::start().await;

    for (name, value) in [
        ("role", json!("OWNER")),
        ("is_active", json!(true)),
        ("id", json!("01890000-0000-7000-8000-000000000000")),
        ("email_verified", json!(true)),
        ("__proto__", json!({"role": "OWNER"})),
        ("Email", json!(EMAIL)),
    ] {
        let mut body = json!({"email": EMAIL, "password": PASSWORD});
        body[name] = value;
        let answer = app.post("/auth/register").json(&body).send().await;

        answer.assert_invalid(&[" unknown_field"]);
    }

    assert_eq!(user_count(&app).await, 0);
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_invalid() {
    let app = TestApp::start().await;

    for (body, expected) in [
        (r#"{"password": "marked-password"}"#, "/email required"),
        (r#"{"email": "ada@marked.example"}"#, "/password required"),
        (
            r#"{"email": 1, "password": "marked-password"}"#,
            "/email invalid_type",
        ),
        (
            r#"{"email": ["ada@marked.example"], "password": "marked-password"}"#,
            "/email invalid_type",
        ),
        (
            r#"{"email": "ada@marked.example", "password": null}"#,
            "/password invalid_type",
        ),
        (
            r#"{"email": "ada@marked.example", "email": "b@marked.example", "password": "marked-password"}"#,
            "/email duplicate_field",
        ),
        (
            r#"{"email": "ada@marked.example", "password": "marked-password", "password": "marked-password"}"#,
            "/password duplicate_field",
        ),
        (
            r#"{"email": "ada@marked.example", "password": "marked\u0000password"}"#,
            "/password nul_character",
        ),
        (
            r#"{"email": "ada\u0000@marked.example", "password": "marked-password"}"#,
            "/email nul_character",
        ),
        (
            r#"["ada@marked.example", "marked-password"]"#,
            " invalid_type",
        ),
        ("null", " invalid_type"),
    ] {
        let call = app.post("/auth/register").json(&json!(null));
        let answer = call.body(body).send().await;

        answer.assert_invalid(&[expected]);
        assert!(!answer.text().contains("marked"), "{}", answer.text());
    }

    assert_eq!(user_count(&app).await, 0);
}

#[tokio::test]
async fn an_address_that_breaks_a_rule_is_invalid() {
    let app = TestApp::start().await;
    let too_long = format!(
        "a@{}.marked.example",
        ["x".repeat(60).as_str(); 4].join(".")
    );
    assert!(too_long.len() > 254);

    for (email, code) in [
        ("", "invalid_email"),
        ("ada", "invalid_email"),
        ("ada@", "invalid_email"),
        ("ada@localhost", "invalid_email"),
        ("ada@@marked.example", "invalid_email"),
        (" ada@marked.example", "invalid_email"),
        ("ada@marked.example ", "invalid_email"),
        ("ada@marked.example\n", "invalid_email"),
        ("ada\u{a0}@marked.example", "invalid_email"),
        ("ada\u{200b}@marked.example", "invalid_email"),
        ("ada\u{ff20}marked.example", "invalid_email"),
        ("\u{430}da@marked.example", "invalid_email"),
        ("\u{131}da@marked.example", "invalid_email"),
        ("\"a da\"@marked.example", "invalid_email"),
        (too_long.as_str(), "too_long"),
    ] {
        let answer = register(&app, email, PASSWORD).await;

        answer.assert_invalid(&[&format!("/email {code}")]);
    }

    assert_eq!(user_count(&app).await, 0);
}

#[tokio::test]
async fn a_password_that_breaks_a_rule_is_invalid() {
    let app = TestApp::start().await;
    let (too_many, too_many_bytes) = ("m".repeat(129), "\u{1f600}".repeat(257));

    for (password, code) in [
        ("", "too_short"),
        ("marked7", "too_short"),
        // Seven characters are seven, however many bytes they take.
        ("\u{1f600}\u{1f600}\u{1f600}éééé", "too_short"),
        (too_many.as_str(), "too_long"),
        (too_many_bytes.as_str(), "too_long"),
        ("password1", "too_common"),
        ("PassWord1", "too_common"),
        ("adalovelace", "own_address"),
        ("AdaLovelace", "own_address"),
    ] {
        let answer = register(&app, "adalovelace@marked.example", password).await;

        answer.assert_invalid(&[&format!("/password {code}")]);
    }

    assert_eq!(user_count(&app).await, 0);
}

#[tokio::test]
async fn the_least_length_of_a_password_can_be_set() {
    let app = TestApp::with(&[("PASSWORD_MIN_LENGTH", "12")]).await;

    let short = register(&app, EMAIL, "marked-pass").await;
    let long = register(&app, EMAIL, "marked-passw").await;

    short.assert_invalid(&["/password too_short"]);
    long.assert_status(201);
}

#[tokio::test]
async fn the_longest_address_and_the_longest_password_are_taken() {
    let app = TestApp::start().await;
    let domain = format!(
        "{}.{}.marked.example",
        ["x".repeat(63).as_str(); 2].join("."),
        "y".repeat(46)
    );
    let email = format!("{}@{domain}", "a".repeat(64));
    assert_eq!(email.len(), 254);

    let long_address = register(&app, &email, PASSWORD).await;
    let long_password = register(&app, EMAIL, &"é".repeat(128)).await;

    long_address.assert_status(201);
    long_password.assert_status(201);
    app.try_sign_in(&email, PASSWORD).await.assert_status(200);
    let signed_in = app.try_sign_in(EMAIL, &"é".repeat(128)).await;
    signed_in.assert_status(200);
}

#[tokio::test]
async fn a_password_is_neither_trimmed_nor_cut_nor_normalized() {
    let app = TestApp::start().await;
    let long = "marked-password".repeat(5);

    for (number, (chosen, similar)) in [
        (" marked-password ", "marked-password"),
        (&long, &long[..72]),
        ("marked-password-\u{e9}", "marked-password-e\u{301}"),
        ("marked-password-a", "marked-password-A"),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("ada{number}@marked.example");
        register(&app, &email, chosen).await.assert_status(201);

        app.try_sign_in(&email, chosen).await.assert_status(200);
        let other = app.try_sign_in(&email, similar).await;
        other.assert_problem(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn what_is_no_json_is_malformed() {
    let app = TestApp::start().await;

    for body in [
        &b""[..],
        b"{",
        b"{\"email\": \"ada@marked.example\", \"password\": \"marked-password\",}",
        b"{\"email\": \"ada@marked.example\", \"password\": \"marked-password\"} {}",
        b"{\"email\": \"ada@marked.example\", \"password\": \"marked-password\\ud800\"}",
        b"{\"email\": \"ada@marked.example\", \"password\": \"marked-password\xff\"}",
        b"\xef\xbb\xbf{}",
        b"email=ada@marked.example",
    ] {
        let call = app.post("/auth/register").json(&json!(null));
        let answer = call.body(body).send().await;

        answer.assert_problem(400, "malformed_json");
        assert!(!answer.text().contains("marked"), "{}", answer.text());
    }

    assert_eq!(user_count(&app).await, 0);
}

#[tokio::test]
async fn deeply_nested_json_is_refused() {
    let app = TestApp::start().await;

    for body in ["[".repeat(30_000), "{\"a\":".repeat(10_000)] {
        let call = app.post("/auth/register").json(&json!(null));
        let answer = call.body(body).send().await;

        assert!(
            matches!(answer.status.as_u16(), 400 | 422),
            "{}",
            answer.status
        );
    }
}

#[tokio::test]
async fn only_json_is_a_supported_media_type() {
    let app = TestApp::start().await;
    let body = json!({"email": EMAIL, "password": PASSWORD}).to_string();

    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[
            ("content-type", "application/json"),
            ("content-type", "application/json"),
        ],
        &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ],
    ] {
        let mut call = app.post("/auth/register").body(body.clone());
        for (name, value) in headers {
            call = call.header(*name, value);
        }
        let answer = call.send().await;

        answer.assert_problem(415, "unsupported_media_type");
    }

    assert_eq!(user_count(&app).await, 0);
}

#[tokio::test]
async fn json_may_name_its_charset() {
    let app = TestApp::start().await;

    let call = app
        .post("/auth/register")
        .header("content-type", "Application/JSON; Charset=UTF-8");
    let body = json!({"email": EMAIL, "password": PASSWORD}).to_string();
    let answer = call.body(body).send().await;

    answer.assert_status(201);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_too_large() {
    let app = TestApp::start().await;

    let answer = register(&app, EMAIL, &"marked-password".repeat(5000)).await;

    answer.assert_problem(413, "body_too_large");
    assert_eq!(user_count(&app).await, 0);
}

#[tokio::test]
async fn a_query_is_refused() {
    let app = TestApp::start().await;

    let body = json!({"email": EMAIL, "password": PASSWORD});
    let call = app.post("/auth/register?role=OWNER").json(&body);
    let answer = call.send().await;

    answer.assert_invalid(&[" unknown_parameter"]);
    assert_eq!(user_count(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_registrations_of_one_address_at_once_one_succeeds() {
    let app = TestApp::with(&[("PASSWORD_HASH_WAIT_MS", "30000")]).await;

    let attempts = (0..50).map(|_| register(&app, EMAIL, PASSWORD));
    let answers = join_all(attempts).await;

    let (made, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1);
    assert_eq!(others.len(), 49);
    for answer in others {
        answer.assert_problem(409, "email_taken");
    }
    assert_eq!(user_count(&app).await, 1);
}

#[tokio::test]
async fn when_hashing_has_too_much_to_do_the_surplus_may_come_back() {
    // One slot, the wait of the contract, and hashes so dear that fifty of them take longer than that.
    let app = TestApp::with(&[
        ("PASSWORD_HASH_WAIT_MS", "2000"),
        ("PASSWORD_HASH_CONCURRENCY", "1"),
        ("SCRYPT_LOG_N", "15"),
        ("SCRYPT_P", "3"),
    ])
    .await;

    let attempts = (0..50).map(|_| register(&app, EMAIL, PASSWORD));
    let answers = join_all(attempts).await;

    let surplus: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .collect();
    let count = |status: u16| answers.iter().filter(|a| a.status == status).count();
    assert_eq!(count(201), 1);
    assert_eq!(count(201) + count(409) + count(503), 50);
    assert!(!surplus.is_empty());
    for answer in surplus {
        answer.assert_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(user_count(&app).await, 1);
    let retried = register(&app, EMAIL, PASSWORD).await;
    retried.assert_problem(409, "email_taken");
}
