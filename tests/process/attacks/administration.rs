//! Administration: rights over the accounts of others, and what can be asked about them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Account, Case, Replicas, SQL, broken_rule, verdict};

const REFUSED: &str = "401 invalid_token";

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Role and state of an account.
async fn rights_of(replicas: &Replicas, account: &Account) -> String {
    let sql = "SELECT role || CASE WHEN is_active THEN '' ELSE ' disabled' END FROM users WHERE email = $1";
    replicas.value(sql, &[&account.email]).await
}

#[tokio::test]
async fn a02_nobody_raises_themselves_or_touches_who_stands_above_them() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let owner = replicas.user("owner", "OWNER").await;
    let admin = replicas.user("admin", "ADMIN").await;
    let viewer = replicas.one.register("viewer");
    let as_admin = replicas.one.sign_in(&admin).access;
    let as_viewer = replicas.one.sign_in(&viewer).access;
    let change = |token: &str, account: &Account, body: Value| {
        let path = format!("/users/{}", account.id);
        verdict(&replicas.two.send(token, "PATCH", &path, &body))
    };
    let to = |role: &str| json!({"role": role});

    let own = json!({"email": viewer.email, "current_password": viewer.password, "role": "OWNER"});
    let reply = replicas.two.send(&as_viewer, "PATCH", "/auth/me", &own);
    case.expect(
        "beside the address",
        "422 unknown_field ",
        broken_rule(&reply),
    );
    let seen = change(&as_viewer, &viewer, to("ADMIN"));
    case.expect("a viewer, itself", "403 insufficient_role", seen);
    for (account, body) in [
        (&admin, to("OWNER")),
        (&viewer, to("OWNER")),
        (&owner, to("VIEWER")),
        (&owner, json!({"is_active": false})),
    ] {
        let seen = change(&as_admin, account, body);
        case.expect(&account.email, "403 insufficient_level", seen);
    }
    let path = format!("/users/{}", owner.id);
    let reply = replicas.two.send(&as_admin, "DELETE", &path, &json!({}));
    case.expect(
        "to delete an owner",
        "403 insufficient_level",
        verdict(&reply),
    );
    let seen = change(&as_admin, &viewer, to("ROOT"));
    case.expect("a role there is not", "422 validation_failed", seen);
    for (account, expected) in [(&owner, "OWNER"), (&admin, "ADMIN"), (&viewer, "VIEWER")] {
        let rights = rights_of(&replicas, account).await;
        case.expect("rights afterwards", expected, rights);
    }

    let seen = change(&as_admin, &viewer, to("ADMIN"));
    case.expect("the control: up to one's own level", "200", seen);
    let rights = rights_of(&replicas, &viewer).await;
    case.expect("rights afterwards", "ADMIN", rights);
}

#[tokio::test]
async fn a02_the_last_owner_cannot_be_lost() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let owner = replicas.user("owner", "OWNER").await;
    let token = one.sign_in(&owner).access;
    let path = format!("/users/{}", owner.id);
    let tries = [
        ("PATCH", json!({"role": "ADMIN"})),
        ("PATCH", json!({"is_active": false})),
        ("DELETE", json!({})),
    ];

    for (method, body) in &tries {
        let reply = two.send(&token, method, &path, body);
        case.expect(body, "409 last_owner", verdict(&reply));
    }
    case.expect(
        "rights afterwards",
        "OWNER",
        rights_of(&replicas, &owner).await,
    );
    case.expect("sessions", "live", replicas.sessions_of(&owner).await);

    replicas.user("heir", "OWNER").await;
    let (method, body) = &tries[0];
    let reply = two.send(&token, method, &path, body);
    case.expect("the control: with an heir", "200", verdict(&reply));
    case.expect(
        "rights afterwards",
        "ADMIN",
        rights_of(&replicas, &owner).await,
    );
}

#[tokio::test]
async fn a03_the_account_of_another_is_shown_to_administrators_alone() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let (ada, bob) = (one.register("ada"), one.register("bob"));
    let admin = replicas.user("admin", "ADMIN").await;
    let (own, power) = (one.sign_in(&ada).access, one.sign_in(&admin).access);
    let unknown = Uuid::now_v7().to_string();

    for method in ["GET", "PATCH", "DELETE"] {
        let ask = |token: &str, id: &str| {
            let path = format!("/users/{id}");
            verdict(&two.send(token, method, &path, &json!({})))
        };
        for id in [bob.id.as_str(), &unknown, "not-an-id"] {
            case.expect(method, "403 insufficient_role", ask(&own, id));
        }
        for id in [unknown.as_str(), "not-an-id", "..%2f.."] {
            case.expect(method, "404 not_found", ask(&power, id));
        }
    }
    let path = format!("/users/{}", bob.id);
    case.expect("the control", "200", verdict(&two.get(&power, &path)));
}

#[tokio::test]
async fn t11_whom_one_replica_stops_the_other_stops() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let owner = replicas.user("owner", "OWNER").await;
    let power = one.sign_in(&owner).access;
    let change = |account: &Account, body: &Value| {
        let reply = one.send(&power, "PATCH", &format!("/users/{}", account.id), body);
        assert_eq!(reply.status, 200, "{}", reply.body);
    };
    let meet = |name: &str| {
        let account = one.register(name);
        let pair = one.sign_in(&account);
        case.expect("before", "200", verdict(&two.me(&pair.access)));
        (account, pair)
    };

    let (deleted, pair) = meet("deleted");
    assert_eq!(
        one.send(
            &power,
            "DELETE",
            &format!("/users/{}", deleted.id),
            &json!({})
        )
        .status,
        204
    );
    case.expect("a deleted user", REFUSED, verdict(&two.me(&pair.access)));
    case.expect("to refresh", REFUSED, verdict(&two.refresh(&pair.refresh)));
    case.expect("sessions", "none", replicas.sessions_of(&deleted).await);

    let (disabled, pair) = meet("disabled");
    change(&disabled, &json!({"is_active": false}));
    case.expect("a disabled user", REFUSED, verdict(&two.me(&pair.access)));
    case.expect("to refresh", REFUSED, verdict(&two.refresh(&pair.refresh)));
    case.expect(
        "sessions",
        "disabled",
        replicas.sessions_of(&disabled).await,
    );

    let lowered = replicas.user("lowered", "ADMIN").await;
    let pair = one.sign_in(&lowered);
    case.expect("before", "200", verdict(&two.get(&pair.access, "/users")));
    change(&lowered, &json!({"role": "MEMBER"}));
    let reply = two.get(&pair.access, "/users");
    case.expect("a lowered role", "403 insufficient_role", verdict(&reply));
    case.expect("sessions", "live", replicas.sessions_of(&lowered).await);
}

#[tokio::test]
async fn h04_what_is_asked_about_accounts_is_asked_once_and_without_nul() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let one = &replicas.one;
    let owner = replicas.user("owner", "OWNER").await;
    let viewer = one.register("viewer");
    let pair = one.sign_in(&owner);
    let bearer = format!("Bearer {}", pair.access);
    let of_viewer = format!("/users/{}", viewer.id);
    let before = replicas.holdings().await;

    for (method, path, body, expected) in [
        (
            "PATCH",
            of_viewer.as_str(),
            r#"{"role": "VIEWER", "role": "OWNER"}"#,
            "422 duplicate_field /role",
        ),
        (
            "PATCH",
            &of_viewer,
            r#"{"role": "OWNER\u0000"}"#,
            "422 nul_character /role",
        ),
        (
            "GET",
            "/users?limit=1&limit=100",
            "",
            "422 duplicate_parameter /limit",
        ),
        ("GET", "/users?q=%00", "", "422 nul_character /q"),
        ("GET", "/users?cursor=%00", "", "422 nul_character /cursor"),
        ("GET", "/users?role=OWNER%00", "", "422 nul_character /role"),
        ("GET", "/users?%00=1", "", "422 unknown_parameter "),
        ("GET", "/users/%00", "", "404 not_found"),
    ] {
        let reply = one.ask(method, path, &[JSON, ("Authorization", &bearer)], body);
        case.expect(format!("{method} {path}"), expected, broken_rule(&reply));
    }
    case.unchanged(&before, &replicas.holdings().await);

    let reply = one.send(
        &pair.access,
        "PATCH",
        &of_viewer,
        &json!({"role": "MEMBER"}),
    );
    case.expect("the control", "200", verdict(&reply));
}

#[tokio::test]
async fn h12_the_link_to_the_next_page_names_no_other_host() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let one = &replicas.one;
    let owner = replicas.user("owner", "OWNER").await;
    let bearer = format!("Bearer {}", one.sign_in(&owner).access);
    one.register("second");

    let headers = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "gopher"),
        ("Forwarded", "host=evil.example"),
        ("Authorization", bearer.as_str()),
    ];
    let page = one.ask("GET", "/users?limit=1", &headers, "");

    case.expect("a page", "200", verdict(&page));
    let link = page.header("link");
    case.expect("its link", true, link.starts_with("</users?"));
    let named = page.head.contains("evil") || page.body.contains("evil");
    case.expect("the other host is named", false, named);
}

#[tokio::test]
async fn h14_sql_in_a_search_is_a_text_like_any_other() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let owner = replicas.user("owner", "OWNER").await;
    let power = one.sign_in(&owner).access;
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();

    for text in SQL {
        let encoded = encode(text);
        let found = two.get(&power, &format!("/users?q={encoded}"));
        let count = found.json()["items"].as_array().unwrap().len();
        case.expect(text, "200 0", format!("{} {count}", found.status));
        for name in ["role", "limit", "cursor", "is_active"] {
            let reply = two.get(&power, &format!("/users?{name}={encoded}"));
            case.expect(text, "422 validation_failed", verdict(&reply));
        }
        let reply = two.get(&power, &format!("/users?sort={encoded}"));
        case.expect(text, "422 unknown_parameter ", broken_rule(&reply));
        let path = format!("/users/{}", encoded.replace('+', "%20"));
        case.expect(text, "404 not_found", verdict(&two.get(&power, &path)));
    }
    // These characters are legal in an address, and mean themselves there.
    for email in [
        "o'reilly@marked.example",
        "a_b@marked.example",
        "100%@marked.example",
        "$1@marked.example",
    ] {
        let body = json!({"email": email, "password": "marked-password-1"}).to_string();
        case.expect(email, "201", verdict(&one.post("/auth/register", &body)));
        let found = two
            .get(&power, &format!("/users?q={}", encode(email)))
            .json();
        case.expect(email, json!(email), found["items"][0]["email"].clone());
        case.expect(email, Value::Null, found["items"][1].clone());
    }
}
