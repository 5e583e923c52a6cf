//! The tokens in links. They are not stored: each is made again from its request, so that a mail that is sent again has
//! the same link, and whoever reads the database has no link.
//!
//! `base64url(id ‖ HMAC-SHA256(key, purpose ‖ id ‖ user ‖ time of the password ‖ mailbox))`. The key comes from each
//! `JWT_SECRET_KEY` by HKDF (RFC 5869), so it signs nothing else, and links that were sent before a rotation of the
//! secret stay good.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use uuid::Uuid;

use super::request::{MailRequestId, OpenRequest, Purpose};

/// The bytes of an id, and those of the MAC behind it.
const ID: usize = 16;
const MAC: usize = 32;

/// The keys of tokens, from the secrets that sign and verify sessions. The first makes tokens.
pub(super) struct TokenKeys(Vec<Hmac<Sha256>>);

/// A token that somebody sent, taken apart and not verified.
pub(super) struct SentToken {
    pub(super) id: MailRequestId,
    mac: [u8; MAC],
}

impl TokenKeys {
    /// Keys from these secrets, today's first. With none a random one, which verifies nothing that another process made.
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let derive = |secret: &[u8]| {
            let mut key = [0; 32];
            let derived = Hkdf::<Sha256>::new(None, secret).expand(b"mail link", &mut key);
            derived.expect("HKDF gives as much as a hash");
            Hmac::new_from_slice(&key).expect("HMAC takes keys of any length")
        };
        let mut keys: Vec<_> = secrets
            .into_iter()
            .map(|secret| derive(secret.expose_secret().as_bytes()))
            .collect();
        if keys.is_empty() {
            keys.push(derive(Uuid::new_v4().as_bytes()));
        }
        Self(keys)
    }

    /// The token of a request.
    pub(super) fn token(&self, purpose: Purpose, request: &OpenRequest) -> String {
        let mac = mac(&self.0[0], purpose, request).finalize().into_bytes();
        BASE64_URL_SAFE_NO_PAD.encode([request.id.as_uuid().as_bytes(), mac.as_slice()].concat())
    }

    /// Whether it is the token of this request, as the account is now. Takes as long whatever is wrong.
    pub(super) fn verify(&self, sent: &SentToken, purpose: Purpose, request: &OpenRequest) -> bool {
        let mut keys = self.0.iter();
        keys.any(|key| mac(key, purpose, request).verify_slice(&sent.mac).is_ok())
    }
}

impl SentToken {
    /// Takes a token apart. `None` when it is none of ours by its form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != (ID + MAC).div_ceil(3) * 4 {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, mac) = bytes.split_at_checked(ID)?;
        Some(Self {
            id: Uuid::from_slice(id).ok()?.into(),
            mac: mac.try_into().ok()?,
        })
    }
}

/// Each part has a fixed length but the mailbox, which is last, and the purpose, which ends with a zero byte.
fn mac(key: &Hmac<Sha256>, purpose: Purpose, request: &OpenRequest) -> Hmac<Sha256> {
    let changed_at = request.password_changed_at.unix_timestamp_nanos();
    let mut mac = key.clone();
    mac.update(purpose.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(request.id.as_uuid().as_bytes());
    mac.update(request.user.as_uuid().as_bytes());
    mac.update(&changed_at.to_be_bytes());
    mac.update(request.mailbox().as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::features::identity::UserId;

    fn request() -> OpenRequest {
        OpenRequest {
            id: MailRequestId::generate(),
            user: UserId::generate(),
            email: "member@example.com".to_owned(),
            new_email: None,
            password_changed_at: OffsetDateTime::UNIX_EPOCH,
            mailed_at: None,
            mails: 0,
            expires_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn keys(secrets: &[&str]) -> TokenKeys {
        let secrets: Vec<SecretString> = secrets.iter().map(|text| (*text).into()).collect();
        TokenKeys::new(&secrets)
    }

    #[test]
    fn a_token_is_the_same_each_time_and_good_for_its_own_request_alone() {
        let (keys, request) = (keys(&["one"]), request());
        let text = keys.token(Purpose::Reset, &request);
        assert_eq!(text, keys.token(Purpose::Reset, &request));
        let sent = SentToken::parse(&text).unwrap();

        assert_eq!(sent.id, request.id);
        assert!(keys.verify(&sent, Purpose::Reset, &request));
        assert!(!keys.verify(&sent, Purpose::Verify, &request));
        let mut others = vec![request.clone(); 5];
        others[0].id = MailRequestId::generate();
        others[1].user = UserId::generate();
        others[2].email = "other@example.com".to_owned();
        others[3].new_email = Some("other@example.com".to_owned());
        others[4].password_changed_at += time::Duration::MICROSECOND;
        for other in others {
            assert!(!keys.verify(&sent, Purpose::Reset, &other), "{other:?}");
        }
        // Mails and times of the mail change nothing.
        let later = OpenRequest {
            mails: 3,
            mailed_at: Some(request.expires_at),
            ..request
        };
        assert!(keys.verify(&sent, Purpose::Reset, &later));
    }

    #[test]
    fn a_rotation_of_the_secret_leaves_links_good_and_another_secret_does_not() {
        let request = request();
        let text = keys(&["old"]).token(Purpose::Verify, &request);
        let sent = SentToken::parse(&text).unwrap();

        assert!(keys(&["new", "old"]).verify(&sent, Purpose::Verify, &request));
        assert!(!keys(&["new"]).verify(&sent, Purpose::Verify, &request));
        assert!(!keys(&[]).verify(&sent, Purpose::Verify, &request));
        assert_ne!(keys(&["new", "old"]).token(Purpose::Verify, &request), text);
    }

    #[test]
    fn what_is_no_token_is_none() {
        let good = keys(&["one"]).token(Purpose::Reset, &request());
        assert!(SentToken::parse(&good).is_some());
        for bad in [
            "",
            "a",
            &good[1..],
            &format!("{good}A"),
            &good.replacen(|_: char| true, "+", 1),
            &format!("{good}="),
        ] {
            assert!(SentToken::parse(bad).is_none(), "{bad}");
        }
    }
}
