//! Refresh tokens, and the rule of rotation.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

/// For how long after its use a refresh token may come back because the reply to it was lost.
pub const REPLAY_WINDOW: Duration = Duration::seconds(10);

/// A refresh token: 256 random bits as the client holds them.
#[derive(Debug, Clone)]
pub struct RefreshToken(SecretString);

impl RefreshToken {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When the system has no randomness to give.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// The text for the client.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the database keeps of it.
    ///
    /// # Panics
    ///
    /// Never: what was generated is well formed.
    #[must_use]
    pub fn hash(&self) -> RefreshTokenHash {
        RefreshTokenHash::of(self.expose()).expect("what was generated is well formed")
    }
}

/// The SHA-256 of a refresh token.
///
/// The token is looked up by it. That takes no constant-time comparison: the time that a lookup takes
/// tells something about the hash, which a client cannot choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshTokenHash([u8; 32]);

impl RefreshTokenHash {
    /// The hash of what a client sent; `None` when it cannot be a token of ours in its one spelling.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(Sha256::digest(text.as_bytes()).into()))
    }

    /// As the database knows it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What is known of a refresh token that a client presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// When it was used first, if it was.
    pub used_at: Option<OffsetDateTime>,
    /// Whether another took its place before it was ever used.
    pub is_superseded: bool,
    /// Whether the token that was handed out for it has been used; `None` when there is none.
    pub successor_used: Option<bool>,
}

/// What to do with a refresh token that a client presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationDecision {
    /// It is the live one: a new one follows it.
    Rotate,
    /// The reply that carried its successor was lost: a new one takes that one's place.
    Replace,
    /// It was used before, and not because a reply was lost: two hold it, and one of them stole it.
    Reused,
    /// It was never used and never will be.
    Refused,
}

impl Presented {
    /// The rule of rotation (RFC 9700, section 4.14.2, with a window for lost replies).
    #[must_use]
    pub fn judge(self, now: OffsetDateTime) -> RotationDecision {
        if self.is_superseded {
            return RotationDecision::Refused;
        }
        let Some(used_at) = self.used_at else {
            return RotationDecision::Rotate;
        };
        if self.successor_used == Some(false) && now - used_at <= REPLAY_WINDOW {
            return RotationDecision::Replace;
        }
        RotationDecision::Reused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USED_AT: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn used(successor_used: Option<bool>) -> Presented {
        Presented {
            used_at: Some(USED_AT),
            is_superseded: false,
            successor_used,
        }
    }

    #[test]
    fn a_fresh_token_is_rotated() {
        let fresh = Presented {
            used_at: None,
            is_superseded: false,
            successor_used: None,
        };

        assert_eq!(fresh.judge(USED_AT), RotationDecision::Rotate);
    }

    #[test]
    fn a_lost_reply_is_forgiven_for_ten_seconds() {
        assert_eq!(
            used(Some(false)).judge(USED_AT + REPLAY_WINDOW),
            RotationDecision::Replace
        );
        let late = USED_AT + REPLAY_WINDOW + Duration::microseconds(1);
        assert_eq!(used(Some(false)).judge(late), RotationDecision::Reused);
    }

    #[test]
    fn once_the_successor_was_used_nothing_is_forgiven() {
        assert_eq!(used(Some(true)).judge(USED_AT), RotationDecision::Reused);
        assert_eq!(used(None).judge(USED_AT), RotationDecision::Reused);
    }

    #[test]
    fn a_superseded_token_is_refused_and_no_more() {
        let superseded = Presented {
            used_at: None,
            is_superseded: true,
            successor_used: None,
        };

        assert_eq!(superseded.judge(USED_AT), RotationDecision::Refused);
    }

    #[test]
    fn a_token_has_one_spelling() {
        let token = RefreshToken::generate();
        let text = token.expose();

        assert_eq!(text.len(), 43);
        assert_eq!(RefreshTokenHash::of(text), Some(token.hash()));
        for other in [
            format!("{text}="),
            format!(" {text}"),
            text[..42].to_owned(),
            String::new(),
        ] {
            assert_eq!(RefreshTokenHash::of(&other), None, "{other:?}");
        }
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let token = RefreshToken::generate();

        assert!(!format!("{token:?}").contains(token.expose()));
    }
}
