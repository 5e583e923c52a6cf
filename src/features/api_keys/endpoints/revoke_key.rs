//! `DELETE /auth/keys/{id}`: end one of the caller's keys.

use chassis_http::{Endpoint, Problem, delete, no_content};
use http::StatusCode;
use warp::reply::Response;

use crate::features::{
    api_keys::{KeyRevocation, Keys},
    identity::{ApiKeyId, Auth, Caller, Locks, caller},
};

pub(super) fn endpoint(keys: &Keys, auth: &Auth) -> Endpoint {
    delete("/auth/keys/{id}", "Revoke an API key", caller(auth))
        .path_value::<ApiKeyId>("The key's id")
        .responds_empty(StatusCode::NO_CONTENT)
        .with(keys.clone())
        .handler(handle)
}

async fn handle(caller: Caller, id: ApiKeyId, keys: Keys) -> Result<Response, Problem> {
    let (owner, mut transaction) = caller.begin(Locks::None).await?;
    let reason = KeyRevocation::Owner;
    keys.revoke(&mut transaction, owner.id(), id, reason)
        .await?;
    transaction.commit().await?;
    Ok(no_content())
}
