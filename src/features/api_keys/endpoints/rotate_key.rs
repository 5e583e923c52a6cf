//! `POST /auth/keys/{id}/rotate`: make another key in the place of one. It takes a session in which the password was given
//! just now.

use chassis_http::{Endpoint, Problem, created, post};
use http::StatusCode;
use warp::reply::Response;

use super::key_view::NewKeyView;
use crate::features::{
    api_keys::{Keys, problems::TOO_MANY_KEYS},
    identity::{ApiKeyId, Auth, Caller, Locks, recently_authenticated},
};

pub(super) fn endpoint(keys: &Keys, auth: &Auth) -> Endpoint {
    post(
        "/auth/keys/{id}/rotate",
        "Replace an API key, and let the old one live a while",
        recently_authenticated(auth),
    )
    .path_value::<ApiKeyId>("The key's id")
    .responds::<NewKeyView>(StatusCode::CREATED)
    .problems(&[&TOO_MANY_KEYS])
    .with(keys.clone())
    .handler(handle)
}

async fn handle(caller: Caller, id: ApiKeyId, keys: Keys) -> Result<Response, Problem> {
    let (owner, mut transaction) = caller.begin(Locks::Account).await?;
    let (record, key) = keys.rotate(&mut transaction, owner.id(), id).await?;
    transaction.commit().await?;
    let location = format!("/auth/keys/{}", record.id);
    Ok(created(&location, &NewKeyView::new(record, &key)))
}
