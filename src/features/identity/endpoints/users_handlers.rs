//! Requests about the accounts of others, turned into the service's terms and back.

use std::borrow::Cow;

use http::StatusCode;
use warp::reply::Response;

use super::{
    UserView,
    users_payloads::{ChangeUser, ListUsers},
};
use crate::{
    features::identity::{Actor, Auth, Role, SignedIn, UserChange, UserFilter, UserId},
    web::{BrokenRule, Fields, PageRequest, Problem, json, no_content},
};

pub(super) async fn list(
    _caller: SignedIn,
    query: ListUsers,
    auth: Auth,
) -> Result<Response, Problem> {
    let mut fields = Fields::new();
    let (limit, cursor) = (query.limit.as_deref(), query.cursor.as_deref());
    let request = PageRequest::parse(&mut fields, limit, cursor);
    let role = fields.check_some("/role", query.role.as_deref().map(str::parse::<Role>));
    let is_active = fields.check_some("/is_active", query.is_active.as_deref().map(parse_bool));
    fields.finish()?;
    let filter = UserFilter {
        email_prefix: query.q.as_deref().map(str::to_ascii_lowercase),
        role,
        is_active,
    };
    let page = auth.users().list(&filter, request).await?;
    let filters = [
        ("q", query.q.as_deref()),
        ("role", query.role.as_deref()),
        ("is_active", query.is_active.as_deref()),
    ];
    Ok(page.reply::<UserView>("/users", request, &filters))
}

pub(super) async fn read(_caller: SignedIn, id: UserId, auth: Auth) -> Result<Response, Problem> {
    let user = auth.users().find(id).await?;
    Ok(json(StatusCode::OK, &UserView::from(user)))
}

pub(super) async fn change(
    caller: SignedIn,
    id: UserId,
    payload: ChangeUser,
    auth: Auth,
) -> Result<Response, Problem> {
    let mut fields = Fields::new();
    let role = fields.check_some("/role", payload.role.as_deref().map(str::parse::<Role>));
    fields.finish()?;
    let change = UserChange {
        role,
        is_active: payload.is_active,
    };
    let user = auth.change_user(actor(&caller), id, change).await?;
    Ok(json(StatusCode::OK, &UserView::from(user)))
}

pub(super) async fn delete(caller: SignedIn, id: UserId, auth: Auth) -> Result<Response, Problem> {
    auth.delete_user(actor(&caller), id).await?;
    Ok(no_content())
}

fn actor(caller: &SignedIn) -> Actor {
    Actor::User(caller.user.id, caller.user.role)
}

/// A rule of the query string that only this room has.
#[derive(Debug)]
struct Unfit(&'static str);

impl BrokenRule for Unfit {
    fn code(&self) -> &'static str {
        "invalid_value"
    }

    fn detail(&self) -> Cow<'static, str> {
        self.0.into()
    }
}

fn parse_bool(text: &str) -> Result<bool, Unfit> {
    text.parse().map_err(|_| Unfit("expected true or false"))
}
