//! `GET /users/{id}`: show an account.

use chassis_http::{Endpoint, Problem, get, json};
use http::StatusCode;
use warp::reply::Response;

use super::UserView;
use crate::features::identity::{Auth, Principal, Role, UserId, guard::require};

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    get("/users/{id}", "Show an account", require(Role::Admin, auth))
        .scope("users:read")
        .path_value::<UserId>("The account's id")
        .responds::<UserView>(StatusCode::OK)
        .with(auth.clone())
        .handler(handle)
}

async fn handle(_caller: Principal, id: UserId, auth: Auth) -> Result<Response, Problem> {
    let user = auth.find(id).await?;
    Ok(json(StatusCode::OK, &UserView::from(user)))
}
