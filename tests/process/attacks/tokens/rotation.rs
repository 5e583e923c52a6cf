//! Refresh tokens that come back, and those that are none of ours.

use std::thread;

use serde_json::json;

use super::{
    super::{Case, Pair, Replicas, encoded, verdict},
    REFUSED, Target, age,
};
use crate::{cluster, support::eventually};

/// What the service signs access tokens with after a change.
const NEW_SECRET: &str = "f3b1c9d07e5a48269b8d0c1e7f2a3b4c5d6e7f8091a2b3c4d5e6f70819a2b3c4";

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
async fn t12_a_token_that_comes_again_at_once_gets_the_same_successor() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let account = one.register("unlucky");
    let first = one.sign_in(&account);
    let lost = Pair::of(&one.refresh(&first.refresh));

    let again = two.refresh(&first.refresh);

    case.expect("the reply was lost", "200", verdict(&again));
    let again = Pair::of(&again);
    case.expect("the same successor", true, again.refresh == lost.refresh);
    case.expect("a new access token", false, again.access == lost.access);
    for pair in [&lost, &again] {
        case.expect("its access token", "200", verdict(&two.me(&pair.access)));
    }
    let third = Pair::of(&one.refresh(&lost.refresh));
    let late = Pair::of(&two.refresh(&first.refresh));
    let is_same = late.refresh == lost.refresh;
    case.expect("the same, though it was used", true, is_same);
    case.expect("sessions", "live", replicas.sessions_of(&account).await);
    case.expect("live branches", 1, replicas.live_branches().await);
    case.expect("the live one", "200", verdict(&two.refresh(&third.refresh)));
}

#[tokio::test]
async fn t12_the_same_successor_survives_a_restart() {
    let case = Case::begin();
    let url = cluster::new_database().await;
    let before = Replicas::over(&url, &[], &[]).await;
    let account = before.one.register("restarted");
    let first = before.one.sign_in(&account);
    let second = Pair::of(&before.one.refresh(&first.refresh));
    drop(before);

    let after = Replicas::over(&url, &[("JWT_SECRET_KEY", NEW_SECRET)], &[]).await;

    // However long the start took.
    let just_now = "UPDATE refresh_tokens SET masked_until = now() + interval '10 s' WHERE masked_until IS NOT NULL";
    case.expect("kept", 1, after.execute(just_now).await);
    for replica in after.both() {
        let again = replica.refresh(&first.refresh);
        case.expect("after the restart", "200", verdict(&again));
        let is_same = Pair::of(&again).refresh == second.refresh;
        case.expect("the same successor", true, is_same);
    }
    case.expect("sessions", "live", after.sessions_of(&account).await);
}

#[tokio::test]
async fn t12_a_theft_within_the_window_is_found_out_by_the_slower_of_the_two() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let account = one.register("stolen");
    let first = one.sign_in(&account);
    let victims = Pair::of(&one.refresh(&first.refresh));
    let thiefs = Pair::of(&two.refresh(&first.refresh));
    let next = Pair::of(&two.refresh(&thiefs.refresh));
    age(&replicas, 900).await;

    case.expect(
        "the victim's next refresh",
        REFUSED,
        verdict(&one.refresh(&victims.refresh)),
    );

    for token in [&next.access, &victims.access, &thiefs.access] {
        case.expect("an access token", REFUSED, verdict(&two.me(token)));
    }
    case.expect(
        "the thief's refresh token",
        REFUSED,
        verdict(&two.refresh(&next.refresh)),
    );
    case.expect("sessions", "reuse", replicas.sessions_of(&account).await);
    case.expect("live branches", 0, replicas.live_branches().await);
}

#[tokio::test]
async fn t12_a_grandparent_gives_its_thief_away_after_the_window() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let account = one.register("grandparent");
    let first = one.sign_in(&account);
    let second = Pair::of(&one.refresh(&first.refresh));
    let third = Pair::of(&two.refresh(&second.refresh));
    age(&replicas, 11).await;

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
async fn t12_of_twenty_refreshes_at_once_all_hold_one_successor() {
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

    for reply in &replies {
        case.expect("each of twenty at once", "200", verdict(reply));
    }
    let pairs: Vec<_> = replies.iter().map(Pair::of).collect();
    let mut successors: Vec<_> = pairs.iter().map(|pair| &pair.refresh).collect();
    successors.dedup();
    case.expect("successors", 1, successors.len());
    case.expect("live branches", 1, replicas.live_branches().await);
    case.expect("sessions", "live", replicas.sessions_of(&account).await);
    let usable = pairs
        .iter()
        .filter(|pair| replicas.two.me(&pair.access).status == 200);
    case.expect("each pair opens the session", 20, usable.count());
    case.expect(
        "the successor",
        "200",
        verdict(&replicas.one.refresh(successors[0])),
    );
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
