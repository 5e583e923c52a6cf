//! `GET /auth/me`: show the caller's account.

use std::future::{Ready, ready};

use chassis_http::{Endpoint, get, json};
use http::StatusCode;
use warp::reply::Response;

use super::UserView;
use crate::features::identity::{Auth, Principal, guard::signed_in};

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    get("/auth/me", "Show one's own account", signed_in(auth))
        .scope("account:read")
        .responds::<UserView>(StatusCode::OK)
        .handler(handle)
}

/// The guard has read the account already.
fn handle(principal: Principal) -> Ready<Response> {
    ready(json(StatusCode::OK, &UserView::from(principal.user)))
}
