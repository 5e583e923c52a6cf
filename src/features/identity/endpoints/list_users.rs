//! `GET /users`: list accounts, a page at a time.

use std::borrow::Cow;

use chassis_http::{Endpoint, PageView, Problem, ValidationError, ValidationErrors, get};
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use warp::reply::Response;

use super::{UserView, role_schema};
use crate::{
    features::identity::{Auth, EmailCursor, Principal, Role, UserFilter, guard::require},
    shared::{PageRequest, problems::database_problem},
};

/// Which accounts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListUsers {
    /// How many, from 1 to 100; 20 when absent.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before, of the same kind of list: with `q`, or without.
    #[param(pattern = "^[A-Za-z0-9_-]{4,340}$")]
    cursor: Option<String>,
    /// The beginning of the e-mail address. Accounts are then listed by address, and oldest first otherwise.
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
        .scope("users:read")
        .query::<ListUsers>()
        .responds::<PageView<UserView>>(StatusCode::OK)
        .with(auth.clone())
        .handler(handle)
}

async fn handle(_caller: Principal, query: ListUsers, auth: Auth) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let (limit, cursor) = (query.limit.as_deref(), query.cursor.as_deref());
    let listing = match &query.q {
        None => Listing::All(PageRequest::parse(&mut errors, limit, cursor)),
        Some(prefix) => Listing::Search(
            prefix.to_ascii_lowercase(),
            PageRequest::parse(&mut errors, limit, cursor),
        ),
    };
    let role = errors.check_some("/role", query.role.as_deref().map(str::parse::<Role>));
    let is_active = errors.check_some("/is_active", query.is_active.as_deref().map(parse_bool));
    errors.finish()?;
    let filter = UserFilter { role, is_active };
    let filters = [
        ("q", query.q.as_deref()),
        ("role", query.role.as_deref()),
        ("is_active", query.is_active.as_deref()),
    ];
    Ok(match listing {
        Listing::All(request) => {
            let page = auth.list_users(&filter, request).await;
            let page = page.map_err(database_problem)?;
            page.reply::<UserView>("/users", request, &filters)
        }
        Listing::Search(prefix, request) => {
            let page = auth.search_users(&prefix, &filter, &request).await;
            let page = page.map_err(database_problem)?;
            page.reply::<UserView>("/users", request, &filters)
        }
    })
}

/// What is listed: everyone in the order of ids, or those whose address begins like this, by address.
enum Listing {
    All(PageRequest),
    Search(String, PageRequest<EmailCursor>),
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
