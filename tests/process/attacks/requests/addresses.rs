//! Addresses that a client states of itself.

use serde_json::json;

use super::{Account, Case, JSON, Pair, Replica, Replicas, claims_of};

/// The address that the session of a new sign-in is recorded with.
fn recorded_ip(replica: &Replica, account: &Account, forwarded: &[&str]) -> String {
    let mut headers = vec![JSON];
    headers.extend(forwarded.iter().map(|line| ("X-Forwarded-For", *line)));
    let body = json!({"email": account.email, "password": account.password}).to_string();
    let pair = Pair::of(&replica.ask("POST", "/auth/token", &headers, &body));
    let id = claims_of(&pair.access)["sid"].clone();
    let sessions = replica.get(&pair.access, "/auth/sessions").json();
    let sessions = sessions["items"].as_array().unwrap().clone();
    let own = sessions
        .into_iter()
        .find(|session| session["id"] == id)
        .unwrap();
    own["ip"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn h13_an_address_is_believed_from_a_trusted_proxy_and_read_from_the_right() {
    let case = Case::begin();
    let url = crate::cluster::new_database().await;
    let trusting = [("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8, fd00::/8")];
    let replicas = Replicas::over(&url, &trusting, &[]).await;
    let account = replicas.one.register("traveller");
    let many = vec!["198.51.100.7"; 1_000].join(", ");

    for (tried, lines, expected) in [
        ("nothing", vec![], "127.0.0.1"),
        ("one hop", vec!["203.0.113.9"], "203.0.113.9"),
        (
            "a forged hop on the left",
            vec!["192.0.2.1, 203.0.113.9"],
            "203.0.113.9",
        ),
        (
            "own proxies on the right",
            vec!["192.0.2.1, 203.0.113.9, 10.1.2.3, fd00::1"],
            "203.0.113.9",
        ),
        ("only own proxies", vec!["10.1.2.3"], "10.1.2.3"),
        (
            "two headers",
            vec!["192.0.2.1", "203.0.113.9"],
            "203.0.113.9",
        ),
        ("garbage", vec!["203.0.113.9, garbage"], "127.0.0.1"),
        (
            "garbage behind a proxy",
            vec!["garbage, 10.1.2.3"],
            "10.1.2.3",
        ),
        (
            "nothing between commas",
            vec!["203.0.113.9,,"],
            "203.0.113.9",
        ),
        ("a zone", vec!["fe80::1%eth0"], "fe80::1"),
        ("a port", vec!["203.0.113.9:4711"], "203.0.113.9"),
        ("brackets", vec!["[2001:db8::1]"], "2001:db8::1"),
        (
            "brackets and a port",
            vec!["192.0.2.1:80, [2001:db8::1]:443, 10.1.2.3:5000"],
            "2001:db8::1",
        ),
        ("half a bracket", vec!["[2001:db8::1"], "127.0.0.1"),
        ("no port", vec!["203.0.113.9:"], "127.0.0.1"),
        ("octal", vec!["0313.0.0113.9"], "127.0.0.1"),
        ("SQL", vec!["'; DROP TABLE users --"], "127.0.0.1"),
        ("IPv6", vec!["2001:db8::1"], "2001:db8::1"),
        ("IPv4 in IPv6", vec!["::ffff:203.0.113.9"], "203.0.113.9"),
        (
            "a thousand hops",
            vec![many.as_str(), "203.0.113.9"],
            "203.0.113.9",
        ),
    ] {
        let seen = recorded_ip(&replicas.one, &account, &lines);
        case.expect(tried, expected, seen);
        let untrusted = recorded_ip(&replicas.two, &account, &lines);
        case.expect(tried, "127.0.0.1", untrusted);
    }
    let stored = "SELECT count(DISTINCT ip) FROM sessions";
    case.expect(
        "addresses in the database",
        5,
        replicas.value::<i64>(stored, &[]).await,
    );
}
