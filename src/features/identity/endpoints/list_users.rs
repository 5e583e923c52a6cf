//! `GET /users`: list accounts, a page at a time.

use std::borrow::Cow;

use chassis_http::{Endpoint, PageView, Problem, ValidationError, ValidationErrors, get};
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use warp::reply::Response;

use super::{UserView, role_schema};
use crate::{
    features::identity::{Auth, Principal, Role, UserFilter, guard::require},
    shared::{PageRequest, problems::database_problem},
};

/// Which accounts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListUsers {
    /// How many, from 1 to 100; 20 when absent.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<String>,
    /// The beginning of the e-mail address.
    #[param(pattern = r"^[^\u0000]*$")]
    q: Option<String>,
    /// Only this role.
    #[param(schema_with = role_schema)]
    role: Option<String>,
    /// Only accounts that may, or may not, sign in.
    #[param(value_type = Option<bool>)]
    is_active: Option<String>,
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    get("/users", "List accounts", require(Role::Admin, auth))
        .query::<ListUsers>()
        .responds::<PageView<UserView>>(StatusCode::OK)
        .with(auth.clone())
        .handler(handle)
}

async fn handle(_caller: Principal, query: ListUsers, auth: Auth) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let (limit, cursor) = (query.limit.as_deref(), query.cursor.as_deref());
    let request = PageRequest::parse(&mut errors, limit, cursor);
    let role = errors.check_some("/role", query.role.as_deref().map(str::parse::<Role>));
    let is_active = errors.check_some("/is_active", query.is_active.as_deref().map(parse_bool));
    errors.finish()?;
    let filter = UserFilter {
        email_prefix: query.q.as_deref().map(str::to_ascii_lowercase),
        role,
        is_active,
    };
    let page = auth
        .list_users(&filter, request)
        .await
        .map_err(database_problem)?;
    let filters = [
        ("q", query.q.as_deref()),
        ("role", query.role.as_deref()),
        ("is_active", query.is_active.as_deref()),
    ];
    Ok(page.reply::<UserView>("/users", request, &filters))
}

/// A value of the query string is not one of those that are expected.
#[derive(Debug)]
struct InvalidValue(&'static str);

impl ValidationError for InvalidValue {
    fn code(&self) -> &'static str {
        "invalid_value"
    }

    fn detail(&self) -> Cow<'static, str> {
        self.0.into()
    }
}

fn parse_bool(text: &str) -> Result<bool, InvalidValue> {
    text.parse()
        .map_err(|_| InvalidValue("expected true or false"))
}
