//! The endpoints of administration.

use http::{Method, StatusCode};
use warp::Filter;

use super::{
    UserView, users_handlers as handlers,
    users_payloads::{ChangeUser, ListUsers},
};
use crate::{
    features::identity::{
        Auth, Role, UserId,
        guard::require,
        problems::{INSUFFICIENT_LEVEL, LAST_OWNER},
    },
    web::{Endpoint, Feature, PageView, endpoint, with},
};

/// Every endpoint of this room.
#[must_use]
pub fn endpoints(auth: &Auth) -> Feature {
    Feature {
        name: "users",
        description: "Administer accounts",
        endpoints: vec![
            list(auth.clone()),
            read(auth.clone()),
            change(auth.clone()),
            delete(auth.clone()),
        ],
    }
}

/// `GET /users`: accounts, a page at a time.
fn list(auth: Auth) -> Endpoint {
    endpoint(
        Method::GET,
        "/users",
        "List accounts",
        require(Role::Admin, &auth),
    )
    .query::<ListUsers>()
    .replies::<PageView<UserView>>(StatusCode::OK)
    .handled_by(|request| request.and(with(auth)).then(handlers::list))
}

/// `GET /users/{id}`: one account.
fn read(auth: Auth) -> Endpoint {
    endpoint(
        Method::GET,
        "/users/{id}",
        "Show an account",
        require(Role::Admin, &auth),
    )
    .path_value::<UserId>("The account's id")
    .replies::<UserView>(StatusCode::OK)
    .handled_by(|request| request.and(with(auth)).then(handlers::read))
}

/// `PATCH /users/{id}`: role and state.
fn change(auth: Auth) -> Endpoint {
    endpoint(
        Method::PATCH,
        "/users/{id}",
        "Change an account's role, disable or enable it",
        require(Role::Admin, &auth),
    )
    .path_value::<UserId>("The account's id")
    .body::<ChangeUser>()
    .replies::<UserView>(StatusCode::OK)
    .fails(&[&INSUFFICIENT_LEVEL, &LAST_OWNER])
    .handled_by(|request| request.and(with(auth)).then(handlers::change))
}

/// `DELETE /users/{id}`: the account and everything that is its own.
fn delete(auth: Auth) -> Endpoint {
    endpoint(
        Method::DELETE,
        "/users/{id}",
        "Delete an account and its sessions",
        require(Role::Admin, &auth),
    )
    .path_value::<UserId>("The account's id")
    .replies_empty(StatusCode::NO_CONTENT)
    .fails(&[&INSUFFICIENT_LEVEL, &LAST_OWNER])
    .handled_by(|request| request.and(with(auth)).then(handlers::delete))
}
