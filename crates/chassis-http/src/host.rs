//! The host of a request: the `Host` header, which every request of HTTP/1.1 has to carry, and the authority of its target.

use http::{HeaderValue, Version, header, request::Parts, uri::Authority};

use super::problem::{INVALID_REQUEST, Problem};

/// Refuses a request without exactly one valid `Host` (RFC 9112, section 3.2), one whose target names a user (RFC 9110,
/// section 4.2.4), and in HTTP/2 one whose `Host` is another than its `:authority` (RFC 9113, section 8.3.1). In HTTP/1 the
/// host of a target goes before the header, whatever that says.
///
/// The router itself does not use the host. But a proxy in front may choose its rules by one of two hosts
/// and forward a request that its rules for the other one would have refused.
pub(super) fn check(parts: &Parts) -> Result<(), Problem> {
    let mut stated = parts.headers.get_all(header::HOST).iter();
    let refuse = |detail| Err(Problem::new(&INVALID_REQUEST, detail));
    let target = parts.uri.authority();
    if target.is_some_and(|target| target.as_str().contains('@')) {
        return refuse("the target of the request names a user");
    }
    let differs = |host: &HeaderValue| {
        target.is_some_and(|target| {
            !target
                .as_str()
                .as_bytes()
                .eq_ignore_ascii_case(host.as_bytes())
        })
    };
    match (stated.next(), stated.next()) {
        (None, _) if parts.version == Version::HTTP_11 => refuse("the Host header is missing"),
        (Some(_), Some(_)) => refuse("there is more than one Host header"),
        (Some(host), None) if !is_host(host) => refuse("the Host header names no host"),
        (Some(host), None) if parts.version == Version::HTTP_2 && differs(host) => {
            refuse("the Host header is another than :authority")
        }
        _ => Ok(()),
    }
}

/// A host and perhaps a port; empty when the request's target has none.
fn is_host(value: &HeaderValue) -> bool {
    // Nearly all of them, and none of the copy that parsing makes.
    let is_in_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
    let is_authority = |text: &str| !text.contains('@') && text.parse::<Authority>().is_ok();
    value.as_bytes().iter().all(is_in_a_name) || value.to_str().is_ok_and(is_authority)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    fn is_taken(version: Version, hosts: &[&str]) -> bool {
        is_taken_at("/", version, hosts)
    }

    fn is_taken_at(target: &str, version: Version, hosts: &[&str]) -> bool {
        let request = Request::get(target).version(version);
        let request = hosts
            .iter()
            .fold(request, |request, host| request.header(header::HOST, *host));
        check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn one_host_is_taken() {
        for host in ["localhost", "a.example:8000", "[::1]:80", "127.0.0.1", ""] {
            assert!(is_taken(Version::HTTP_11, &[host]), "{host}");
        }
    }

    #[test]
    fn none_two_and_nonsense_are_refused() {
        for hosts in [
            &[][..],
            &["a", "a"],
            &["a b"],
            &["a/b"],
            &["me@a"],
            &["a:b:c"],
        ] {
            assert!(!is_taken(Version::HTTP_11, hosts), "{hosts:?}");
        }
    }

    #[test]
    fn a_target_names_no_user_and_no_host_beside_another() {
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for (target, version, hosts, expected) in [
            ("http://a/", two, [].as_slice(), true),
            ("http://A:80/", two, &["a:80"], true),
            ("http://a/", two, &["b"], false),
            ("http://a/", two, &["a:80"], false),
            ("http://me@a/", two, &[], false),
            ("http://a/", one, &["b"], true),
            ("http://me:secret@a/", one, &["a"], false),
        ] {
            let taken = is_taken_at(target, version, hosts);
            assert_eq!(taken, expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn older_and_newer_protocols_may_do_without() {
        assert!(is_taken(Version::HTTP_10, &[]) && is_taken(Version::HTTP_2, &[]));
        assert!(!is_taken(Version::HTTP_2, &["a", "b"]));
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn what_is_taken_is_an_authority_of_the_library(host in "[A-Za-z0-9.:@_ -]{1,20}") {
            let is_authority = host.parse::<Authority>().is_ok() && !host.contains('@');
            prop_assert_eq!(is_taken(Version::HTTP_11, &[&host]), is_authority);
        }
    }
}
