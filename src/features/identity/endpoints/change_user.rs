//! `PATCH /users/{id}`: change role and state of an account.

use chassis_http::{Endpoint, Problem, ValidationErrors, json, patch};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::{UserView, role_schema};
use crate::features::identity::{
    Auth, Caller, Error, Locks, Role, User, UserChange, UserId,
    event::Attempt,
    guard::caller_with,
    policy,
    problems::{INSUFFICIENT_LEVEL, LAST_OWNER},
};
use crate::shared::present;

/// What to change about an account; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeUser {
    /// The new role, not above one's own.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = role_schema, required = false)]
    role: Option<String>,
    /// Whether it may sign in. Disabling an account ends its sessions.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    is_active: Option<bool>,
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    let summary = "Change an account's role, disable or enable it";
    patch("/users/{id}", summary, caller_with(Role::Admin, auth))
        .scope("users:write")
        .path_value::<UserId>("The account's id")
        .body::<ChangeUser>()
        .responds::<UserView>(StatusCode::OK)
        .problems(&[&INSUFFICIENT_LEVEL, &LAST_OWNER])
        .with(auth.clone())
        .handler(handle)
}

async fn handle(
    caller: Caller,
    id: UserId,
    request: ChangeUser,
    auth: Auth,
) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let role = errors.check_some("/role", request.role.as_deref().map(str::parse::<Role>));
    errors.finish()?;
    let change = UserChange {
        role,
        is_active: request.is_active,
    };
    let changed = change_user(&auth, caller, id, change).await;
    let user = auth.note_refusal(Attempt::UserChange, Some(id), None, changed)?;
    Ok(json(StatusCode::OK, &UserView::from(user)))
}

async fn change_user(
    auth: &Auth,
    caller: Caller,
    id: UserId,
    change: UserChange,
) -> Result<User, Error> {
    let (principal, transaction) = caller.begin(Locks::Change(id)).await?;
    let actor = policy::Actor::from(&principal);
    auth.change(transaction, actor, id, change).await
}
