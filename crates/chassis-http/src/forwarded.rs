//! The address of the client behind proxies.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// A constant, because a look-up by `&str` parses the name each time.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address.
///
/// `X-Forwarded-For` is read only if the peer is a trusted proxy, and from the right: each proxy appends the
/// address it saw, so the first address from there that is not a trusted proxy is the last one that a trusted
/// proxy vouches for; whatever is left of it a client can make up. A value that is not an address ends the search
/// at the hop before it.
///
/// A peer without an address is a process on this machine that can open the socket file: a proxy.
pub(super) fn client_ip(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut client = peer.map(canonical);
    if trusted.is_empty() || client.is_some_and(|ip| !is_trusted(&ip)) {
        return client;
    }
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        let Some(ip) = parse(hop) else { break };
        client = Some(ip);
        if !is_trusted(&ip) {
            break;
        }
    }
    client
}

fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    text.parse().ok().map(canonical)
}

/// Turns `::ffff:a.b.c.d` into the IPv4 address.
fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let ip = client_ip(Some(peer.parse().unwrap()), &headers, &trusted);
        ip.unwrap().to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn the_first_untrusted_hop_from_the_right_is_the_client() {
        let chain = ["203.0.113.9, 198.51.100.7, 10.0.0.2"];

        assert_eq!(seen("10.0.0.1", &chain), "198.51.100.7");
    }

    #[test]
    fn several_headers_are_one_list() {
        assert_eq!(
            seen("10.0.0.1", &["203.0.113.9", "198.51.100.7"]),
            "198.51.100.7"
        );
    }

    #[test]
    fn garbage_ends_the_search() {
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, nonsense"]), "10.0.0.1");
        assert_eq!(seen("fd00::1", &["nonsense, 10.0.0.3"]), "10.0.0.3");
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        assert_eq!(seen("::ffff:192.0.2.1", &[]), "192.0.2.1");
    }
}
