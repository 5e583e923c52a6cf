//! Tokens that were forged or altered, or are shown where they do not belong.

use std::net::TcpListener;

use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::Algorithm::{HS256, HS384, HS512};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::{Case, encoded, forge, plain, verdict, with},
    REFUSED, Target, signed,
};
use crate::support::SECRET;

#[tokio::test]
async fn t01_a_token_without_a_signature_is_refused_without_a_look_at_the_database() {
    let case = Case::begin();
    let target = Target::start().await;
    let reads = "db_query_duration_seconds_count{db_system=\"postgresql\",operation=\"select\",query=\"sessions_find_live\"}";
    let (message, signature) = target.pair.access.rsplit_once('.').unwrap();
    let payload = encoded(target.claims.to_string());
    let mut tokens = vec![
        message.to_owned(),
        format!("{message}."),
        format!("{}.", target.pair.access),
        format!(".{}", target.pair.access),
        format!("{message}.{signature}.{signature}"),
        format!("{message}..{signature}"),
    ];
    for algorithm in [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!("NONE"),
        json!(""),
        Value::Null,
    ] {
        let header = encoded(with(plain(), "alg", algorithm).to_string());
        tokens.push(format!("{header}.{payload}."));
        tokens.push(format!("{header}.{payload}.{signature}"));
    }
    let header = encoded(with(plain(), "alg", None).to_string());
    tokens.push(format!("{header}.{payload}."));

    for token in &tokens {
        target.shown(&case, token, token, REFUSED);
    }

    let one = &target.replicas.one;
    case.expect("lookups of sessions", 0.0, one.metric(reads));
    let bodies = tokens.iter().map(|token| {
        let mut body = one.me(token).json();
        body["correlation_id"].take();
        body.to_string()
    });
    let first = bodies.clone().next().unwrap();
    case.expect(
        "one and the same body",
        true,
        bodies.clone().all(|body| body == first),
    );
    target.control(&case).await;
    case.expect("lookups of sessions", 1.0, one.metric(reads));
}

#[tokio::test]
async fn t02_another_algorithm_or_a_key_that_anyone_knows_is_refused() {
    let case = Case::begin();
    let target = Target::start().await;
    let claims = &target.claims;

    for (algorithm, name) in [(HS384, "HS384"), (HS512, "HS512")] {
        let header = with(plain(), "alg", json!(name));
        let token = forge(&header, claims, SECRET.as_bytes(), algorithm);
        target.shown(&case, name, &token, REFUSED);
    }
    for name in [
        "RS256", "PS256", "ES256", "EdDSA", "HS384", "hs256", "HS256 ",
    ] {
        let header = with(plain(), "alg", json!(name));
        target.shown(&case, name, &signed(&header, claims), REFUSED);
    }
    let twice = format!("{{\"alg\":\"none\",\"alg\":\"HS256\",\"typ\":\"at+jwt\"}}.{claims}");
    let (header, _) = twice.split_once('.').unwrap();
    let message = format!("{}.{}", encoded(header), encoded(claims.to_string()));
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, HS256).unwrap();
    target.shown(
        &case,
        "alg twice",
        &format!("{message}.{signature}"),
        REFUSED,
    );

    let decoded: Vec<u8> = (0..SECRET.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&SECRET[at..at + 2], 16).unwrap())
        .collect();
    let jwk = json!({"kty": "oct", "k": encoded(SECRET)}).to_string();
    let newline = format!("{SECRET}\n");
    let keys: [&[u8]; 8] = [
        b"",
        b"\0",
        b"secret",
        b"warp-skeleton",
        &decoded,
        &SECRET.as_bytes()[1..],
        newline.as_bytes(),
        jwk.as_bytes(),
    ];
    for key in keys {
        let token = forge(&plain(), claims, key, HS256);
        target.shown(&case, "another key", &token, REFUSED);
    }
    target.control(&case).await;
}

#[tokio::test]
async fn t04_a_key_id_leads_nowhere() {
    let case = Case::begin();
    let target = Target::start().await;
    let unknown = Uuid::new_v4().to_string();

    for id in [
        "../../../dev/null",
        "/dev/null",
        "' OR 1=1--",
        "\0",
        "\r\n{\"level\":\"fatal\"}",
        &unknown,
    ] {
        let header = with(plain(), "kid", json!(id));
        for key in ["", "\0", "' OR 1=1--"] {
            let token = forge(&header, &target.claims, key.as_bytes(), HS256);
            target.shown(&case, id, &token, REFUSED);
        }
        // It is not looked at, so it does no harm either.
        target.shown(&case, id, &signed(&header, &target.claims), "200");
    }
    for id in [
        json!(["a"]),
        json!(7),
        json!({"a": 1}),
        json!("k".repeat(10_240)),
    ] {
        let header = with(plain(), "kid", id);
        target.shown(
            &case,
            "no key id",
            &signed(&header, &target.claims),
            REFUSED,
        );
    }

    target.control(&case).await;
    let lines = target.replicas.one.service.lines();
    let quoted = lines.iter().any(|line| line.to_string().contains("OR 1=1"));
    case.expect("log lines that quote a key id", false, quoted);
}

#[tokio::test]
async fn t05_a_token_cannot_make_the_service_fetch_a_key() {
    let case = Case::begin();
    let target = Target::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("http://{}/keys", listener.local_addr().unwrap());
    let own = "the attacker's own key, which is long enough";
    let key = json!({"kty": "oct", "k": encoded(own), "alg": "HS256"});

    for (name, value) in [
        ("jku", json!(address)),
        ("x5u", json!(address)),
        ("jwk", key),
        ("x5c", json!([BASE64_STANDARD.encode(own)])),
    ] {
        let header = with(plain(), name, value);
        let forged = forge(&header, &target.claims, own.as_bytes(), HS256);
        target.shown(&case, name, &forged, REFUSED);
        target.shown(&case, name, &signed(&header, &target.claims), REFUSED);
    }

    target.control(&case).await;
    case.expect(
        "connections to the attacker",
        false,
        listener.accept().is_ok(),
    );
}

#[tokio::test]
async fn t06_nothing_that_changes_how_a_token_is_read_is_taken() {
    let case = Case::begin();
    let target = Target::start().await;
    let access = &target.pair.access;

    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("enc", json!("A256GCM")),
    ] {
        let header = with(plain(), name, value);
        target.shown(&case, name, &signed(&header, &target.claims), REFUSED);
    }
    let raw = with(with(plain(), "b64", json!(false)), "crit", json!(["b64"]));
    target.shown(&case, "b64", &signed(&raw, &target.claims), REFUSED);
    let nested = signed(&plain(), &json!(access));
    target.shown(&case, "a token in a token", &nested, REFUSED);
    let encrypted = encoded(json!({"alg": "dir", "enc": "A256GCM"}).to_string());
    target.shown(&case, "JWE", &format!("{encrypted}..iv.text.tag"), REFUSED);
    let parts: Vec<&str> = access.split('.').collect();
    let serialised =
        json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string();
    target.shown(&case, "JWS in JSON", &serialised, REFUSED);
    target.shown(&case, "two tokens", &format!("{access},{access}"), REFUSED);

    target.control(&case).await;
}

#[tokio::test]
async fn t09_a_token_for_or_from_somebody_else_is_refused() {
    let case = Case::begin();
    let target = Target::start().await;
    let other = target.replicas.one.register("other");

    for (name, value) in [
        ("iss", Some(json!("other"))),
        ("iss", Some(json!(["warp-skeleton"]))),
        ("iss", Some(json!("WARP-SKELETON"))),
        ("iss", None),
        ("aud", Some(json!("other"))),
        ("aud", Some(json!(["warp-skeleton", "other"]))),
        ("aud", Some(json!(["warp-skeleton"]))),
        ("aud", Some(json!(""))),
        ("aud", None),
        ("sub", Some(json!(other.id))),
        ("sub", Some(json!("'; DROP TABLE users --"))),
        ("sub", None),
        ("sid", Some(json!(Uuid::now_v7()))),
        ("sid", Some(json!("\0"))),
        ("sid", None),
        ("jti", None),
    ] {
        let tried = format!("{name} = {value:?}");
        let token = signed(&plain(), &with(target.claims.clone(), name, value));
        target.shown(&case, &tried, &token, REFUSED);
    }
    let token = signed(&plain(), &target.claims);
    target.shown(&case, "the control", &token, "200");
    let sessions = target.replicas.sessions_of(&other).await;
    case.expect("sessions of the other", "none", sessions);
}

#[tokio::test]
async fn t10_one_kind_of_token_is_no_other_kind() {
    let case = Case::begin();
    let target = Target::start().await;
    let (one, pair) = (&target.replicas.one, &target.pair);

    for kind in [
        Some(json!("JWT")),
        Some(json!("refresh")),
        Some(json!("rt+jwt")),
        Some(json!("id+jwt")),
        Some(json!("reset")),
        Some(json!("AT+JWT")),
        Some(json!(["at+jwt"])),
        Some(json!("")),
        None,
    ] {
        let token = signed(&with(plain(), "typ", kind), &target.claims);
        target.shown(&case, "typ", &token, REFUSED);
    }
    target.shown(
        &case,
        "a refresh token as access token",
        &pair.refresh,
        REFUSED,
    );
    for token in [&pair.access, pair.access.rsplit_once('.').unwrap().1] {
        case.expect(
            "an access token to refresh",
            REFUSED,
            verdict(&one.refresh(token)),
        );
    }
    target.control(&case).await;
    case.expect(
        "the refresh token itself",
        "200",
        verdict(&one.refresh(&pair.refresh)),
    );
}

#[tokio::test]
async fn t15_a_token_counts_in_one_header_in_one_spelling() {
    let case = Case::begin();
    let target = Target::start().await;
    let token = &target.pair.access;
    let bearer = format!("Bearer {token}");
    let authorized = |value: String| vec![("Authorization", value)];

    for (tried, headers, expected) in [
        ("as it should be", authorized(bearer.clone()), "200"),
        (
            "in lower case",
            authorized(format!("bearer {token}")),
            "200",
        ),
        (
            "two spaces",
            authorized(format!("Bearer  {token}")),
            REFUSED,
        ),
        (
            "a tab",
            authorized(format!("Bearer\t{token}")),
            "401 unauthenticated",
        ),
        (
            "no space",
            authorized(format!("Bearer{token}")),
            "401 unauthenticated",
        ),
        (
            "Basic",
            authorized(format!("Basic {token}")),
            "401 unauthenticated",
        ),
        (
            "the token alone",
            authorized(token.clone()),
            "401 unauthenticated",
        ),
        ("quoted", authorized(format!("Bearer \"{token}\"")), REFUSED),
        (
            "a list",
            authorized(format!("Bearer {token}, Bearer {token}")),
            REFUSED,
        ),
        (
            "a cookie",
            vec![("Cookie", format!("access_token={token}"))],
            "401 unauthenticated",
        ),
        (
            "another header",
            vec![("X-Access-Token", token.clone())],
            "401 unauthenticated",
        ),
        (
            "two headers",
            [authorized(bearer.clone()), authorized(bearer.clone())].concat(),
            "400 invalid_request",
        ),
    ] {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        for replica in target.replicas.both() {
            let reply = replica.ask("GET", "/auth/me", &headers, "");
            case.expect(tried, expected, verdict(&reply));
        }
    }
    let one = &target.replicas.one;
    let reply = one.ask("GET", &format!("/auth/me?access_token={token}"), &[], "");
    case.expect("in the query", "401 unauthenticated", verdict(&reply));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let reply = one.ask(
        "POST",
        "/auth/logout",
        &form,
        &format!("access_token={token}"),
    );
    case.expect("in the body", "401 unauthenticated", verdict(&reply));
    target.control(&case).await;
}
