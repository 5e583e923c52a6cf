//! Where a request comes from.

use std::{net::IpAddr, sync::Arc};

use http::HeaderMap;
use warp::{Filter, Rejection, filters::BoxedFilter};

use chassis_http::{ClientNetwork, RequestContext, context};

/// Where a request comes from: kept with the session that it opens, and part of each event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The address, when the request came over TCP.
    pub ip: Option<IpAddr>,
    /// The first 256 characters of the `User-Agent` header, control characters removed.
    pub user_agent: Option<String>,
}

impl ClientInfo {
    /// The network that its attempts are counted against.
    pub(super) fn network(&self) -> Option<ClientNetwork> {
        self.ip.map(ClientNetwork::of)
    }

    pub(super) fn of(context: &RequestContext, headers: &HeaderMap) -> Self {
        Self {
            ip: context.client_ip,
            user_agent: headers
                .get(http::header::USER_AGENT)
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .map(|name| name.chars().filter(|c| !c.is_control()).take(256).collect()),
        }
    }
}

/// Extracts the client of a request.
#[must_use]
pub fn client_info() -> BoxedFilter<(ClientInfo,)> {
    describe().boxed()
}

fn describe() -> impl Filter<Extract = (ClientInfo,), Error = Rejection> + Clone {
    let describe =
        |context: Arc<RequestContext>, headers: HeaderMap| ClientInfo::of(&context, &headers);
    context().and(warp::header::headers_cloned()).map(describe)
}
