//! `DELETE /users/{id}/keys/{key}`: end a key of an account.

use chassis_http::{Endpoint, Problem, delete, no_content};
use http::StatusCode;
use warp::reply::Response;

use crate::features::{
    api_keys::{KeyRevocation, Keys},
    identity::{
        ApiKeyId, Auth, Caller, INSUFFICIENT_LEVEL, Locks, Role, UserId, caller_with,
        policy::Action,
    },
};

pub(super) fn endpoint(keys: &Keys, auth: &Auth) -> Endpoint {
    let summary = "Revoke an API key of an account";
    let guard = caller_with(Role::Admin, auth);
    delete("/users/{id}/keys/{key}", summary, guard)
        .path_value::<UserId>("The account's id")
        .path_value::<ApiKeyId>("The key's id")
        .responds_empty(StatusCode::NO_CONTENT)
        .problems(&[&INSUFFICIENT_LEVEL])
        .with(keys.clone())
        .with(auth.clone())
        .handler(handle)
}

async fn handle(
    caller: Caller,
    id: UserId,
    key: ApiKeyId,
    keys: Keys,
    auth: Auth,
) -> Result<Response, Problem> {
    let (principal, mut transaction) = caller.begin(Locks::Change(id)).await?;
    auth.permit(&transaction, &principal, Action::ManageKeys, id)?;
    let reason = KeyRevocation::Administrator;
    keys.revoke(&mut transaction, id, key, reason).await?;
    transaction.commit().await?;
    Ok(no_content())
}
