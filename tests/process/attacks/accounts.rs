//! Accounts: rights that were not given, second accounts for one address, and odd passwords.

use std::{collections::BTreeMap, thread};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Case, Replica, Replicas, broken_rule, claims_of, verdict};

fn register(replica: &Replica, email: &str, password: &str) -> super::Reply {
    replica.post(
        "/auth/register",
        &json!({"email": email, "password": password}).to_string(),
    )
}

async fn accounts(replicas: &Replicas) -> i64 {
    replicas.value("SELECT count(*) FROM users", &[]).await
}

#[tokio::test]
async fn a01_registration_gives_no_more_than_the_least_role() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let good = json!({"email": "plain@marked.example", "password": "marked-password-1"});

    for (name, value) in [
        ("role", json!("OWNER")),
        ("is_active", json!(true)),
        ("id", json!(Uuid::now_v7())),
        ("email_verified", json!(true)),
        ("token_version", json!(0)),
        ("org_id", json!(Uuid::now_v7())),
        ("__proto__", json!({"role": "OWNER"})),
        ("constructor", json!({"prototype": {"role": "OWNER"}})),
        ("password_hash", json!("$scrypt$")),
        ("created_at", json!("1970-01-01T00:00:00Z")),
    ] {
        let body = super::with(good.clone(), name, value).to_string();
        let reply = replicas.one.post("/auth/register", &body);
        case.expect(name, "422 unknown_field ", broken_rule(&reply));
    }
    for body in [
        "{\"email\": \"a@marked.example\", \"email\": \"b@marked.example\", \"password\": \"marked-password-1\"}",
        "{\"email\": \"a@marked.example\", \"password\": \"marked-password-1\", \"password\": \"marked-password-2\"}",
    ] {
        let seen = broken_rule(&replicas.two.post("/auth/register", body));
        case.expect(body, true, seen.starts_with("422 duplicate_field /"));
    }
    case.expect("accounts", 0, accounts(&replicas).await);

    let reply = replicas.two.post("/auth/register", &good.to_string());
    case.expect("the control", "201", verdict(&reply));
    case.expect("its role", json!("VIEWER"), reply.json()["role"].clone());
    case.expect("accounts", 1, accounts(&replicas).await);
}

#[tokio::test]
async fn a03_what_is_somebody_elses_looks_like_what_is_not_there() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let (ada, bob) = (one.register("ada"), one.register("bob"));
    let (own, foreign) = (one.sign_in(&ada), one.sign_in(&bob));
    let session_of = |token: &str| claims_of(token)["sid"].as_str().unwrap().to_owned();
    let unknown = Uuid::now_v7().to_string();
    let ids = [
        session_of(&foreign.access),
        ada.id.clone(),
        unknown.clone(),
        "not-an-id".to_owned(),
        "1".to_owned(),
        "%00".to_owned(),
        "..%2f..".to_owned(),
    ];

    let mut bodies = Vec::new();
    for id in &ids {
        let reply = two.send(
            &own.access,
            "DELETE",
            &format!("/auth/sessions/{id}"),
            &json!({}),
        );
        case.expect(id, "404 not_found", verdict(&reply));
        let mut body = reply.json();
        body["correlation_id"].take();
        bodies.push(body.to_string());
    }
    case.expect(
        "one and the same body",
        true,
        bodies.iter().all(|body| *body == bodies[0]),
    );
    case.expect(
        "sessions of the other",
        "live",
        replicas.sessions_of(&bob).await,
    );

    let path = format!("/auth/sessions/{}", session_of(&own.access));
    let reply = two.send(&own.access, "DELETE", &path, &json!({}));
    case.expect("the control: one's own", "204", verdict(&reply));
    case.expect(
        "sessions of one's own",
        "logout",
        replicas.sessions_of(&ada).await,
    );
}

#[tokio::test]
async fn a04_an_address_has_one_account_however_it_is_written() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let password = "marked-password-1";
    let reply = register(one, "Ada.I+notes@Marked.Example", password);
    case.expect("the first", "201", verdict(&reply));

    for email in [
        "ada.i+notes@marked.example",
        "ADA.I+NOTES@MARKED.EXAMPLE",
        "ada.i+notes@MARKED.example",
    ] {
        case.expect(
            email,
            "409 email_taken",
            verdict(&register(two, email, password)),
        );
        case.expect(email, "200", verdict(&two.try_sign_in(email, password)));
    }
    let long = format!(
        "{}@{}.example",
        "a".repeat(60),
        ["d".repeat(60), "e".repeat(60), "f".repeat(60)].join(".")
    );
    for email in [
        "ada.i+notes@marked.example\n",
        "ada.i+notes@marked.example ",
        "\u{a0}ada.i+notes@marked.example",
        "ada.i\u{200b}+notes@marked.example",
        "ada.i+notes\u{ff20}marked.example",
        "ada.\u{131}+notes@marked.example",
        "ada.\u{130}+notes@marked.example",
        "\u{212a}ada@marked.example",
        "ma\u{df}e@marked.example",
        "\u{430}da.i+notes@marked.example",
        "ada.i+notes@m\u{e4}rked.example",
        "\"ada.i+notes\"@marked.example",
        "ada.i+notes@[127.0.0.1]",
        "ada.i+notes(me)@marked.example",
        "ada.i+notes@marked.example.",
        "ada.i+notes@marked@marked.example",
        "<ada.i+notes@marked.example>",
        "ada.i+notes@marked.example,eve@marked.example",
        "ada.i+notes@marked.example%00",
    ] {
        let seen = broken_rule(&register(two, email, password));
        case.expect(email, "422 invalid_email /email", seen);
        let reply = two.try_sign_in(email, password);
        case.expect(email, "422 invalid_email /email", broken_rule(&reply));
    }
    let reply = register(
        two,
        &format!("{long}{}", "x".repeat(255 - long.len())),
        password,
    );
    case.expect("255 characters", "422 too_long /email", broken_rule(&reply));
    let body = "{\"email\": \"ada\\u0000@marked.example\", \"password\": \"marked-password-1\"}";
    case.expect(
        "NUL",
        "422 nul_character /email",
        broken_rule(&one.post("/auth/register", body)),
    );
    case.expect("accounts", 1, accounts(&replicas).await);

    // An address that differs by more than case is another account.
    for email in [
        "ada.i@marked.example",
        "adai+notes@marked.example",
        "ada@xn--mrked-ira.example",
    ] {
        case.expect(email, "201", verdict(&register(one, email, password)));
    }
    let stored = "SELECT string_agg(email, ' ' ORDER BY created_at) FROM users";
    let expected = "ada.i+notes@marked.example ada.i@marked.example adai+notes@marked.example ada@xn--mrked-ira.example";
    case.expect(
        "what is stored",
        expected,
        replicas.value::<String>(stored, &[]).await,
    );
}

#[tokio::test]
async fn a05_a_password_is_taken_as_it_is_or_not_at_all() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let email = "odd@marked.example";

    for (password, expected) in [
        ("short-7".to_owned(), "422 too_short /password"),
        ("\u{1f511}".repeat(7), "422 too_short /password"),
        ("x".repeat(129), "422 too_long /password"),
        ("\u{1f511}".repeat(129), "422 too_long /password"),
        ("x".repeat(1025), "422 too_long /password"),
        ("password".to_owned(), "422 too_common /password"),
        ("PASSWORD1".to_owned(), "422 too_common /password"),
        ("Iloveyou1".to_owned(), "422 too_common /password"),
        ("QwertyUiop".to_owned(), "422 too_common /password"),
        ("ODD@marked.example".to_owned(), "422 own_address /password"),
    ] {
        case.expect(
            &password,
            expected,
            broken_rule(&register(one, email, &password)),
        );
    }
    let body = format!("{{\"email\": \"{email}\", \"password\": \"marked\\u0000password\"}}");
    let reply = one.post("/auth/register", &body);
    case.expect("NUL", "422 nul_character /password", broken_rule(&reply));
    let reply = register(one, "oddlocalpart@marked.example", "OddLocalPart");
    case.expect(
        "one's own local part",
        "422 own_address /password",
        broken_rule(&reply),
    );
    case.expect("accounts", 0, accounts(&replicas).await);

    let long = "marked-".repeat(11)[..72].to_owned();
    for (number, (password, other)) in [
        ("eight-8!".to_owned(), "eight-8".to_owned()),
        ("\u{1f511}".repeat(128), "\u{1f511}".repeat(127)),
        (
            "caf\u{e9}-caf\u{e9}".to_owned(),
            "cafe\u{301}-cafe\u{301}".to_owned(),
        ),
        (" spaced out ".to_owned(), "spaced out".to_owned()),
        ("MixedCase-marked".to_owned(), "mixedcase-marked".to_owned()),
        (format!("{long}suffix"), long.clone()),
        (long.clone(), format!("{long}suffix")),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("odd{number}@marked.example");
        case.expect(&password, "201", verdict(&register(one, &email, &password)));
        case.expect(
            &password,
            "200",
            verdict(&two.try_sign_in(&email, &password)),
        );
        let reply = two.try_sign_in(&email, &other);
        case.expect(&other, "401 invalid_credentials", verdict(&reply));
    }
    case.expect("accounts", 7, accounts(&replicas).await);
    let hashed = "SELECT bool_and(password_hash LIKE '$scrypt$%') FROM users";
    case.expect(
        "what is stored is a hash",
        true,
        replicas.value::<bool>(hashed, &[]).await,
    );
}

#[tokio::test]
async fn a05_a_password_of_ten_mebibytes_is_turned_away_unread() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let body = json!({"email": "big@marked.example", "password": "x".repeat(10 << 20)}).to_string();

    for path in ["/auth/register", "/auth/token"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        );
        let answer = replicas.one.say(head);
        case.expect(path, "413 body_too_large", super::raw_verdict(&answer));
    }
    case.expect("accounts", 0, accounts(&replicas).await);
}

#[tokio::test]
async fn a07_of_fifty_registrations_at_once_on_two_replicas_one_makes_an_account() {
    let case = Case::begin();
    let replicas = Replicas::start().await;

    let mut verdicts: Vec<String> = thread::scope(|scope| {
        let callers: Vec<_> = (0..50)
            .map(|number| {
                let replica = replicas.both()[number % 2];
                let email = if number % 4 < 2 {
                    "race@marked.example"
                } else {
                    "RACE@marked.example"
                };
                scope.spawn(move || verdict(&register(replica, email, "marked-password-1")))
            })
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });

    verdicts.sort();
    case.expect("the winner", "201", &verdicts[0]);
    for verdict in &verdicts[1..] {
        case.expect("the others", "409 email_taken", verdict);
    }
    case.expect("accounts", 1, accounts(&replicas).await);
    let reply = replicas
        .two
        .try_sign_in("race@marked.example", "marked-password-1");
    case.expect("the account works", "200", verdict(&reply));
    let _: Value = reply.json();
}

/// Limits whose tokens come back so slowly that none does during a test, behind a proxy that is believed.
const LIMITED: [(&str, &str); 6] = [
    // On a busy machine everything may wait its turn, so that each guess is counted.
    ("DB_POOL_TIMEOUT_MS", "20000"),
    ("PASSWORD_HASH_WAIT_MS", "20000"),
    ("RATE_LIMIT", "on"),
    ("RATE_LIMIT_AUTH_PER_MINUTE", "1"),
    ("RATE_LIMIT_ACCOUNT_PER_MINUTE", "1"),
    ("TRUSTED_PROXIES", "127.0.0.1"),
];

/// How many guesses of this many, from addresses of their own and on both replicas at once, get each status.
fn guess_at_once(replicas: &Replicas, email: &str, guesses: usize) -> BTreeMap<u16, usize> {
    let statuses = thread::scope(|scope| {
        let guesses: Vec<_> = (0..guesses)
            .map(|number| {
                let replica = replicas.both()[number % 2];
                let ip = format!("198.51.{}.{}", 100 + number / 250, number % 250);
                scope.spawn(move || replica.try_sign_in_from(&ip, email, "marked-wrong").status)
            })
            .collect();
        let statuses = guesses.into_iter().map(|guess| guess.join().unwrap());
        statuses.collect::<Vec<_>>()
    });
    let mut counts = BTreeMap::new();
    for status in statuses {
        *counts.entry(status).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a10_guesses_are_counted_by_source_and_by_account_on_both_replicas() {
    let case = Case::begin();
    let replicas = Replicas::with(&LIMITED).await;
    let (victim, other) = (
        replicas.one.register("victim"),
        replicas.two.register("other"),
    );
    let guess = |number: usize, ip: &str, email: &str| {
        replicas.both()[number % 2].try_sign_in_from(ip, email, "marked-wrong")
    };

    let replies: Vec<_> = (0..40)
        .map(|number| guess(number, "203.0.113.1", "nobody@marked.example"))
        .collect();
    let checked = replies.iter().filter(|reply| reply.status == 401).count();
    case.expect("40 from one address: checked", 10, checked);
    let refused = replies.last().unwrap();
    case.expect("the rest", "429 too_many_requests", verdict(refused));
    case.expect(
        "Retry-After",
        true,
        !refused.header("retry-after").is_empty(),
    );
    let policy = refused.header("ratelimit-policy").to_owned();
    case.expect("RateLimit-Policy", "\"auth\";q=10;w=600", policy);

    let sprayed = (0..40)
        .map(|number| {
            guess(
                number,
                "203.0.113.2",
                &format!("spray{number}@marked.example"),
            )
        })
        .filter(|reply| reply.status == 401);
    case.expect("one password, 40 accounts: checked", 10, sprayed.count());

    let counts = guess_at_once(&replicas, &victim.email, 150);
    // The registration was counted, too.
    case.expect(
        "150 addresses at once, one account: checked",
        19,
        counts[&401],
    );
    case.expect("the rest", 131, counts[&429]);
    let right = replicas
        .one
        .try_sign_in_from("203.0.113.3", &victim.email, &victim.password);
    let wrong = replicas
        .one
        .try_sign_in_from("203.0.113.3", &victim.email, "marked-wrong");
    case.expect(
        "the right password",
        "429 too_many_requests",
        verdict(&right),
    );
    let detail = |reply: &super::Reply| reply.json()["detail"].to_string();
    case.expect("what it is told", detail(&wrong), detail(&right));
    case.expect(
        "of the account's limit",
        false,
        right.head.contains("account"),
    );

    let reply = replicas
        .two
        .try_sign_in_from("203.0.113.4", &other.email, &other.password);
    case.expect("the control: another account", "200", verdict(&reply));
}

#[tokio::test]
async fn a10_guesses_that_overload_the_count_are_not_checked() {
    let case = Case::begin();
    let hurried = [LIMITED.as_slice(), &[("DB_STATEMENT_TIMEOUT_MS", "500")]].concat();
    let replicas = Replicas::with(&hurried).await;
    let victim = replicas.one.register("victim");
    let holding = "BEGIN; LOCK TABLE rate_limits IN ACCESS EXCLUSIVE MODE";
    replicas.database.batch_execute(holding).await.unwrap();

    let counts = guess_at_once(&replicas, &victim.email, 60);
    case.expect(
        "60 guesses while nothing is counted",
        "{503: 60}",
        format!("{counts:?}"),
    );
    let reply = replicas
        .one
        .try_sign_in_from("203.0.113.1", &victim.email, &victim.password);
    case.expect("the right password", "503 unavailable", verdict(&reply));
    case.expect("Retry-After", "1", reply.header("retry-after"));

    replicas.database.batch_execute("ROLLBACK").await.unwrap();
    let reply = replicas
        .two
        .try_sign_in_from("203.0.113.2", &victim.email, &victim.password);
    case.expect("the control: afterwards", "200", verdict(&reply));
}

#[tokio::test]
async fn a11_whoever_locks_an_account_locks_out_strangers_only() {
    let case = Case::begin();
    let replicas = Replicas::with(&LIMITED).await;
    let victim = replicas.one.register("victim");
    let home = "203.0.113.1";
    let signed_in = replicas
        .one
        .try_sign_in_from(home, &victim.email, &victim.password);
    let pair = super::Pair::of(&signed_in);

    let counts = guess_at_once(&replicas, &victim.email, 100);
    case.expect("guesses that were checked", 18, counts[&401]);

    for (name, replica) in [("one", &replicas.one), ("two", &replicas.two)] {
        let reply = replica.try_sign_in_from(home, &victim.email, &victim.password);
        case.expect(
            format!("{name}: from a familiar network"),
            "200",
            verdict(&reply),
        );
        let reply = replica.try_sign_in_from("203.0.113.9", &victim.email, &victim.password);
        let expected = "429 too_many_requests";
        case.expect(
            format!("{name}: from a strange one"),
            expected,
            verdict(&reply),
        );
    }
    let reply = replicas.two.me(&pair.access);
    case.expect("the session", "200", verdict(&reply));
    let reply = replicas.two.refresh(&pair.refresh);
    case.expect("a refresh", "200", verdict(&reply));
    let body = json!({"current_password": victim.password, "new_password": "marked-new-password"});
    let reply = replicas
        .one
        .send(&pair.access, "POST", "/auth/password", &body);
    case.expect("a new password", "204", verdict(&reply));
    let reply = replicas
        .two
        .try_sign_in_from(home, &victim.email, "marked-new-password");
    case.expect("a sign-in with it", "200", verdict(&reply));
}
