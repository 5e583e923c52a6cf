//! Forged, altered, replayed and outlived tokens.

mod forgeries;
mod lifetimes;
mod rotation;

use jsonwebtoken::Algorithm::HS256;
use serde_json::Value;

use super::{Account, Case, Pair, Replicas, claims_of, forge, plain, verdict};
use crate::support::SECRET;

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

/// Makes every use of a refresh token this many seconds older, and what is kept of its successor, too.
async fn age(replicas: &Replicas, seconds: u32) {
    let sql = format!(
        "
UPDATE refresh_tokens
SET used_at = used_at - interval '{seconds} s', masked_until = masked_until - interval '{seconds} s'"
    );
    replicas.execute(&sql).await;
}
