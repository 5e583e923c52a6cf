//! Where clients reach the service: `PUBLIC_URL`.

use std::fmt;

use http::Uri;

/// The origin under which clients know the service.
///
/// Links that leave the service (in the document of the API, in mail) are built from it, and never
/// from a request's `Host`, which the client chooses: a link made from that leads where an attacker
/// wants (CWE-644). It is an origin in the one spelling that browsers use (RFC 6454, section 6.2), so
/// that it can also be compared with an `Origin` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// What a setting has to look like, for the error.
    pub const EXPECTED: &'static str = "an origin like https://api.example.com: http or https, lower case, no path, no slash at the end, \
         no port that is the scheme's own";

    /// Reads an origin. `None` when it is another URL, or written in another way than browsers write it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let own_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let is_plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte)
        };
        if !authority.bytes().all(is_plain) {
            return None;
        }
        let uri: Uri = text.parse().ok()?;
        let parsed = uri.authority()?;
        let host = parsed.host();
        let port = authority.strip_prefix(host)?.strip_prefix(':');
        let names_a_host =
            host.starts_with('[') || host.bytes().any(|byte| byte.is_ascii_alphanumeric());
        let port_fits = match (port, parsed.port_u16()) {
            (None, None) => host.len() == authority.len(),
            (Some(written), Some(port)) => {
                written == port.to_string() && ![0, own_port].contains(&port)
            }
            _ => false,
        };
        (names_a_host && port_fits).then(|| Self(text.to_owned()))
    }

    /// The origin, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_as_they_are() {
        for text in [
            "https://api.example.com",
            "http://localhost:8000",
            "http://127.0.0.1:1",
            "https://[2001:db8::1]",
            "https://[2001:db8::1]:8443",
            "https://xn--bcher-kva.example",
        ] {
            let url = PublicUrl::parse(text);

            assert_eq!(url.as_ref().map(PublicUrl::as_str), Some(text));
        }
    }

    #[test]
    fn other_urls_and_other_spellings_are_not() {
        for text in [
            "api.example.com",
            "//api.example.com",
            "ftp://api.example.com",
            "https://",
            "https://:8443",
            "https://.",
            "https://api.example.com/",
            "https://api.example.com/v1",
            "https://api.example.com?x=1",
            "https://api.example.com#x",
            "https://me@api.example.com",
            "https://API.example.com",
            "HTTPS://api.example.com",
            "https://api.example.com:443",
            "http://api.example.com:80",
            "https://api.example.com:",
            "https://api.example.com:0",
            "https://api.example.com:08443",
            "https://api.example.com:99999",
            "https://api.example.com:84:43",
            "https://[2001:db8::1",
            "https://b\u{fc}cher.example",
            "https://api.example.com https://b.example",
        ] {
            assert_eq!(PublicUrl::parse(text), None, "{text}");
        }
    }
}
