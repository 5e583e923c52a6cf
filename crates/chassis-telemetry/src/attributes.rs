//! What the span of a request says about it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use http::{HeaderMap, Version, header};
use sha2::{Digest, Sha256};
use tracing::field::DisplayValue;

/// The network of a client, as log lines name it: an IPv4 address, or the /64 of an IPv6 address. What limits count by is
/// enough to follow a client from line to line.
pub(super) fn network(ip: IpAddr) -> DisplayValue<ClientNetwork> {
    tracing::field::display(ClientNetwork(ip.to_canonical()))
}

pub(super) struct ClientNetwork(IpAddr);

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "{ip}"),
            IpAddr::V6(ip) => {
                let network = Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64));
                write!(f, "{network}/64")
            }
        }
    }
}

pub(super) fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// The first 256 characters of what the client calls itself, without control characters.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(name.chars().filter(|c| !c.is_control()).take(256).collect())
}

/// The first 64 bits of SHA-256 over what the client calls itself, in hexadecimal: by it lines of one program are told from
/// another's, without what the client wrote.
pub(super) fn user_agent_hash(headers: &HeaderMap) -> Option<String> {
    let digest = Sha256::digest(headers.get(header::USER_AGENT)?.as_bytes());
    let (first, _) = digest.split_first_chunk()?;
    Some(format!("{:016x}", u64::from_be_bytes(*first)))
}

/// One of two words: a request may name any scheme, and what a client chooses is not recorded.
pub(super) fn scheme(uri: &http::Uri) -> &'static str {
    match uri.scheme_str() {
        Some("https") => "https",
        _ => "http",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_that_a_client_makes_up_is_not_recorded() {
        for (uri, recorded) in [
            ("/live", "http"),
            ("https://host/live", "https"),
            ("marked-secret://host/live", "http"),
        ] {
            assert_eq!(scheme(&uri.parse().unwrap()), recorded, "{uri}");
        }
    }
}
