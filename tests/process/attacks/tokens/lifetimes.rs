//! When access tokens begin and cease to count.

use jsonwebtoken::Algorithm::HS256;
use serde_json::{Value, json};

use super::{
    super::{Case, Pair, Replicas, begin, claims_of, forge, plain, raw_verdict, verdict, with},
    REFUSED, Target, age, now, signed,
};
use crate::{
    cluster,
    support::{SECRET, eventually, rest_of},
};

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
    let expired = with(fresh.clone(), "exp", json!(super::now(&fresh) - 1));
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
async fn t11_a_token_that_is_given_back_ends_its_session_on_both_replicas() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let account = one.register("leaver");
    let bystander = one.sign_in(&account);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let give_back = |token: &str| {
        let reply = two.ask("POST", "/auth/revoke", &form, &format!("token={token}"));
        case.expect("no body", "", reply.body.as_str());
        verdict(&reply)
    };

    for kind in ["refresh", "used refresh", "access", "expired access"] {
        let first = one.sign_in(&account);
        let second = Pair::of(&one.refresh(&first.refresh));
        let claims = claims_of(&second.access);
        let earlier = json!(now(&claims) - 3_600);
        let expired = with(claims, "exp", json!(earlier.as_i64().unwrap() + 60));
        let expired = with(with(expired, "iat", earlier.clone()), "nbf", earlier);
        let expired = signed(&plain(), &expired);
        case.expect("expired", REFUSED, verdict(&one.me(&expired)));
        let token = match kind {
            "refresh" => &second.refresh,
            "used refresh" => &first.refresh,
            "access" => &second.access,
            _ => &expired,
        };

        case.expect(kind, "200", give_back(token));

        case.expect("to use it", REFUSED, verdict(&one.me(&second.access)));
        case.expect(
            "to refresh",
            REFUSED,
            verdict(&one.refresh(&second.refresh)),
        );
    }
    let foreign = forge(
        &plain(),
        &claims_of(&bystander.access),
        b"another key of 32 bytes or more",
        HS256,
    );
    for token in ["", "nonsense", &foreign, &bystander.refresh[1..]] {
        let expected = if token.is_empty() {
            "400 invalid_request"
        } else {
            "200"
        };
        let reply = two.ask("POST", "/auth/revoke", &form, &format!("token={token}"));
        case.expect("none of ours", expected, verdict(&reply));
    }
    case.expect(
        "another session",
        "200",
        verdict(&one.me(&bystander.access)),
    );
    let sessions = replicas.sessions_of(&account).await;
    let expected = "live revoked revoked revoked revoked";
    case.expect("sessions", expected, sessions);
    let noted = eventually("the audit line", || {
        two.noted("session_end", "success").then_some(true)
    });
    case.expect("an audit line", true, noted);
}

#[tokio::test]
async fn t11_a_sign_in_under_way_opens_nothing_once_its_account_has_changed() {
    let case = Case::begin();
    let url = cluster::new_database().await;
    let replicas = Replicas::over(&url, &[("IDLE_TIMEOUT_MS", "1000")], &[]).await;
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

    // Refresh tokens do not depend on the secret: neither does what comes again.
    let first = before.one.sign_in(&account);
    let second = Pair::of(&before.one.refresh(&first.refresh));
    let again = Pair::of(&after.two.refresh(&first.refresh));
    let is_same = again.refresh == second.refresh;
    case.expect("the same successor under another key", true, is_same);
    case.expect(
        "its access token, where the key is new",
        "200",
        verdict(&after.one.me(&again.access)),
    );
    case.expect(
        "the successor, where the key is old",
        "200",
        verdict(&before.one.refresh(&again.refresh)),
    );
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
