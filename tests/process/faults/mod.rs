//! What the service depends on fails, and what it does about it.
//!
//! Each test has a PostgreSQL of its own, because it breaks it.

mod disk;
mod failover;
mod killed;
mod postgres;
mod rolling;

use serde_json::{Value, json};

pub(super) use self::postgres::Server;

use super::support::{Reply, Service, ask, eventually};

/// Settings under which an outage is noticed soon.
const IMPATIENT: [(&str, &str); 3] = [
    ("DB_STATEMENT_TIMEOUT_MS", "500"),
    ("DB_POOL_TIMEOUT_MS", "500"),
    ("DB_POOL_SIZE", "4"),
];

/// Somebody with an account and a session.
struct Member {
    credentials: Value,
    access: String,
    refresh: String,
}

impl Member {
    /// Registers and signs in.
    #[track_caller]
    fn join(service: &Service, email: &str) -> Self {
        let credentials = json!({"email": email, "password": "marked-password-1"});
        let registered = service.post("/auth/register", None, &credentials);
        assert_eq!(registered.status, 201, "{}", registered.body);
        let signed_in = service.post("/auth/token", None, &credentials);
        assert_eq!(signed_in.status, 200, "{}", signed_in.body);
        let tokens = signed_in.json();
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self {
            credentials,
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }

    fn sign_in(&self, service: &Service) -> Reply {
        service.post("/auth/token", None, &self.credentials)
    }
}

/// Fails unless the service says of a read, a sign-in and its own readiness that the database is out, and lives.
#[track_caller]
fn assert_out(service: &Service, member: &Member) {
    for reply in [service.me(&member.access), member.sign_in(service)] {
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert_eq!(reply.json()["code"], "unavailable");
    }
    assert_eq!(service.get("/live").status, 200);
    assert_eq!(service.get("/ready").status, 503);
    assert_eq!(ask(service.port(), "GET", "/health", &[], "").status, 503);
}

/// Fails unless it reads and writes again.
#[track_caller]
fn assert_well(service: &Service, member: &Member) {
    assert_eq!(service.me(&member.access).status, 200);
    assert_eq!(member.sign_in(service).status, 200);
    eventually("readiness", || {
        (service.get("/ready").status == 200).then_some(())
    });
}
