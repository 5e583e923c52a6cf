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
// jobs: begin
pub(super) use self::{disk::fill, postgres::DURABLE};
// jobs: end

use super::{
    case::{Case, verdict},
    support::{Reply, Service, eventually},
};

/// Settings under which an outage is noticed soon.
const IMPATIENT: [(&str, &str); 3] = [
    ("DB_STATEMENT_TIMEOUT_MS", "500"),
    ("DB_POOL_TIMEOUT_MS", "500"),
    ("DB_POOL_SIZE", "4"),
];

/// A user with an account and a session.
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
fn expect_out(case: &Case, service: &Service, member: &Member) {
    let out = "503 unavailable";
    case.expect(
        "a read meanwhile",
        out,
        verdict(&service.me(&member.access)),
    );
    case.expect(
        "a sign-in meanwhile",
        out,
        verdict(&member.sign_in(service)),
    );
    for (path, expected) in [("/live", 200), ("/ready", 503), ("/health", 503)] {
        let what = format!("{path} meanwhile");
        case.expect(what, expected, service.get(path).status);
    }
}

/// Fails unless it reads and writes again, without having been restarted.
#[track_caller]
fn expect_well(case: &Case, service: &Service, member: &Member) {
    // Each of the shared connections, and of the pool's, finds out for itself that it is of no use any more.
    eventually("reads", || {
        (0..4)
            .all(|_| service.me(&member.access).status != 503)
            .then_some(())
    });
    eventually("sign-ins", || {
        (0..4)
            .all(|_| member.sign_in(service).status != 503)
            .then_some(())
    });
    case.expect("a read afterwards", 200, service.me(&member.access).status);
    case.expect("a sign-in afterwards", 200, member.sign_in(service).status);
    eventually("readiness", || {
        (service.get("/ready").status == 200).then_some(())
    });
}
