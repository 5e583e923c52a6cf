//! Where clients reach the service: `PUBLIC_URL`.

use std::fmt;

use chassis_http::is_origin;

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
        is_origin(text).then(|| Self(text.to_owned()))
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
    fn an_origin_is_taken_as_it_is_and_nothing_else() {
        let url = PublicUrl::parse("https://api.example.com:8443");
        assert_eq!(url.unwrap().as_str(), "https://api.example.com:8443");

        for text in ["https://api.example.com/", "https://api.example.com:443"] {
            assert_eq!(PublicUrl::parse(text), None, "{text}");
        }
    }
}
