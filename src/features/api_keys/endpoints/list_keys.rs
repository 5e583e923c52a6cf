//! `GET /auth/keys`: list the caller's live keys.

use chassis_http::{Endpoint, Problem, get, json};
use http::StatusCode;
use warp::reply::Response;

use super::key_view::KeyListView;
use crate::features::{
    api_keys::Keys,
    identity::{Auth, Principal, signed_in},
};

pub(super) fn endpoint(keys: &Keys, auth: &Auth) -> Endpoint {
    get("/auth/keys", "List one's own API keys", signed_in(auth))
        .responds::<KeyListView>(StatusCode::OK)
        .with(keys.clone())
        .handler(handle)
}

async fn handle(principal: Principal, keys: Keys) -> Result<Response, Problem> {
    let list = keys.list(principal.id()).await?;
    Ok(json(StatusCode::OK, &KeyListView::from(list)))
}
