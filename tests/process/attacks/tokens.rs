//! Forged, altered, replayed and outlived tokens.

use std::{net::TcpListener, thread};

use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::Algorithm::{HS256, HS384, HS512};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Account, Case, Pair, Replicas, begin, claims_of, cluster, encoded, forge, plain, raw_verdict,
    verdict, with,
};
use crate::support::{SECRET, eventually, rest_of};

const REFUSED: &str = "401 invalid_token";

/// A session and what its access token says, as material for forgeries.
struct Target {
    replicas: Replicas,
    account: Account,
    pair: Pair,
    claims: Value,
    before: String,
}

impl Target {
    async fn start() -> Self {
        let replicas = Replicas::start().await;
        let account = replicas.one.register("target");
        let pair = replicas.one.sign_in(&account);
        Self {
            claims: claims_of(&pair.access),
            before: replicas.holdings().await,
            replicas,
            account,
            pair,
        }
    }

    /// Shows the token to both replicas.
    #[track_caller]
    fn shown(&self, case: &Case, tried: &str, token: &str, expected: &str) {
        for replica in self.replicas.both() {
            case.expect(tried, expected, verdict(&replica.me(token)));
        }
    }

    /// The token of ours that everything else differs from by one thing is taken, and nothing has changed.
    async fn control(&self, case: &Case) {
        let token = signed(&plain(), &self.claims);
        self.shown(case, "the control", &token, "200");
        let after = self.replicas.holdings().await;
        case.unchanged(&self.before, &after);
    }
}

/// A token that says this and is signed with our own key.
fn signed(header: &Value, claims: &Value) -> String {
    forge(header, claims, SECRET.as_bytes(), HS256)
}

/// Seconds since 1970 as the services count them: those of the token that was just made.
fn now(claims: &Value) -> i64 {
    claims["iat"].as_i64().unwrap()
}

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
async fn t07_a_token_is_good_until_it_expires_and_a_few_seconds_beyond() {
    let case = Case::begin();
    let target = Target::start().await;
    let now = now(&target.claims);
    let past = |seconds: i64| {
        let earlier = with(target.claims.clone(), "iat", json!(now - 60));
        let earlier = with(earlier, "nbf", json!(now - 60));
        signed(&plain(), &with(earlier, "exp", json!(now - seconds)))
    };

    target.shown(&case, "not expired yet", &past(-30), "200");
    for seconds in [6, 60] {
        target.shown(&case, "expired beyond it", &past(seconds), REFUSED);
    }
    for value in [
        None,
        Some(Value::Null),
        Some(json!((now + 60).to_string())),
        Some(json!(1e308)),
        Some(json!(60.5)),
        Some(json!(0)),
        Some(json!(-1)),
        Some(json!(i64::MIN)),
        Some(json!(i64::MAX)),
        Some(json!(1_u64 << 63)),
        Some(json!([now + 60])),
        Some(json!(true)),
    ] {
        let tried = format!("exp = {value:?}");
        let token = signed(&plain(), &with(target.claims.clone(), "exp", value));
        target.shown(&case, &tried, &token, REFUSED);
    }
    target.control(&case).await;
    let fresh = claims_of(&target.replicas.one.sign_in(&target.account).access);
    let expired = with(fresh.clone(), "exp", json!(self::now(&fresh) - 1));
    target.shown(
        &case,
        "expired within the leeway",
        &signed(&plain(), &expired),
        "200",
    );
}

#[tokio::test]
async fn t08_a_token_from_the_future_or_of_too_long_a_life_is_refused() {
    let case = Case::begin();
    let target = Target::start().await;
    let now = now(&target.claims);

    for (name, value) in [
        ("nbf", json!(now + 600)),
        ("iat", json!(now + 600)),
        ("nbf", json!(i64::MAX)),
        ("iat", json!(i64::MAX)),
        ("iat", json!(i64::MIN)),
        ("iat", json!(now - 91 * 86_400)),
        ("exp", json!(now + 91 * 86_400)),
        // Longer than its session, which lasts 14 days.
        ("exp", json!(now + 15 * 86_400)),
        ("nbf", json!(null)),
        ("iat", json!(now.to_string())),
    ] {
        let token = signed(&plain(), &with(target.claims.clone(), name, value));
        target.shown(&case, name, &token, REFUSED);
    }
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
async fn t11_what_ended_on_one_replica_has_ended_on_the_other() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let meet = |name: &str| {
        let account = one.register(name);
        let pair = one.sign_in(&account);
        case.expect("before", "200", verdict(&two.me(&pair.access)));
        (account, pair)
    };

    let (changed, pair) = meet("changed");
    let elsewhere = one.sign_in(&changed);
    let body = json!({"current_password": changed.password, "new_password": "marked-password-new"});
    assert_eq!(
        one.send(&elsewhere.access, "POST", "/auth/password", &body)
            .status,
        204
    );
    case.expect(
        "a changed password",
        REFUSED,
        verdict(&two.me(&pair.access)),
    );
    case.expect(
        "where it was changed",
        "200",
        verdict(&two.me(&elsewhere.access)),
    );
    let sessions = replicas.sessions_of(&changed).await;
    case.expect("sessions", "password_change live", sessions);
}

#[tokio::test]
async fn t11_a_session_that_was_ended_has_ended_on_both_replicas() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let account = one.register("leaver");

    let pair = one.sign_in(&account);
    assert_eq!(
        one.send(&pair.access, "POST", "/auth/logout", &json!({}))
            .status,
        204
    );
    case.expect("signed out", REFUSED, verdict(&two.me(&pair.access)));
    case.expect("to refresh", REFUSED, verdict(&two.refresh(&pair.refresh)));

    let (pair, ender) = (one.sign_in(&account), one.sign_in(&account));
    let id = claims_of(&pair.access)["sid"].as_str().unwrap().to_owned();
    let path = format!("/auth/sessions/{id}");
    assert_eq!(
        one.send(&ender.access, "DELETE", &path, &json!({})).status,
        204
    );
    case.expect(
        "ended from elsewhere",
        REFUSED,
        verdict(&two.me(&pair.access)),
    );
    case.expect(
        "the one that ended it",
        "200",
        verdict(&two.me(&ender.access)),
    );

    assert_eq!(
        one.send(&ender.access, "POST", "/auth/logout-all", &json!({}))
            .status,
        204
    );
    case.expect(
        "signed out everywhere",
        REFUSED,
        verdict(&two.me(&ender.access)),
    );

    let pair = one.sign_in(&account);
    replicas
        .execute("UPDATE sessions SET expires_at = created_at WHERE revoked_at IS NULL")
        .await;
    case.expect("expired", REFUSED, verdict(&two.me(&pair.access)));
    case.expect("to refresh", REFUSED, verdict(&two.refresh(&pair.refresh)));
    let sessions = replicas.sessions_of(&account).await;
    case.expect("sessions", "logout logout logout_all live", sessions);
}

#[tokio::test]
async fn t11_a_sign_in_under_way_opens_nothing_once_its_account_has_changed() {
    let case = Case::begin();
    let url = cluster::new_database().await;
    let replicas = Replicas::over(&url, &[("HEADER_TIMEOUT_MS", "1000")], &[]).await;
    let account = replicas.one.register("hasty");
    let body = json!({"email": account.email, "password": account.password}).to_string();
    let mut holder = cluster::connect(&url).await;

    for (tried, change, expected) in [
        ("nothing else changed", "SELECT 1", "200"),
        (
            "another password",
            "UPDATE users SET password_hash = password_hash || 'x'",
            "401 invalid_credentials",
        ),
        (
            "disabled",
            "UPDATE users SET password_hash = rtrim(password_hash, 'x'), is_active = false",
            "401 invalid_credentials",
        ),
    ] {
        let lock = holder.transaction().await.unwrap();
        lock.execute("SELECT id FROM users FOR UPDATE", &[])
            .await
            .unwrap();
        // The password is proven already, and the account is about to be looked at again.
        let stream = begin(replicas.one.port, "/auth/token", &body);
        replicas.waiting(1).await;
        lock.batch_execute(change).await.unwrap();
        lock.commit().await.unwrap();

        let seen = raw_verdict(&rest_of(stream));
        case.expect(tried, expected, seen);
        case.expect("sessions", "live", replicas.sessions_of(&account).await);
        holder
            .batch_execute("UPDATE users SET password_hash = rtrim(password_hash, 'x')")
            .await
            .unwrap();
    }
}

/// Makes every use of a refresh token this many seconds older.
async fn age(replicas: &Replicas, seconds: u32) {
    let sql = format!("UPDATE refresh_tokens SET used_at = used_at - interval '{seconds} s'");
    replicas.execute(&sql).await;
}

#[tokio::test]
async fn t12_a_refresh_token_that_comes_back_late_ends_its_session() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let account = one.register("replayed");
    let bystander = one.sign_in(&account);
    let first = one.sign_in(&account);
    let second = Pair::of(&one.refresh(&first.refresh));
    age(&replicas, 11).await;

    case.expect(
        "replayed after 11 s",
        REFUSED,
        verdict(&two.refresh(&first.refresh)),
    );

    case.expect(
        "its successor",
        REFUSED,
        verdict(&one.refresh(&second.refresh)),
    );
    case.expect(
        "its access token",
        REFUSED,
        verdict(&one.me(&second.access)),
    );
    case.expect(
        "sessions",
        "live reuse",
        replicas.sessions_of(&account).await,
    );
    case.expect(
        "another session",
        "200",
        verdict(&one.me(&bystander.access)),
    );
    let noted = eventually("the audit line", || {
        two.noted("refresh", "reused").then_some(true)
    });
    case.expect("an audit line", true, noted);
    let series = "auth_events_total{event=\"refresh\",outcome=\"reused\"}";
    case.expect("counted", 1.0, two.metric(series));
}

#[tokio::test]
async fn t12_a_lost_reply_is_forgiven_once_its_successor_is_unused() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let account = one.register("unlucky");
    let first = one.sign_in(&account);
    let lost = Pair::of(&one.refresh(&first.refresh));

    let again = two.refresh(&first.refresh);

    case.expect("the reply was lost", "200", verdict(&again));
    let again = Pair::of(&again);
    case.expect(
        "the lost successor",
        REFUSED,
        verdict(&one.refresh(&lost.refresh)),
    );
    case.expect("sessions", "live", replicas.sessions_of(&account).await);
    case.expect("live branches", 1, replicas.live_branches().await);
    case.expect("the new pair", "200", verdict(&two.refresh(&again.refresh)));
}

#[tokio::test]
async fn t12_a_grandparent_gives_its_thief_away_at_once() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let account = one.register("grandparent");
    let first = one.sign_in(&account);
    let second = Pair::of(&one.refresh(&first.refresh));
    let third = Pair::of(&two.refresh(&second.refresh));

    case.expect(
        "the grandparent",
        REFUSED,
        verdict(&two.refresh(&first.refresh)),
    );

    case.expect(
        "the live one",
        REFUSED,
        verdict(&one.refresh(&third.refresh)),
    );
    case.expect("sessions", "reuse", replicas.sessions_of(&account).await);
    case.expect("live branches", 0, replicas.live_branches().await);
}

#[tokio::test]
async fn t12_of_twenty_refreshes_at_once_one_branch_lives() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let account = replicas.one.register("raced");
    let first = replicas.one.sign_in(&account);

    let replies: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..20)
            .map(|number| {
                let replica = replicas.both()[number % 2];
                let token = &first.refresh;
                scope.spawn(move || replica.refresh(token))
            })
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });

    let is_clean = |verdict: &str| ["200", REFUSED].contains(&verdict);
    let clean = replies
        .iter()
        .map(verdict)
        .all(|verdict| is_clean(&verdict));
    case.expect("a pair or a clean refusal", true, clean);
    case.expect("live branches", 1, replicas.live_branches().await);
    case.expect("sessions", "live", replicas.sessions_of(&account).await);
    let pairs: Vec<_> = replies
        .iter()
        .filter(|reply| reply.status == 200)
        .map(Pair::of)
        .collect();
    let usable = pairs
        .iter()
        .filter(|pair| replicas.two.me(&pair.access).status == 200);
    case.expect("each pair opens the session", pairs.len(), usable.count());
    let refreshed = pairs
        .iter()
        .filter(|pair| replicas.one.refresh(&pair.refresh).status == 200);
    case.expect("refresh tokens that go on", 1, refreshed.count());
}

#[tokio::test]
async fn t12_a_refresh_token_is_its_own_sessions_and_dies_with_it() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let (victim, thief) = (one.register("victim"), one.register("thief"));
    let (stolen, own) = (one.sign_in(&victim), one.sign_in(&thief));

    let body = json!({"refresh_token": stolen.refresh});
    let pair = Pair::of(&two.send(&own.access, "POST", "/auth/refresh", &body));
    let email = two.me(&pair.access).json()["email"].clone();
    case.expect("whose pair it is", json!(victim.email), email);

    assert_eq!(
        one.send(&pair.access, "POST", "/auth/logout", &json!({}))
            .status,
        204
    );
    for token in [&pair.refresh, &stolen.refresh] {
        case.expect("after signing out", REFUSED, verdict(&two.refresh(token)));
    }
    case.expect("sessions", "logout", replicas.sessions_of(&victim).await);

    let form = format!("grant_type=refresh_token&refresh_token={}", pair.refresh);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let reply = one.ask("POST", "/auth/token", &headers, &form);
    case.expect("by the form", "400 invalid_grant", verdict(&reply));
    case.expect(
        "the thief's own",
        "200",
        verdict(&two.refresh(&own.refresh)),
    );
}

#[tokio::test]
async fn t13_a_refresh_token_with_one_bit_changed_is_refused() {
    let case = Case::begin();
    let target = Target::start().await;
    let (one, two) = (&target.replicas.one, &target.replicas.two);
    let token = &target.pair.refresh;

    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        case.expect(
            "one character changed",
            REFUSED,
            verdict(&one.refresh(&changed)),
        );
    }
    let standard = token.replace('-', "+").replace('_', "/");
    let standard = format!("{standard}=");
    for other in [
        "",
        "A",
        &standard,
        &format!("{token}="),
        &format!("{token}A"),
        &format!("{token}\n"),
        &format!(" {token}"),
        &token[1..],
        &token[..42],
        &token.to_lowercase(),
        &encoded(token),
        &"A".repeat(60_000),
    ] {
        case.expect("another spelling", REFUSED, verdict(&two.refresh(other)));
    }
    let body = json!({"refresh_token": "A".repeat(1 << 20)}).to_string();
    case.expect(
        "1 MiB",
        "413 body_too_large",
        verdict(&one.post("/auth/refresh", &body)),
    );
    let reply = one.post("/auth/refresh", "{\"refresh_token\": \"\\u0000\"}");
    case.expect("NUL", "422 validation_failed", verdict(&reply));

    target.control(&case).await;
    case.expect(
        "sessions",
        "live",
        target.replicas.sessions_of(&target.account).await,
    );
    case.expect("the token itself", "200", verdict(&two.refresh(token)));
}

#[tokio::test]
async fn t14_a_change_of_keys_has_an_overlap_and_an_end() {
    let case = Case::begin();
    let url = cluster::new_database().await;
    let new = "f3b1c9d07e5a48269b8d0c1e7f2a3b4c5d6e7f8091a2b3c4d5e6f70819a2b3c4";
    let during = [
        ("JWT_SECRET_KEY", new),
        ("JWT_PREVIOUS_SECRET_KEYS", SECRET),
    ];
    let before = Replicas::over(&url, &[], &[("JWT_PREVIOUS_SECRET_KEYS", new)]).await;
    let after = Replicas::over(&url, &during, &[("JWT_SECRET_KEY", new)]).await;
    let account = before.one.register("rotated");
    let old_token = before.one.sign_in(&account).access;
    let new_token = after.one.sign_in(&account).access;

    for (tried, replica, token, expected) in [
        (
            "old token, during the overlap",
            &after.one,
            &old_token,
            "200",
        ),
        (
            "old token, once the key is gone",
            &after.two,
            &old_token,
            REFUSED,
        ),
        (
            "new token, where the key is new",
            &after.two,
            &new_token,
            "200",
        ),
        (
            "new token, where the key was announced",
            &before.two,
            &new_token,
            "200",
        ),
        (
            "new token, where the key is unknown",
            &before.one,
            &new_token,
            REFUSED,
        ),
    ] {
        case.expect(tried, expected, verdict(&replica.me(token)));
    }
    case.expect("sessions", "live live", before.sessions_of(&account).await);
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

#[tokio::test]
async fn t16_the_clock_of_the_database_does_not_count() {
    let case = Case::begin();
    let url = cluster::new_database().await;
    // PostgreSQL's clock in this database is five minutes late.
    let skew = "
CREATE SCHEMA skewed;
CREATE FUNCTION skewed.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT pg_catalog.now() - interval '5 min'$$;
CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql
    AS $$SELECT pg_catalog.clock_timestamp() - interval '5 min'$$;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = skewed, public, pg_catalog', current_database()); END $$";
    cluster::connect(&url)
        .await
        .batch_execute(skew)
        .await
        .unwrap();
    let replicas = Replicas::over(&url, &[], &[]).await;
    let sql = "SELECT extract(epoch FROM pg_catalog.now() - now())::bigint";
    assert_eq!(
        replicas.value::<i64>(sql, &[]).await,
        300,
        "the clock is off"
    );

    let account = replicas.one.register("timely");
    let pair = replicas.one.sign_in(&account);

    case.expect(
        "the access token",
        "200",
        verdict(&replicas.two.me(&pair.access)),
    );
    let next = replicas.two.refresh(&pair.refresh);
    case.expect("the refresh token", "200", verdict(&next));
    case.expect(
        "a lost reply",
        "200",
        verdict(&replicas.one.refresh(&pair.refresh)),
    );
    age(&replicas, 11).await;
    case.expect(
        "a late replay",
        REFUSED,
        verdict(&replicas.two.refresh(&pair.refresh)),
    );
    case.expect("sessions", "reuse", replicas.sessions_of(&account).await);
    let written_by_us = "
SELECT bool_and(abs(extract(epoch FROM pg_catalog.now() - created_at)) < 60)
FROM sessions";
    let ours: bool = replicas.value(written_by_us, &[]).await;
    case.expect("times by the service's clock", true, ours);
}
