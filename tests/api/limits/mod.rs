//! What happens to those who come too eagerly.

mod account;
mod api;
mod failure;
mod networks;
mod source;
mod sweep;

use serde_json::json;

use crate::support::{Answer, TestApp};

/// Tokens that come back so slowly that none does during a test.
const SLOW: [(&str, &str); 4] = [
    ("RATE_LIMIT", "on"),
    ("RATE_LIMIT_AUTH_PER_MINUTE", "1"),
    ("RATE_LIMIT_ACCOUNT_PER_MINUTE", "1"),
    ("RATE_LIMIT_API_PER_MINUTE", "1"),
];

/// A service with limits, of which a test mentions those it is about.
async fn limited(settings: &[(&str, &str)]) -> TestApp {
    TestApp::with(&[&SLOW, settings].concat()).await
}

/// The answer to signing in from an address.
async fn try_sign_in_from(app: &TestApp, ip: &str, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    app.post("/auth/token").from(ip).json(&body).send().await
}

/// The statuses of so many attempts to sign in with a wrong password from an address.
async fn guess_from(app: &TestApp, ip: &str, email: &str, times: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        let answer = try_sign_in_from(app, ip, email, "marked-wrong-password").await;
        statuses.push(answer.status.as_u16());
    }
    statuses
}

/// Lets the buckets of all replicas fill for so many seconds.
///
/// What one process counts goes by the service's clock, what all share by PostgreSQL's.
async fn let_fill(app: &TestApp, seconds: i64) {
    app.advance(time::Duration::seconds(seconds));
    let earlier = "UPDATE rate_limits SET full_at = full_at - make_interval(secs => $1)";
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let seconds = seconds as f64;
    app.database()
        .await
        .execute(earlier, &[&seconds])
        .await
        .unwrap();
}
