//! `PATCH /auth/keys/{id}`: give one of the caller's keys another name.

use chassis_http::{Endpoint, Problem, ValidationErrors, json, patch};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::key_view::KeyView;
use crate::features::{
    api_keys::{KeyName, Keys},
    identity::{ApiKeyId, Auth, Caller, Locks, caller},
};

/// The new name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RenameKey {
    #[schema(
        min_length = 1,
        max_length = 80,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$",
        example = "monthly report"
    )]
    name: String,
}

pub(super) fn endpoint(keys: &Keys, auth: &Auth) -> Endpoint {
    patch("/auth/keys/{id}", "Rename an API key", caller(auth))
        .path_value::<ApiKeyId>("The key's id")
        .body::<RenameKey>()
        .responds::<KeyView>(StatusCode::OK)
        .with(keys.clone())
        .handler(handle)
}

async fn handle(
    caller: Caller,
    id: ApiKeyId,
    request: RenameKey,
    keys: Keys,
) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let Some(name) = errors.check("/name", KeyName::parse(&request.name)) else {
        return Err(errors.into());
    };
    let (owner, mut transaction) = caller.begin(Locks::None).await?;
    let renamed = keys.rename(&mut transaction, owner.id(), id, &name).await?;
    transaction.commit().await?;
    Ok(json(StatusCode::OK, &KeyView::from(renamed)))
}
