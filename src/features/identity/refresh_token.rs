//! Refresh tokens, and the rule of rotation.
//!
//! # A token that comes back
//!
//! A refresh token is good for one exchange, and so that a stolen one is noticed, one that comes back ends its session.
//! But tokens come back without a thief, too: a reply is lost and the client tries again, or two tabs of a browser find
//! the access token expired at the same moment. For [`REPLAY_WINDOW`] after its first use a token therefore gets **the
//! same successor** again, with a new access token, however often it comes and whatever became of that successor since.
//! So a session has one chain of tokens and never two branches; who presents a token twice learns nothing that its first
//! reply did not say; and a thief and the owner of a token end up with one successor, which the slower of the two
//! presents late, and that ends the session.
//!
//! # How the successor is kept
//!
//! It is random, so no token lets anyone compute a later one. For the time of the window the row of the presented token
//! keeps it as a [`MaskedToken`]: XOR HMAC-SHA256, keyed by the presented token itself. The database has only the hash of
//! that one, so the mask is worth nothing without the token, and needs no key of the service's that may be changed, or
//! differ between replicas. Each mask is made once: a token is used for the first time once, and has 256 random bits.
//! The next rotation of the session and [`sweep_masks`](super::sweep_masks) erase what is older than the window.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

/// For how long after its first use a refresh token gets the same successor again.
pub const REPLAY_WINDOW: Duration = Duration::seconds(10);

/// What the mask of a successor is the HMAC of: for another purpose another text would be taken.
const MASK_CONTEXT: &[u8] = b"refresh token successor";

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
        Self::of(bytes)
    }

    /// What a client sent; `None` when it cannot be a token of ours in its one spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(text.to_owned().into()))
    }

    /// The text for the client.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the database keeps of it.
    #[must_use]
    pub fn hash(&self) -> RefreshTokenHash {
        RefreshTokenHash(Sha256::digest(self.expose().as_bytes()).into())
    }

    /// A successor as the row of this token keeps it.
    #[must_use]
    pub fn mask(&self, successor: &Self) -> MaskedToken {
        MaskedToken(self.masked(successor.bytes()))
    }

    /// The successor that [`RefreshToken::mask`] of this token has masked.
    #[must_use]
    pub fn unmask(&self, masked: MaskedToken) -> Self {
        Self::of(self.masked(masked.0))
    }

    /// These bytes XOR what only the holder of this token can compute. It is its own inverse.
    fn masked(&self, mut bytes: [u8; 32]) -> [u8; 32] {
        let key = Hmac::<Sha256>::new_from_slice(&self.bytes());
        let mut mac = key.expect("an HMAC takes a key of any length");
        mac.update(MASK_CONTEXT);
        for (byte, mask) in bytes.iter_mut().zip(mac.finalize().into_bytes()) {
            *byte ^= mask;
        }
        bytes
    }

    fn of(bytes: [u8; 32]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes).into())
    }

    fn bytes(&self) -> [u8; 32] {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(self.expose()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.expect("a token was generated here or parsed")
    }
}

/// The SHA-256 of a refresh token.
///
/// The token is looked up by it. That takes no constant-time comparison: the time that a lookup takes
/// tells something about the hash, which a client cannot choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RefreshTokenHash([u8; 32]);

impl RefreshTokenHash {
    /// As the database knows it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A refresh token that only the holder of the one before it can read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MaskedToken([u8; 32]);

impl MaskedToken {
    /// As the database keeps it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for MaskedToken {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

impl fmt::Debug for MaskedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskedToken(…)")
    }
}

/// What is known of a refresh token that a client presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// When it was used first, if it was.
    pub used_at: Option<OffsetDateTime>,
    /// Whether a replica of the release before gave its place to another before it was ever used.
    pub is_superseded: bool,
    /// What became of its successor.
    pub successor: Successor,
}

/// What became of the successor of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successor {
    /// It has none, or a replica of the release before handed it out, which keeps none.
    NotKept,
    /// It was handed out so recently that the token may have it again.
    Kept(MaskedToken),
    /// It was handed out longer ago than [`REPLAY_WINDOW`], by PostgreSQL's clock.
    Past,
}

/// What to do with a refresh token that a client presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationDecision {
    /// It is the live one: a new one follows it.
    Rotate,
    /// It was used a moment ago: it gets the same successor again.
    Repeat(MaskedToken),
    /// It was used before, and not a moment ago: two hold it, and one of them stole it.
    Reused,
    /// It is good for nothing, and proves nothing.
    Refused,
}

impl Presented {
    /// The rule of rotation (RFC 9700, section 4.14.2, with a window for lost replies).
    ///
    /// What a replica of the release before did is nobody's fault: a token that it superseded, or one whose successor it
    /// handed out a moment ago by the service's clock, is refused and ends nothing.
    #[must_use]
    pub fn judge(self, now: OffsetDateTime) -> RotationDecision {
        let Some(used_at) = self.used_at else {
            if self.is_superseded {
                return RotationDecision::Refused;
            }
            return RotationDecision::Rotate;
        };
        match self.successor {
            Successor::Kept(masked) => RotationDecision::Repeat(masked),
            Successor::NotKept if self.is_superseded || now - used_at <= REPLAY_WINDOW => {
                RotationDecision::Refused
            }
            Successor::NotKept | Successor::Past => RotationDecision::Reused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USED_AT: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const LATE: OffsetDateTime = USED_AT.saturating_add(Duration::microseconds(10_000_001));

    fn presented(used_at: Option<OffsetDateTime>, successor: Successor) -> Presented {
        Presented {
            used_at,
            is_superseded: false,
            successor,
        }
    }

    #[test]
    fn a_fresh_token_is_rotated() {
        let fresh = presented(None, Successor::NotKept);

        assert_eq!(fresh.judge(USED_AT), RotationDecision::Rotate);
    }

    #[test]
    fn while_its_successor_is_kept_a_used_token_gets_it_again() {
        let masked = MaskedToken([7; 32]);
        let kept = presented(Some(USED_AT), Successor::Kept(masked));

        // Whatever the service's clock says: the window is PostgreSQL's.
        for now in [USED_AT, LATE, USED_AT - Duration::HOUR] {
            assert_eq!(kept.judge(now), RotationDecision::Repeat(masked));
        }
    }

    #[test]
    fn a_used_token_whose_successor_is_not_kept_any_more_is_reused() {
        let past = presented(Some(USED_AT), Successor::Past);

        for now in [USED_AT, LATE] {
            assert_eq!(past.judge(now), RotationDecision::Reused);
        }
    }

    #[test]
    fn what_the_release_before_rotated_a_moment_ago_is_refused_and_later_reused() {
        let unmasked = presented(Some(USED_AT), Successor::NotKept);

        let at_the_end = unmasked.judge(USED_AT + REPLAY_WINDOW);

        assert_eq!(at_the_end, RotationDecision::Refused);
        assert_eq!(unmasked.judge(LATE), RotationDecision::Reused);
    }

    #[test]
    fn a_superseded_token_is_refused_and_no_more() {
        for used_at in [None, Some(USED_AT)] {
            let superseded = Presented {
                is_superseded: true,
                ..presented(used_at, Successor::NotKept)
            };

            for now in [USED_AT, LATE] {
                assert_eq!(superseded.judge(now), RotationDecision::Refused);
            }
        }
    }

    #[test]
    fn only_the_token_that_masked_a_successor_reads_it() {
        let [token, other, successor] = [(); 3].map(|()| RefreshToken::generate());

        let masked = token.mask(&successor);

        assert_eq!(token.unmask(masked).expose(), successor.expose());
        assert_ne!(other.unmask(masked).expose(), successor.expose());
        assert_ne!(masked.as_bytes(), successor.bytes());
        // The mask of one successor is none of another.
        assert_ne!(masked, token.mask(&other));
    }

    #[test]
    fn the_mask_is_what_rfc_2104_computes() {
        // From `printf 'refresh token successor' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0000…00`, XOR zeros.
        let zeros = RefreshToken::of([0; 32]);

        let masked = zeros.mask(&RefreshToken::of([0; 32]));

        let hex = format!("{:02x?}", masked.0).replace(['[', ',', ' ', ']'], "");
        assert_eq!(
            hex,
            "6d6010e117bcfc3d82fb2e1ec9350a1ab8a7f8a53fb94de23b89e990d892fd92"
        );
    }

    #[test]
    fn a_token_has_one_spelling() {
        let token = RefreshToken::generate();
        let text = token.expose();

        assert_eq!(text.len(), 43);
        let parsed = RefreshToken::parse(text).map(|parsed| parsed.hash());
        assert_eq!(parsed, Some(token.hash()));
        for other in [
            format!("{text}="),
            format!(" {text}"),
            text[..42].to_owned(),
            String::new(),
        ] {
            assert!(RefreshToken::parse(&other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let token = RefreshToken::generate();
        let masked = token.mask(&token);

        assert!(!format!("{token:?}").contains(token.expose()));
        assert_eq!(format!("{masked:?}"), "MaskedToken(…)");
    }
}
