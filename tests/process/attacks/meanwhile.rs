//! Rights that end on one replica while the body of a request is still on its way to the other.

use std::{io::Write, thread, time::Duration};

use serde_json::{Value, json};

use super::{Account, Case, Replica, Replicas, raw_verdict};
use crate::support::{connect, rest_of};

/// Sends the headers and the first byte of the body, lets something happen, and sends the rest.
fn with_slow_body(
    replica: &Replica,
    token: &str,
    (method, path, body): (&str, &str, &Value),
    meanwhile: impl FnOnce(),
) -> String {
    let body = body.to_string();
    let length = body.len();
    let (first, rest) = body.split_at(1);
    let mut stream = connect(replica.port);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{first}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // Until the guard has seen the caller with all of its rights; the case does not depend on it.
    thread::sleep(Duration::from_millis(100));
    meanwhile();
    stream.write_all(rest.as_bytes()).unwrap();
    raw_verdict(&rest_of(stream))
}

#[tokio::test]
async fn t11_a_body_that_arrives_after_the_rights_of_its_caller_ended_changes_nothing() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let owner = one.sign_in(&replicas.user("owner", "OWNER").await).access;
    let target = one.register("target");
    let target_path = format!("/users/{}", target.id);
    let end = |way: &str, account: &Account, token: &str| {
        let path = format!("/users/{}", account.id);
        let reply = match way {
            "signed out" => two.send(token, "POST", "/auth/logout-all", &json!({})),
            "disabled" => two.send(&owner, "PATCH", &path, &json!({"is_active": false})),
            "deleted" => two.send(&owner, "DELETE", &path, &json!({})),
            _ => two.send(&owner, "PATCH", &path, &json!({"role": "VIEWER"})),
        };
        assert!(reply.status < 300, "{way}: {}", reply.body);
    };

    for (number, (way, expected)) in [
        ("signed out", "401 invalid_token"),
        ("disabled", "401 invalid_token"),
        ("deleted", "401 invalid_token"),
        ("demoted", "403 insufficient_role"),
    ]
    .into_iter()
    .enumerate()
    {
        for (kind, method, path) in [
            ("change", "PATCH", target_path.as_str()),
            ("email", "PATCH", "/auth/me"),
            ("password", "POST", "/auth/password"),
        ] {
            // An account that was demoted still owns its address and its password.
            if way == "demoted" && kind != "change" {
                continue;
            }
            let admin = replicas.user(&format!("{kind}{number}"), "ADMIN").await;
            let token = one.sign_in(&admin).access;
            let body = match kind {
                "change" => json!({"is_active": false}),
                "email" => {
                    json!({"email": format!("new{number}@marked.example"), "current_password": admin.password})
                }
                _ => {
                    json!({"current_password": admin.password, "new_password": "marked-password-new"})
                }
            };
            let seen = with_slow_body(one, &token, (method, path, &body), || {
                end(way, &admin, &token);
            });
            case.expect(format!("{method} {kind}, {way}"), expected, seen);
        }
    }
    let sql = "SELECT is_active FROM users WHERE email = $1";
    let active: bool = replicas.value(sql, &[&target.email]).await;
    case.expect("the target is active", true, active);
    let sql = "SELECT count(*) FROM users WHERE email LIKE 'new%'";
    let moved: i64 = replicas.value(sql, &[]).await;
    case.expect("addresses that were changed", 0, moved);

    let admin = replicas.user("control", "ADMIN").await;
    let token = one.sign_in(&admin).access;
    let body = json!({"is_active": false});
    let seen = with_slow_body(one, &token, ("PATCH", &target_path, &body), || {});
    case.expect("the control: nothing happened meanwhile", "200", seen);
}
