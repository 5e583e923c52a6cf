//! `POST /auth/keys`: make a key. It takes a session in which the password was given just now.

use std::borrow::Cow;

use chassis_http::{Endpoint, Problem, ValidationError, ValidationErrors, created, post};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::key_view::NewKeyView;
use crate::features::{
    api_keys::{KeyName, Keys, KnownScopes, NewKey, Scopes, problems::TOO_MANY_KEYS},
    identity::{Auth, Caller, Locks, recently_authenticated},
};

/// For how many days a key can be good: ten years.
const MOST_DAYS: u32 = 3650;

/// The key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateKey {
    /// What you call it.
    #[schema(
        min_length = 1,
        max_length = 80,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$",
        example = "nightly report"
    )]
    name: String,
    /// What it is good for: scopes of endpoints, as each operation states them.
    #[schema(min_items = 1, example = json!(["account:read"]))]
    scopes: Vec<String>,
    /// Absent or null: it does not expire.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650, example = 90)]
    expires_in_days: Option<u32>,
}

/// A key cannot be good for so many days.
struct UnfitLifetime;

impl ValidationError for UnfitLifetime {
    fn code(&self) -> &'static str {
        "invalid_value"
    }

    fn detail(&self) -> Cow<'static, str> {
        format!("expected a whole number from 1 to {MOST_DAYS}").into()
    }
}

pub(super) fn endpoint(keys: &Keys, auth: &Auth, scopes: &KnownScopes) -> Endpoint {
    post(
        "/auth/keys",
        "Make an API key",
        recently_authenticated(auth),
    )
    .body::<CreateKey>()
    .responds::<NewKeyView>(StatusCode::CREATED)
    .problems(&[&TOO_MANY_KEYS])
    .with(keys.clone())
    .with(scopes.clone())
    .handler(handle)
}

async fn handle(
    caller: Caller,
    request: CreateKey,
    keys: Keys,
    known: KnownScopes,
) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let name = errors.check("/name", KeyName::parse(&request.name));
    let scopes = errors.check("/scopes", Scopes::parse(&request.scopes, &known));
    let days = request.expires_in_days.map(|days| {
        let is_fit = (1..=MOST_DAYS).contains(&days);
        is_fit.then_some(days).ok_or(UnfitLifetime)
    });
    let days = errors.check_some("/expires_in_days", days);
    let (Some(name), Some(scopes)) = (name, scopes) else {
        return Err(errors.into());
    };
    errors.finish()?;
    let new = NewKey {
        name,
        scopes,
        lifetime: days.map(|days| time::Duration::days(days.into())),
    };
    let (owner, mut transaction) = caller.begin(Locks::Account).await?;
    let (record, key) = keys.create(&mut transaction, owner.id(), new).await?;
    transaction.commit().await?;
    let location = format!("/auth/keys/{}", record.id);
    Ok(created(&location, &NewKeyView::new(record, &key)))
}
