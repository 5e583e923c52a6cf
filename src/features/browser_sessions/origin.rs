//! Whether a page may have a request sent with the cookie.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// Which page had a request sent, as the browser says and no page can change (the W3C's Fetch Metadata Request Headers).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins whose pages may.
#[derive(Debug, Clone)]
pub(super) struct Origins {
    /// Where clients reach this service: from the settings, never from a `Host` header, which the client chooses.
    pub(super) own: HeaderValue,
    /// Those of `CORS_ALLOWED_ORIGINS`.
    pub(super) allowed: Vec<HeaderValue>,
}

impl Origins {
    /// Whether this request changes nothing, or was sent by a page that may have it sent.
    ///
    /// What neither header vouches for is refused: a browser that knows neither cannot be told from an attack.
    pub(super) fn admit(&self, method: &Method, headers: &HeaderMap) -> bool {
        if matches!(*method, Method::GET | Method::HEAD) {
            return true;
        }
        let Ok(origin) = only(headers, &header::ORIGIN) else {
            return false;
        };
        match only(headers, &SEC_FETCH_SITE) {
            Ok(Some(site)) if site == "same-origin" => true,
            Ok(Some(_)) => origin.is_some_and(|origin| self.allowed.contains(origin)),
            Ok(None) => origin == Some(&self.own),
            Err(Repeated) => false,
        }
    }
}

struct Repeated;

/// The one header of this name.
fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Repeated> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    values.next().map_or(Ok(value), |_| Err(Repeated))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://api.example.com";
    const ALLOWED: &str = "https://app.example.com";
    const OTHER: &str = "https://evil.example";

    #[test]
    fn every_combination_of_method_site_and_origin() {
        let origins = Origins {
            own: HeaderValue::from_static(OWN),
            allowed: vec![HeaderValue::from_static(ALLOWED)],
        };
        let sites = [
            None,
            Some("same-origin"),
            Some("same-site"),
            Some("cross-site"),
            Some("none"),
            Some("made-up"),
        ];
        let senders = [None, Some(OWN), Some(ALLOWED), Some(OTHER), Some("null")];
        for method in [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            for site in sites {
                for sender in senders {
                    let mut headers = HeaderMap::new();
                    if let Some(site) = site {
                        headers.insert(SEC_FETCH_SITE, site.parse().unwrap());
                    }
                    if let Some(sender) = sender {
                        headers.insert(header::ORIGIN, sender.parse().unwrap());
                    }
                    let is_safe = matches!(method, Method::GET | Method::HEAD);
                    let expected = is_safe
                        || match site {
                            Some("same-origin") => true,
                            Some(_) => sender == Some(ALLOWED),
                            None => sender == Some(OWN),
                        };

                    let admitted = origins.admit(&method, &headers);

                    assert_eq!(admitted, expected, "{method} {site:?} {sender:?}");
                }
            }
        }
    }

    #[test]
    fn a_header_that_comes_twice_vouches_for_nothing() {
        let origins = Origins {
            own: HeaderValue::from_static(OWN),
            allowed: Vec::new(),
        };
        for name in [SEC_FETCH_SITE, header::ORIGIN] {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("same-origin"));
            headers.insert(header::ORIGIN, HeaderValue::from_static(OWN));
            assert!(origins.admit(&Method::POST, &headers));

            let again = headers[&name].clone();
            headers.append(name, again);

            assert!(!origins.admit(&Method::POST, &headers));
        }
    }
}
