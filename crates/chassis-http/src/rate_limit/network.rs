//! The limit per client network, which the router applies to endpoints of the default class.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::SystemTime,
};

use super::{Buckets, Quota, RateLimitMetrics, RateLimitStatus};
use crate::problem::Problem;

/// The network that requests of a client are counted against: an IPv4 address, or 64 bits of an IPv6 address.
///
/// A client with one IPv6 address usually has the other 2⁶⁴ of its network, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// The network of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        })
    }

    /// The first address of the network.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0
    }
}

/// A limit per client network, in the memory of this process. Clones share the buckets.
#[derive(Clone)]
pub struct NetworkRateLimit {
    buckets: Arc<Buckets<ClientNetwork>>,
    metrics: RateLimitMetrics,
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl NetworkRateLimit {
    /// A limit of this quota. `now` tells the time, so that tests can move it; a service usually gives
    /// `SystemTime::now`.
    #[must_use]
    pub fn new(
        quota: Quota,
        metrics: RateLimitMetrics,
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        Self {
            buckets: Arc::new(Buckets::new(quota)),
            metrics,
            now: Arc::new(now),
        }
    }

    /// Counts a request. One without a known address is admitted: it came over a unix socket.
    pub(crate) fn admit(
        &self,
        client_ip: Option<IpAddr>,
    ) -> Result<Option<RateLimitStatus>, Problem> {
        let Some(ip) = client_ip else { return Ok(None) };
        match self.buckets.take(ClientNetwork::of(ip), (self.now)()) {
            Ok(status) => Ok(Some(status)),
            Err(limited) => {
                self.metrics.refused(&limited.quota);
                Err(limited.into_problem_with_status())
            }
        }
    }
}

impl fmt::Debug for NetworkRateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NetworkRateLimit")
            .field(&self.buckets)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_64_bits_of_an_ipv6_address_are_one_network() {
        let of = |ip: &str| ClientNetwork::of(ip.parse().unwrap());

        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
