//! What stands in every secret, password, token and address that tests use.

/// What no reply may hold, whoever asks.
const SECRETS: [&str; 3] = ["marked-password", "marked-secret", "marked-dsn"];

/// What no log line, metric or refusal may hold, either: addresses, and the Base64 of `{"`, which tokens begin with.
const PERSONAL: [&str; 2] = ["@marked.example", "eyJ"];

/// The secret that stands in this text.
pub fn secret_in(text: &str) -> Option<&'static str> {
    SECRETS.into_iter().find(|mark| text.contains(mark))
}

/// The secret, address or token that stands in this text.
pub fn mark_in(text: &str) -> Option<&'static str> {
    let personal = || PERSONAL.into_iter().find(|mark| text.contains(mark));
    // api_keys: begin
    if let Some(prefix) = key_in(text) {
        return Some(prefix);
    }
    // api_keys: end
    secret_in(text).or_else(personal)
}

// api_keys: begin
/// The prefix of a key, when a whole key stands in this text.
fn key_in(text: &str) -> Option<&'static str> {
    use warp_skeleton::features::api_keys::{ApiKey, PREFIX};

    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_key = |word: &str| ApiKey::parse(word).is_some();
    words.any(is_key).then_some(PREFIX)
}
// api_keys: end
