//! The one spelling of an origin.

use http::Uri;

/// Whether this is an origin in the one spelling that browsers use (RFC 6454, section 6.2): `http` or `https`, a host in
/// lower case, and a port unless it is the scheme's own.
///
/// So it can be compared with an `Origin` header, byte for byte.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let Some(parsed) = uri.authority().filter(|_| authority.bytes().all(is_plain)) else {
        return false;
    };
    let host = parsed.host();
    let names_a_host =
        host.starts_with('[') || host.bytes().any(|byte| byte.is_ascii_alphanumeric());
    let port = authority.strip_prefix(host).unwrap_or_default();
    let port_fits = match (port.strip_prefix(':'), parsed.port_u16()) {
        (None, None) => host.len() == authority.len(),
        (Some(written), Some(port)) => {
            written == port.to_string() && ![0, own_port].contains(&port)
        }
        _ => false,
    };
    names_a_host && port_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for text in [
            "https://api.example.com",
            "http://localhost:8000",
            "http://127.0.0.1:1",
            "https://api.example.com:80",
            "https://[2001:db8::1]",
            "https://[2001:db8::1]:8443",
            "https://xn--bcher-kva.example",
        ] {
            assert!(is_origin(text), "{text}");
        }
    }

    #[test]
    fn other_urls_and_other_spellings_are_none() {
        for text in [
            "*",
            "null",
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
            "http://[::1]:80",
            "https://api.example.com:",
            "https://api.example.com:0",
            "https://api.example.com:08443",
            "https://api.example.com:99999",
            "https://api.example.com:84:43",
            "https://[2001:db8::1",
            "https://b\u{fc}cher.example",
            "https://api.example.com https://b.example",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }
}
