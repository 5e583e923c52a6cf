//! The sub-commands.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::{
    cluster,
    support::{Service, complaint, printed, run},
};

#[tokio::test]
async fn a_token_works_at_once_and_keeps_working() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[]);

    let text = printed(&run(&url, &[], &["token", "--role", "ADMIN"], ""));
    let quiet = printed(&run(&url, &[], &["token", "--quiet"], ""));

    let token = text
        .lines()
        .find_map(|line| line.strip_prefix("token:"))
        .unwrap()
        .trim();
    assert!(
        text.contains("role:    ADMIN") && text.contains("curl -H"),
        "{text}"
    );
    assert_eq!(service.me(token).json()["email"], "dev@example.com");
    let user = service.me(quiet.trim()).json();
    assert_eq!(
        user["role"], "MEMBER",
        "the second call gave the same user another role"
    );
}

#[tokio::test]
async fn a_token_is_refused_in_production_and_beyond_the_longest_session() {
    let url = cluster::new_database().await;
    let production = [
        ("APP_ENV", "production"),
        ("SCRYPT_LOG_N", "17"),
        ("DB_SSLMODE", "disable"),
    ];

    let refused = complaint(&run(&url, &production, &["token"], ""));
    let endless = complaint(&run(&url, &[], &["token", "--hours", "2161"], ""));

    assert!(refused.contains("production"), "{refused}");
    assert!(endless.contains("2160 hours"), "{endless}");
    let users = "SELECT count(*) FROM users";
    let count: i64 = cluster::connect(&url)
        .await
        .query_one(users, &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(count, 0);
}

#[tokio::test]
async fn accounts_are_administered_from_the_shell() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[]);
    let email = ["--email", "boss@marked.example"];
    let user = |verb: &str, more: &[&str], input: &str| {
        run(
            &url,
            &[],
            &[&["user", verb], &email[..], more].concat(),
            input,
        )
    };
    let sign_in = |password: &str| {
        let body = json!({"email": email[1], "password": password});
        service.post("/auth/token", None, &body)
    };

    printed(&user("create", &["--role", "OWNER"], "marked-password-1\n"));
    let token = sign_in("marked-password-1").json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(service.me(&token).json()["role"], "OWNER");
    assert!(complaint(&user("create", &[], "marked-password-1\n")).contains("taken"));
    assert!(complaint(&user("set-role", &["--role", "VIEWER"], "")).contains("last active owner"));

    printed(&run(
        &url,
        &[],
        &[
            "user",
            "create",
            "--email",
            "second@marked.example",
            "--role",
            "OWNER",
        ],
        "marked-password-2\r\n",
    ));
    printed(&user("set-role", &["--role", "ADMIN"], ""));
    assert_eq!(service.me(&token).json()["role"], "ADMIN");
    printed(&user("disable", &[], ""));
    assert_eq!(service.me(&token).status, 401);
    assert_eq!(sign_in("marked-password-1").status, 401);
    printed(&user("enable", &[], ""));
    printed(&user("set-password", &[], "marked-password-3"));
    assert_eq!(sign_in("marked-password-1").status, 401);
    let token = sign_in("marked-password-3").json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        printed(&user("revoke-sessions", &[], "")),
        "ended 1 sessions\n"
    );
    assert_eq!(service.me(&token).status, 401);
    let list = printed(&run(&url, &[], &["user", "list"], ""));
    assert_eq!(list.lines().count(), 2);
    assert!(complaint(&user("set-password", &[], "short\n")).contains("at least 8 characters"));
}

#[tokio::test]
async fn the_doctor_tells_what_would_stop_the_service() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[]);
    let own_port = service.port().to_string();
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let foreign_port = foreign.local_addr().unwrap().port().to_string();

    let well = printed(&run(&url, &[], &["doctor"], ""));
    let serving = printed(&run(&url, &[("PORT", &own_port)], &["doctor"], ""));
    let held = run(&url, &[("PORT", &foreign_port)], &["doctor"], "");
    let lost = run("postgres://127.0.0.1:1/none", &[], &["doctor"], "");
    let empty = run(&cluster::empty_database().await, &[], &["doctor"], "");

    assert!(!well.contains("FAIL"), "{well}");
    assert!(
        serving.contains("served by a running warp-skeleton"),
        "{serving}"
    );
    for (output, failure) in [
        (held, "FAIL listener"),
        (lost, "FAIL database"),
        (empty, "FAIL schema"),
    ] {
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(failure), "{text}");
    }
}

#[tokio::test]
async fn no_check_of_the_doctor_disappears_because_it_cannot_be_made() {
    let url = cluster::new_database().await;
    let elsewhere = "postgres://nobody@127.0.0.1:1/none";
    let unknown_role = url.replacen("://postgres", "://unknown_role", 1);
    let subjects = |output: &std::process::Output| -> Vec<String> {
        let text = String::from_utf8_lossy(&output.stdout);
        let subject = |line: &str| line.get(5..)?.split(':').next().map(str::to_owned);
        text.lines().filter_map(subject).collect()
    };
    let doctor = |url: &str, settings: &[(&str, &str)]| run(url, settings, &["doctor"], "");
    let other = [("MIGRATE_DATABASE_URL", unknown_role.as_str())];
    let nowhere = [("MIGRATE_DATABASE_URL", elsewhere)];

    let one = doctor(&url, &[]);
    let one_lost = doctor(elsewhere, &[]);
    let separate = [
        doctor(&url, &nowhere),
        doctor(elsewhere, &[("MIGRATE_DATABASE_URL", &url)]),
        doctor(&url, &other),
    ];

    printed(&one);
    assert_eq!(one_lost.status.code(), Some(1));
    assert_eq!(subjects(&one), subjects(&one_lost));
    for output in separate {
        let text = String::from_utf8_lossy(&output.stdout);
        // A server of somebody else's may take any role.
        if text.contains("answers unknown_role") {
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{text}");
        let mut expected = subjects(&one);
        expected.insert(3, "database for migrations".to_owned());
        expected.insert(8, "schema of the service".to_owned());
        assert_eq!(subjects(&output), expected, "{text}");
        assert!(text.contains("not checked, because"), "{text}");
    }
}

#[tokio::test]
async fn the_health_check_follows_the_service() {
    let url = cluster::new_database().await;
    let mut service = Service::start(&url, &[]);
    let port = service.port().to_string();
    let settings = [("PORT", port.as_str()), ("HOST", "0.0.0.0")];

    assert_eq!(
        printed(&run(&url, &settings, &["healthcheck"], "")),
        "alive\n"
    );

    service.signal("TERM");
    service.ended();
    complaint(&run(&url, &settings, &["healthcheck"], ""));
}

#[test]
fn routes_and_the_document_need_no_database() {
    let nowhere = "postgres://127.0.0.1:1/none";

    let routes = printed(&run(nowhere, &[], &["routes"], ""));
    let document = printed(&run(nowhere, &[], &["openapi"], ""));

    assert!(
        routes.contains("GET     /info                  MEMBER"),
        "{routes}"
    );
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}
