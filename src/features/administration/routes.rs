//! The endpoints of administration.

use http::{Method, StatusCode};
use warp::Filter;

use super::{
    handlers,
    payloads::{ChangeUser, ListUsers},
};
use crate::{
    features::{
        auth::{Auth, require},
        users::{
            Role, UserId, UserView,
            problems::{INSUFFICIENT_LEVEL, LAST_OWNER},
        },
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
    .responds::<PageView<UserView>>(StatusCode::OK)
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
    .responds::<UserView>(StatusCode::OK)
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
    .responds::<UserView>(StatusCode::OK)
    .problems(&[&INSUFFICIENT_LEVEL, &LAST_OWNER])
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
    .responds_empty(StatusCode::NO_CONTENT)
    .problems(&[&INSUFFICIENT_LEVEL, &LAST_OWNER])
    .handled_by(|request| request.and(with(auth)).then(handlers::delete))
}
