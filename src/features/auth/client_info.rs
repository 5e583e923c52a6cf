//! What a session records about the client that opened it.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, header::USER_AGENT};
use warp::{Filter, Rejection};

use crate::web::{RequestContext, context};

/// The client of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its address, if the request came over TCP or through a trusted proxy.
    pub ip: Option<IpAddr>,
    /// The first 256 characters of its `User-Agent`, without control characters.
    pub user_agent: Option<String>,
}

/// A filter that extracts the client of the request.
#[must_use]
pub fn client_info() -> impl Filter<Extract = (ClientInfo,), Error = Rejection> + Clone {
    let describe = |context: Arc<RequestContext>, headers: HeaderMap| ClientInfo {
        ip: context.client_ip,
        user_agent: headers
            .get(USER_AGENT)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .map(|name| name.chars().filter(|c| !c.is_control()).take(256).collect()),
    };
    context().and(warp::header::headers_cloned()).map(describe)
}
