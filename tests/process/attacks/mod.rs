//! Known attacks, tried through real sockets on two replicas of the built program over one database.
//!
//! Each test is one case, named by the attack's number and the claim that it tests. Among forgeries there is
//! always a control that succeeds, so that what is refused is refused for the right reason, and the database is
//! looked at afterwards. `scripts/attack` prints what was expected and seen as a table.

mod accounts;
mod administration;
mod meanwhile;
mod requests;
mod streams;
mod tokens;
mod wire;

use std::{io::Write, net::TcpStream, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio_postgres::{
    Client,
    types::{FromSqlOwned, ToSql},
};

use super::{
    case::{Case, verdict},
    cluster,
    support::{self, Reply, Service, connect, rest_of},
};

/// Texts that would do something as a part of a statement.
const SQL: [&str; 8] = [
    "'; DROP TABLE users; --",
    "' OR '1'='1",
    "\\",
    "$1",
    "%",
    "_",
    "$$x$$",
    "\u{2019} OR 1=1",
];

/// The same with the rule that was broken first, and where.
fn broken_rule(reply: &Reply) -> String {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let error = &body["errors"][0];
    match (error["code"].as_str(), error["pointer"].as_str()) {
        (Some(code), Some(pointer)) => format!("{} {code} {pointer}", reply.status),
        _ => verdict(reply),
    }
}

/// The status of a raw answer with its problem's code, or how the connection ended without one.
fn raw_verdict(text: &str) -> String {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return if text.is_empty() {
            "closed".to_owned()
        } else {
            format!("{text:?}")
        };
    };
    let status = head.split(' ').nth(1).unwrap_or_default();
    let status = status.lines().next().unwrap_or_default();
    let code = body
        .split("\"code\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    match code {
        Some(code) => format!("{status} {code}"),
        None => status.to_owned(),
    }
}

/// Two replicas over one database.
struct Replicas {
    one: Replica,
    two: Replica,
    database: Client,
}

/// One of them.
struct Replica {
    service: Service,
    port: u16,
}

/// A user with an account.
struct Account {
    id: String,
    email: String,
    password: String,
}

/// What signing in gave.
struct Pair {
    access: String,
    refresh: String,
}

impl Replicas {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With some settings changed on both.
    async fn with(settings: &[(&str, &str)]) -> Self {
        let url = cluster::new_database().await;
        Self::over(&url, settings, settings).await
    }

    /// Over this database, each with settings of its own.
    async fn over(url: &str, one: &[(&str, &str)], two: &[(&str, &str)]) -> Self {
        let spawn = |settings: &[(&str, &str)]| {
            let settings = [&[("RATE_LIMIT", "off")], settings].concat();
            Service::spawn(url, &settings, &[])
        };
        let (one, two) = (spawn(one), spawn(two));
        Self {
            one: Replica::of(one),
            two: Replica::of(two),
            database: cluster::connect(url).await,
        }
    }

    fn both(&self) -> [&Replica; 2] {
        [&self.one, &self.two]
    }

    /// The one value that the query asks for.
    async fn value<T: FromSqlOwned>(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> T {
        self.database
            .query_one(sql, parameters)
            .await
            .unwrap()
            .get(0)
    }

    async fn execute(&self, sql: &str) -> u64 {
        self.database.execute(sql, &[]).await.unwrap()
    }

    /// A new account with this role.
    async fn user(&self, name: &str, role: &str) -> Account {
        let account = self.one.register(name);
        let sql = "UPDATE users SET role = $2 WHERE email = $1";
        self.database
            .execute(sql, &[&account.email, &role])
            .await
            .unwrap();
        account
    }

    /// What became of each session of an account, oldest first: `live`, or why it was revoked.
    async fn sessions_of(&self, account: &Account) -> String {
        let sql = "
SELECT coalesce(string_agg(coalesce(revoked_for, 'live'), ' ' ORDER BY s.created_at, s.id), 'none')
FROM sessions AS s
JOIN users AS u ON u.id = s.user_id
WHERE u.email = $1";
        self.value(sql, &[&account.email]).await
    }

    /// How many refresh tokens could still be used.
    async fn live_branches(&self) -> i64 {
        let sql = "
SELECT count(*)
FROM refresh_tokens AS t
JOIN sessions AS s ON s.id = t.session_id
WHERE t.used_at IS NULL AND t.superseded_at IS NULL AND s.revoked_at IS NULL";
        self.value(sql, &[]).await
    }

    /// Waits until this many statements wait for a lock.
    async fn waiting(&self, count: i64) {
        let sql = "
SELECT count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'";
        for _ in 0..2_000 {
            if self.value::<i64>(sql, &[]).await == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never did {count} statements wait for a lock");
    }

    /// What the database holds, in a line that changes when anything of it does.
    async fn holdings(&self) -> String {
        let sql = "
SELECT format('%s accounts, %s live sessions, %s ended, %s refresh tokens, %s used; %s',
    (SELECT count(*) FROM users),
    (SELECT count(*) FROM sessions WHERE revoked_at IS NULL),
    (SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL),
    (SELECT count(*) FROM refresh_tokens),
    (SELECT count(*) FROM refresh_tokens WHERE used_at IS NOT NULL),
    (SELECT left(md5(coalesce(string_agg(u::text, ',' ORDER BY id), '')), 8) FROM users AS u))";
        self.value(sql, &[]).await
    }
}

impl Replica {
    fn of(service: Service) -> Self {
        service.await_line("ready");
        let port = service.port();
        Self { service, port }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        support::ask(self.port, method, path, headers, body)
    }

    /// Sends a body that is perhaps no JSON, as JSON.
    #[track_caller]
    fn post(&self, path: &str, body: &str) -> Reply {
        self.ask("POST", path, &[("Content-Type", "application/json")], body)
    }

    /// Sends JSON with this token.
    #[track_caller]
    fn send(&self, token: &str, method: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
        ];
        self.ask(method, path, &headers, &body.to_string())
    }

    #[track_caller]
    fn get(&self, token: &str, path: &str) -> Reply {
        self.ask(
            "GET",
            path,
            &[("Authorization", &format!("Bearer {token}"))],
            "",
        )
    }

    #[track_caller]
    fn me(&self, token: &str) -> Reply {
        self.get(token, "/auth/me")
    }

    #[track_caller]
    fn refresh(&self, token: &str) -> Reply {
        self.post(
            "/auth/refresh",
            &json!({"refresh_token": token}).to_string(),
        )
    }

    /// The answer to signing in.
    #[track_caller]
    fn try_sign_in(&self, email: &str, password: &str) -> Reply {
        self.post(
            "/auth/token",
            &json!({"email": email, "password": password}).to_string(),
        )
    }

    /// The answer to signing in from this address, behind a proxy that is believed.
    #[track_caller]
    fn try_sign_in_from(&self, ip: &str, email: &str, password: &str) -> Reply {
        let body = json!({"email": email, "password": password}).to_string();
        let headers = [
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", ip),
        ];
        self.ask("POST", "/auth/token", &headers, &body)
    }

    #[track_caller]
    fn sign_in(&self, account: &Account) -> Pair {
        Pair::of(&self.try_sign_in(&account.email, &account.password))
    }

    /// A new account, with the least role.
    #[track_caller]
    fn register(&self, name: &str) -> Account {
        let (email, password) = (
            format!("{name}@marked.example"),
            format!("marked-password-{name}"),
        );
        let body = json!({"email": email, "password": password}).to_string();
        let reply = self.post("/auth/register", &body);
        assert_eq!(reply.status, 201, "{}", reply.body);
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        Account {
            id,
            email,
            password,
        }
    }

    /// Says these bytes on a connection of their own and hears what comes until it closes.
    fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = connect(self.port);
        // It may be closed before everything was said: the answer tells why.
        let _ = stream.write_all(bytes.as_ref());
        rest_of(stream)
    }

    /// The value of one series, 0 when there is none.
    fn metric(&self, series: &str) -> f64 {
        let metrics = self.ask("GET", "/metrics", &[], "").body;
        let value = metrics.lines().find_map(|line| line.strip_prefix(series));
        value.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Whether a line of its log says this of an account's affairs, once everything is written.
    fn noted(&self, event: &str, outcome: &str) -> bool {
        let lines = self.service.lines();
        lines
            .iter()
            .any(|line| line["event"] == event && line["outcome"] == outcome)
    }
}

impl Pair {
    #[track_caller]
    fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{}", reply.body);
        let tokens = reply.json();
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

/// A request that is sent whole, on a connection whose end is the caller's to choose.
fn begin(port: u16, path: &str, body: &str) -> TcpStream {
    let mut stream = connect(port);
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Part of a token, in the spelling of tokens.
fn encoded(part: impl AsRef<[u8]>) -> String {
    BASE64.encode(part)
}

/// What a token says.
fn claims_of(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
}

/// A token made of these parts and signed with this key, whatever its header says.
fn forge(header: &Value, claims: &Value, key: &[u8], algorithm: Algorithm) -> String {
    let message = format!(
        "{}.{}",
        encoded(header.to_string()),
        encoded(claims.to_string())
    );
    let key = EncodingKey::from_secret(key);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// The header of our own tokens.
fn plain() -> Value {
    json!({"alg": "HS256", "typ": "at+jwt"})
}

/// The same value with one member replaced, or taken away when there is none.
fn with(mut value: Value, name: &str, member: impl Into<Option<Value>>) -> Value {
    let members = value.as_object_mut().unwrap();
    match member.into() {
        Some(member) => members.insert(name.to_owned(), member),
        None => members.remove(name),
    };
    value
}
