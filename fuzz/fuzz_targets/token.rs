//! Access tokens: what is not signed is refused, and what is signed is taken only when everything in it is right.

#![no_main]

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use warp_skeleton::{
    features::identity::AccessTokens,
    settings::{self, Settings},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_800_000_000;

static TOKENS: LazyLock<AccessTokens> = LazyLock::new(|| {
    let values = settings::values([("JWT_SECRET_KEY", SECRET)]).expect("the pairs are settings");
    AccessTokens::new(
        &Settings::read(&values)
            .expect("the settings can be used")
            .auth,
    )
});

/// A token that consists of these two texts and is signed with our own key.
fn signed(header: &str, claims: &str) -> String {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = sign(message.as_bytes(), &key, Algorithm::HS256).expect("any key will do");
    format!("{message}.{signature}")
}

fuzz_target!(|text: &str| {
    let now = OffsetDateTime::from_unix_timestamp(NOW).expect("it is a time");
    assert!(
        TOKENS.verify(text, now).is_err(),
        "an unsigned token was accepted"
    );
    let Some((header, claims)) = text.split_once('\n') else {
        return;
    };
    let Ok(bearer) = TOKENS.verify(&signed(header, claims), now) else {
        return;
    };
    let header: Value = serde_json::from_str(header).expect("a header is JSON");
    assert_eq!(
        (header["alg"].as_str(), header["typ"].as_str()),
        (Some("HS256"), Some("at+jwt"))
    );
    assert!(bearer.expires_at >= now - Duration::seconds(5));
    assert!(bearer.expires_at <= now + Duration::seconds(5) + Duration::days(90));
    let claims: Value = serde_json::from_str(claims).expect("claims are JSON");
    assert_eq!(claims["aud"], "warp-skeleton");
    assert_eq!(claims["iss"], "warp-skeleton");
});
