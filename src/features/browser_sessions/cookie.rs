//! The cookie: its value, and the headers that carry it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::settings::SameSite;

/// The value of a session's cookie: 256 random bits.
#[derive(Debug, Clone)]
pub(super) struct CookieValue(SecretString);

impl CookieValue {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When the system has no randomness to give.
    pub(super) fn generate() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// What a client sent; `None` when it cannot be one of ours in its one spelling.
    fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(text.to_owned().into()))
    }

    /// What the database keeps of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret().as_bytes()).into()
    }
}

/// What the `Cookie` headers of a request hold.
#[derive(Debug)]
pub(super) enum Sent {
    /// No cookie of this name.
    Nothing,
    /// One.
    One(CookieValue),
    /// One that is none of ours.
    Unknown,
    /// More than one: another host of the domain, or another path, has set one beside ours.
    Several,
}

/// How the cookie is set.
#[derive(Debug, Clone)]
pub(super) struct CookieFormat {
    name: &'static str,
    attributes: &'static str,
}

impl CookieFormat {
    /// `is_secure`: for TLS alone, as everywhere but during development.
    pub(super) fn new(is_secure: bool, same_site: SameSite) -> Self {
        let attributes = match (is_secure, same_site) {
            (true, SameSite::Lax) => "HttpOnly; Secure; SameSite=Lax; Path=/",
            (true, SameSite::Strict) => "HttpOnly; Secure; SameSite=Strict; Path=/",
            (true, SameSite::None) => "HttpOnly; Secure; SameSite=None; Path=/",
            (false, SameSite::Strict) => "HttpOnly; SameSite=Strict; Path=/",
            // Without TLS browsers take no `None`.
            (false, SameSite::Lax | SameSite::None) => "HttpOnly; SameSite=Lax; Path=/",
        };
        let name = if is_secure {
            "__Host-session"
        } else {
            "session"
        };
        Self { name, attributes }
    }

    /// The cookie's name.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The header that sets it, for so long, or up to a second more: the session ends by itself.
    pub(super) fn set(&self, value: &CookieValue, lifetime: time::Duration) -> HeaderValue {
        let age = lifetime.whole_seconds() + i64::from(lifetime.subsec_nanoseconds() > 0);
        let value = value.0.expose_secret();
        header(&format!(
            "{}={value}; {}; Max-Age={age}",
            self.name, self.attributes
        ))
    }

    /// The header that has the browser forget it.
    pub(super) fn forget(&self) -> HeaderValue {
        header(&format!("{}=; {}; Max-Age=0", self.name, self.attributes))
    }

    /// Finds it among those of a request (RFC 6265bis, section 5.8.3), which HTTP/2 may split into several headers.
    pub(super) fn find(&self, headers: &HeaderMap) -> Sent {
        let pairs = headers
            .get_all(header::COOKIE)
            .iter()
            .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
        let mut found = pairs.filter_map(|pair| {
            let pair = pair.trim_ascii_start();
            let value = pair.strip_prefix(self.name.as_bytes())?;
            value.strip_prefix(b"=")
        });
        let Some(value) = found.next() else {
            return Sent::Nothing;
        };
        if found.next().is_some() {
            return Sent::Several;
        }
        let value = std::str::from_utf8(value.trim_ascii_end()).ok();
        let value = value.and_then(CookieValue::parse);
        value.map_or(Sent::Unknown, Sent::One)
    }
}

fn header(text: &str) -> HeaderValue {
    let mut header = HeaderValue::from_str(text).expect("the parts are ASCII without controls");
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::COOKIE, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_attributes_are_those_of_a_cookie_that_no_script_reads_and_no_other_host_sets() {
        let format = CookieFormat::new(true, SameSite::Lax);
        let value = CookieValue::generate();

        let set = format.set(&value, time::Duration::days(14));

        assert!(set.is_sensitive());
        assert_eq!(
            set.to_str().unwrap(),
            format!(
                "__Host-session={}; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=1209600",
                value.0.expose_secret()
            )
        );
        assert_eq!(
            format.forget().to_str().unwrap(),
            "__Host-session=; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn without_tls_it_has_another_name() {
        let format = CookieFormat::new(false, SameSite::Strict);

        let forget = format.forget();

        let expected = "session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0";
        assert_eq!(forget.to_str().unwrap(), expected);
    }

    #[test]
    fn it_is_found_among_others_and_told_from_those_that_look_like_it() {
        let format = CookieFormat::new(true, SameSite::Lax);
        let value = CookieValue::generate();
        let text = value.0.expose_secret();
        let ours = format!("__Host-session={text}");

        for one in [
            vec![ours.as_str()],
            vec![&*format!("a=b; {ours}; c=d")],
            vec!["a=b", &*format!(" {ours} "), "session=x; x__Host-session=y"],
        ] {
            match format.find(&headers(&one)) {
                Sent::One(found) => assert_eq!(found.hash(), value.hash()),
                other => panic!("{one:?}: {other:?}"),
            }
        }
        for nothing in [
            "",
            "session=a",
            "__host-session=a",
            "__Host-session",
            "a=__Host-session=b",
        ] {
            let found = format.find(&headers(&[nothing]));
            assert!(matches!(found, Sent::Nothing), "{nothing}");
        }
        for unknown in [
            "__Host-session=",
            "__Host-session=a",
            &*format!("{ours}A"),
            "__Host-session=\"a\"",
        ] {
            let found = format.find(&headers(&[unknown]));
            assert!(matches!(found, Sent::Unknown), "{unknown}");
        }
        for several in [
            vec![format!("{ours}; {ours}")],
            vec![ours.clone(), "__Host-session=".to_owned()],
        ] {
            let several: Vec<_> = several.iter().map(String::as_str).collect();
            let found = format.find(&headers(&several));
            assert!(matches!(found, Sent::Several), "{several:?}");
        }
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn whatever_is_sent_no_value_is_found_that_is_not_there(sent in prop::collection::vec(any::<u8>(), 0..80)) {
            let Ok(header) = HeaderValue::from_bytes(&sent) else {
                return Ok(());
            };
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, header);
            let found = CookieFormat::new(true, SameSite::Lax).find(&headers);
            let is_there = sent.windows(15).any(|part| part == b"__Host-session=");
            prop_assert!(is_there || matches!(found, Sent::Nothing));
        }
    }
}
