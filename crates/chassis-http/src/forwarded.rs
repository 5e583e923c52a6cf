//! The address of the client behind proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
        let hop = hop.trim_ascii();
        if hop.is_empty() {
            continue;
        }
        let Some(ip) = parse(hop) else { break };
        client = Some(ip);
        if !is_trusted(&ip) {
            break;
        }
    }
    client
}

/// An address as gateways write it: alone, with a port (`198.51.100.7:4711`, `[2001:db8::7]:443`), in brackets without
/// one, or with a zone (`fe80::1%eth0`), which means something on the gateway only. Port and zone are dropped.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let ip = if let Some(text) = text.strip_prefix('[') {
        let (ip, port) = text.split_once(']')?;
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        is_whole.then(|| without_zone(ip)).flatten()?.into()
    } else if let Ok(ip) = text.parse::<Ipv4Addr>() {
        ip.into()
    } else if let Some(ip) = without_zone(text) {
        ip.into()
    } else {
        let (ip, port) = text.split_once(':')?;
        is_port(port)
            .then(|| ip.parse::<Ipv4Addr>().ok())
            .flatten()?
            .into()
    };
    Some(canonical(ip))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn without_zone(text: &str) -> Option<Ipv6Addr> {
    let (ip, zone) = text.split_once('%').unwrap_or((text, "0"));
    if zone.is_empty() {
        return None;
    }
    ip.parse().ok()
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
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
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

    #[test]
    fn an_address_is_understood_however_a_gateway_writes_it() {
        for (written, address) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("2001:DB8::7", "2001:db8::7"),
            ("fe80::7%eth0", "fe80::7"),
            ("[fe80::7%25eth0]:443", "fe80::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("[::ffff:198.51.100.7]:4711", "198.51.100.7"),
            (" \t198.51.100.7:4711 \t", "198.51.100.7"),
        ] {
            assert_eq!(seen("10.0.0.1", &[written]), address, "{written}");
            let behind = format!("203.0.113.9, {written} , 10.0.0.2:5000, [fd00::2]:80");
            assert_eq!(seen("10.0.0.1", &[&behind]), address, "{behind}");
        }
    }

    #[test]
    fn what_only_resembles_an_address_ends_the_search() {
        for written in [
            "198.51.100.7:",
            "198.51.100.7:65536",
            "198.51.100.7:+1",
            "198.51.100.7:80:80",
            "198.51.100.07",
            "198.51.100",
            "[198.51.100.7]",
            "[2001:db8::7",
            "2001:db8::7]",
            "[2001:db8::7]443",
            "[2001:db8::7]:x",
            "[]",
            "fe80::7%",
            "198.51.100.7%eth0",
            "unknown",
            "unix:",
            "198.51.100.7 203.0.113.9",
        ] {
            assert_eq!(seen("10.0.0.1", &[written]), "10.0.0.1", "{written}");
        }
    }

    #[test]
    fn an_empty_element_is_none() {
        for chain in [
            "203.0.113.9,, 198.51.100.7",
            "198.51.100.7, ",
            ",198.51.100.7 , , 10.0.0.2,",
        ] {
            assert_eq!(seen("10.0.0.1", &[chain]), "198.51.100.7", "{chain}");
        }
        assert_eq!(seen("10.0.0.1", &["198.51.100.7", ""]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["", " , "]), "10.0.0.1");
    }
}
