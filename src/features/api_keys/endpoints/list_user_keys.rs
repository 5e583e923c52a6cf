//! `GET /users/{id}/keys`: list the live keys of an account.

use chassis_http::{Endpoint, Problem, get, json};
use http::StatusCode;
use warp::reply::Response;

use super::key_view::KeyListView;
use crate::features::{
    api_keys::Keys,
    identity::{
        Auth, Error, INSUFFICIENT_LEVEL, Principal, Role, UserId,
        policy::{self, Action, Target, may},
        require,
    },
};

pub(super) fn endpoint(keys: &Keys, auth: &Auth) -> Endpoint {
    let guard = require(Role::Admin, auth);
    get("/users/{id}/keys", "List the API keys of an account", guard)
        .path_value::<UserId>("The account's id")
        .responds::<KeyListView>(StatusCode::OK)
        .problems(&[&INSUFFICIENT_LEVEL])
        .with(keys.clone())
        .with(auth.clone())
        .handler(handle)
}

async fn handle(
    principal: Principal,
    id: UserId,
    keys: Keys,
    auth: Auth,
) -> Result<Response, Problem> {
    let user = auth.find(id).await?;
    let target = Target {
        id,
        role: user.role,
        // An owner stays one, whatever becomes of the keys.
        is_last_owner: false,
    };
    let actor = policy::Actor::from(&principal);
    may(actor, Action::ManageKeys, target).map_err(Error::from)?;
    let list = keys.list(id).await?;
    Ok(json(StatusCode::OK, &KeyListView::from(list)))
}
