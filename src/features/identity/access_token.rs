//! Access tokens: signed, short-lived, and accepted only while their session lives.

use std::{fmt, sync::Arc};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{SessionId, UserId, settings::AuthSettings, token_cache::TokenCache};

/// The longest token that is looked at, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// How far the clocks of signer and verifier may be apart, in seconds.
const LEEWAY: i64 = 5;

/// The one algorithm that is signed by and verified.
const ALGORITHM: Algorithm = Algorithm::HS256;

/// The `typ` of an access token, which tells it from other kinds of JWT (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";

/// What a token says. All claims are required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    jti: Uuid,
    sid: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// What a token says whose signature, kind, issuer and audience are right.
#[derive(Debug, Clone, Copy)]
struct Signed {
    user: Uuid,
    session: Uuid,
    issued_at: i64,
    not_before: i64,
    expires_at: i64,
}

/// What a token proves once its signature and times are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessClaims {
    /// The user it was made for.
    pub user_id: UserId,
    /// The session it belongs to: whether that still lives is another question.
    pub session_id: SessionId,
    /// When it expires.
    pub expires_at: OffsetDateTime,
}

/// A signed token.
#[derive(Clone)]
pub struct AccessToken {
    /// The compact form.
    pub text: String,
    /// How long it lives from the moment it was made.
    pub lifetime: Duration,
}

/// Not a token of ours, or not any more. The client is not told why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access token is not valid")]
pub struct InvalidToken;

/// Signs and verifies; clones share the keys.
#[derive(Clone)]
pub struct AccessTokens(Arc<Keys>);

struct Keys {
    signing: EncodingKey,
    /// The current key first.
    verifying: Vec<DecodingKey>,
    verified: TokenCache<Signed>,
    validation: Validation,
    issuer: String,
    audience: String,
    lifetime: Duration,
    max_lifetime: Duration,
}

impl AccessTokens {
    /// Keys from the settings; a random one when they have none, as in tests.
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    #[must_use]
    pub fn new(settings: &AuthSettings) -> Self {
        let mut random = [0; 32];
        getrandom::fill(&mut random).expect("the system has randomness");
        let secret = settings.secret.as_ref().map(ExposeSecret::expose_secret);
        let secret = secret.map_or(&random[..], str::as_bytes);
        let previous = settings
            .previous_secrets
            .iter()
            .map(ExposeSecret::expose_secret);
        let verifying = std::iter::once(secret).chain(previous.map(str::as_bytes));
        Self(Arc::new(Keys {
            signing: EncodingKey::from_secret(secret),
            verifying: verifying.map(DecodingKey::from_secret).collect(),
            verified: TokenCache::new(),
            validation: validation(&settings.issuer, &settings.audience),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            lifetime: settings
                .access_token_lifetime
                .try_into()
                .unwrap_or(Duration::MAX),
            max_lifetime: settings
                .session_lifetime
                .try_into()
                .unwrap_or(Duration::MAX),
        }))
    }

    /// Signs a token of the usual lifetime that does not outlive its session.
    ///
    /// # Panics
    ///
    /// Never in practice: an HMAC takes a key of any length, and claims always serialize.
    #[must_use]
    pub fn sign(
        &self,
        user_id: UserId,
        session_id: SessionId,
        session_end: OffsetDateTime,
        now: OffsetDateTime,
    ) -> AccessToken {
        self.sign_until(
            user_id,
            session_id,
            session_end.min(now + self.0.lifetime),
            now,
        )
    }

    /// Signs a token that expires at `expires_at`, cut to whole seconds.
    ///
    /// # Panics
    ///
    /// Never in practice: an HMAC takes a key of any length, and claims always serialize.
    #[must_use]
    pub fn sign_until(
        &self,
        user_id: UserId,
        session_id: SessionId,
        expires_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> AccessToken {
        let issued_at = now.unix_timestamp();
        let expires_at = expires_at.unix_timestamp();
        let claims = Claims {
            iss: self.0.issuer.clone(),
            aud: self.0.audience.clone(),
            sub: *user_id.as_uuid(),
            jti: Uuid::new_v4(),
            sid: *session_id.as_uuid(),
            iat: issued_at,
            nbf: issued_at,
            exp: expires_at,
        };
        let mut header = Header::new(ALGORITHM);
        header.typ = Some(TYPE.to_owned());
        let text = jsonwebtoken::encode(&header, &claims, &self.0.signing);
        AccessToken {
            text: text.expect("claims serialize and any bytes make an HMAC key"),
            lifetime: Duration::seconds(expires_at - issued_at),
        }
    }

    /// Verifies a token (RFC 8725): signature, kind, issuer, audience and times.
    ///
    /// The library's checked path comes first: [`jsonwebtoken::decode`] reads the header, accepts no other algorithm
    /// than ours, verifies the signature with one key after the other, and only then reads the claims. The header is
    /// therefore parsed before the signature is verified, which an unsigned token can reach; it decides nothing but
    /// whether its `alg` is the one that we use anyway.
    ///
    /// The rest is checked here. The clock is an argument, so the library's own clock checks are off. It would also
    /// accept an issuer or an audience in a list and ignores most of the header; `Claims` has neither as a
    /// list, and `is_plain` refuses header parameters that we never write.
    ///
    /// All of that is done once for a token that passes (`TokenCache`); its times are checked each time.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] whatever is wrong.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<AccessClaims, InvalidToken> {
        let claims = self.verify_even_expired(token, now)?;
        let expires_at = claims.expires_at.unix_timestamp();
        if expires_at.saturating_add(LEEWAY) < now.unix_timestamp() {
            return Err(InvalidToken);
        }
        Ok(claims)
    }

    /// Verifies a token as [`AccessTokens::verify`] does, but for the time at which it expires: for its holder, who signs out.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] whatever else is wrong.
    pub fn verify_even_expired(
        &self,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<AccessClaims, InvalidToken> {
        if token.len() > MAX_LENGTH {
            return Err(InvalidToken);
        }
        let keys = &self.0;
        let signed = keys.verified.get_or_verify(token, || keys.decode(token));
        let signed = signed.ok_or(InvalidToken)?;
        let now = now.unix_timestamp();
        let has_begun = signed.not_before <= now + LEEWAY && signed.issued_at <= now + LEEWAY;
        let lifetime = signed.expires_at.saturating_sub(signed.issued_at);
        if !has_begun || lifetime > keys.max_lifetime.whole_seconds() {
            return Err(InvalidToken);
        }
        Ok(AccessClaims {
            user_id: signed.user.into(),
            session_id: signed.session.into(),
            expires_at: OffsetDateTime::from_unix_timestamp(signed.expires_at)
                .map_err(|_| InvalidToken)?,
        })
    }
}

impl Keys {
    /// What the token says, if one of the keys signed it, it is of our kind, and issuer and audience are ours.
    fn decode(&self, token: &str) -> Option<Signed> {
        let decode = |key| jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok();
        let token = self.verifying.iter().find_map(decode)?;
        let claims = token.claims;
        is_plain(&token.header).then_some(Signed {
            user: claims.sub,
            session: claims.sid,
            issued_at: claims.iat,
            not_before: claims.nbf,
            expires_at: claims.exp,
        })
    }
}

/// What the library is to check. Times are checked by [`AccessTokens::verify`], against the clock it is given.
fn validation(issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(ALGORITHM);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

/// Our kind of token, with nothing in its header that would change how it is read or point elsewhere.
fn is_plain(header: &Header) -> bool {
    header.typ.as_deref() == Some(TYPE)
        && header.crit.is_none()
        && header.zip.is_none()
        && header.enc.is_none()
        && header.cty.is_none()
        && header.jku.is_none()
        && header.jwk.is_none()
        && header.x5u.is_none()
        && header.x5c.is_none()
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens")
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use chassis_settings::Section;
    use jsonwebtoken::crypto;
    use serde_json::{Value, json};

    use super::*;
    use crate::settings;

    const NOW: i64 = 1_800_000_000;
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn tokens(pairs: &[(&str, &str)]) -> AccessTokens {
        let values = settings::values(pairs.iter().copied()).unwrap();
        AccessTokens::new(&AuthSettings::read(&values).unwrap())
    }

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn good() -> Value {
        json!({
            "iss": "warp-skeleton", "aud": "warp-skeleton", "sub": Uuid::new_v4(), "jti": Uuid::new_v4(),
            "sid": Uuid::new_v4(), "iat": NOW, "nbf": NOW, "exp": NOW + 60,
        })
    }

    fn forge(header: &Value, claims: &Value) -> bool {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
        let part = |value: &Value| BASE64.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
        let token = format!("{message}.{}", signature.unwrap());
        tokens(&[("JWT_SECRET_KEY", SECRET)])
            .verify(&token, at(NOW))
            .is_ok()
    }

    fn header() -> Value {
        json!({"alg": "HS256", "typ": "at+jwt"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    fn signed_by(tokens: &AccessTokens) -> String {
        let (user, session) = (UserId::generate(), SessionId::generate());
        tokens.sign(user, session, at(NOW + 60), at(NOW)).text
    }

    #[test]
    fn a_token_of_ours_is_taken_until_it_expires() {
        let tokens = tokens(&[("JWT_SECRET_KEY", SECRET)]);
        let (user, session) = (UserId::generate(), SessionId::generate());

        let token = tokens.sign(user, session, at(NOW + 86_400), at(NOW));

        assert_eq!(token.lifetime, Duration::minutes(15));
        let bearer = tokens.verify(&token.text, at(NOW + 905)).unwrap();
        assert_eq!((bearer.user_id, bearer.session_id), (user, session));
        assert_eq!(tokens.verify(&token.text, at(NOW + 906)), Err(InvalidToken));
        let expired = tokens.verify_even_expired(&token.text, at(NOW + 86_400));
        assert_eq!(expired, Ok(bearer));
        let too_early = tokens.verify_even_expired(&token.text, at(NOW - 6));
        assert_eq!(too_early, Err(InvalidToken));
        let whoever_knows_most_of_it = &token.text[..token.text.len() - 1];
        assert_eq!(
            tokens.verify(whoever_knows_most_of_it, at(NOW)),
            Err(InvalidToken)
        );
    }

    #[test]
    fn a_token_does_not_outlive_its_session() {
        let tokens = tokens(&[("JWT_SECRET_KEY", SECRET)]);

        let token = tokens.sign(
            UserId::generate(),
            SessionId::generate(),
            at(NOW + 30),
            at(NOW),
        );

        assert_eq!(token.lifetime, Duration::seconds(30));
    }

    #[test]
    fn a_forged_token_with_everything_right_is_the_control() {
        assert!(forge(&header(), &good()));
    }

    #[test]
    fn each_claim_is_required_and_checked() {
        for name in ["iss", "aud", "sub", "jti", "sid", "iat", "nbf", "exp"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(name);
            assert!(!forge(&header(), &claims), "without {name}");
        }
        for (name, value) in [
            ("iss", json!("other")),
            ("aud", json!("other")),
            ("aud", json!(["warp-skeleton", "other"])),
            ("aud", json!(["warp-skeleton"])),
            ("iss", json!(["warp-skeleton"])),
            ("sub", json!("ada")),
            ("iat", json!(NOW + 6)),
            ("nbf", json!(NOW + 6)),
            ("exp", json!(NOW - 6)),
            ("exp", json!((NOW + 60).to_string())),
            ("exp", json!(1e308)),
            ("exp", json!(9_223_372_036_854_775_808_u64)),
            ("exp", json!(NOW + 91 * 86_400)),
        ] {
            assert!(
                !forge(&header(), &with(name, value.clone())),
                "{name} = {value}"
            );
        }
        assert!(forge(&header(), &with("exp", json!(NOW - 5))));
    }

    #[test]
    fn only_our_kind_of_header_is_read() {
        for header in [
            json!({"alg": "HS256", "typ": "JWT"}),
            json!({"alg": "HS256"}),
            json!({"alg": "none", "typ": "at+jwt"}),
            json!({"alg": "HS512", "typ": "at+jwt"}),
            json!({"alg": "HS256", "typ": "at+jwt", "crit": ["exp"]}),
            json!({"alg": "HS256", "typ": "at+jwt", "zip": "DEF"}),
            json!({"alg": "HS256", "typ": "at+jwt", "jku": "http://127.0.0.1/"}),
        ] {
            assert!(!forge(&header, &good()), "{header}");
        }
    }

    #[test]
    fn an_earlier_secret_verifies_until_it_is_dropped() {
        let old = tokens(&[("JWT_SECRET_KEY", SECRET)]);
        let token = signed_by(&old);
        let new_secret = "fedcba9876543210fedcba9876543210";

        let overlap = tokens(&[
            ("JWT_SECRET_KEY", new_secret),
            ("JWT_PREVIOUS_SECRET_KEYS", SECRET),
        ]);
        let after = tokens(&[("JWT_SECRET_KEY", new_secret)]);

        assert!(overlap.verify(&token, at(NOW)).is_ok());
        assert!(after.verify(&token, at(NOW)).is_err());
    }

    #[test]
    fn a_secret_is_used_as_it_is_written() {
        let text = signed_by(&tokens(&[("JWT_SECRET_KEY", SECRET)]));
        let key = DecodingKey::from_secret(SECRET.as_bytes());

        let mut validation = Validation::new(ALGORITHM);
        validation.validate_exp = false;
        validation.set_audience(&["warp-skeleton"]);
        let decoded = jsonwebtoken::decode::<Claims>(&text, &key, &validation);

        assert!(decoded.is_ok());
    }
}
