//! Keys as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::features::api_keys::{ApiKey, KeyRecord};

/// A live key, without the key itself.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct KeyView {
    id: Uuid,
    name: String,
    /// What the key begins with, to recognise it by.
    start: String,
    scopes: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it is over, by its lifetime or because it was rotated; null: it does not expire.
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    /// To the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
}

impl From<KeyRecord> for KeyView {
    fn from(key: KeyRecord) -> Self {
        Self {
            id: *key.id.as_uuid(),
            name: key.name.into(),
            start: key.start,
            scopes: key.scopes.as_slice().to_vec(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// A new key, with the key itself, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = NewApiKey)]
pub(super) struct NewKeyView {
    /// Sent as `Authorization: Bearer`. It is not kept, and cannot be shown again.
    key: String,
    #[serde(flatten)]
    about: KeyView,
}

impl NewKeyView {
    pub(super) fn new(record: KeyRecord, key: &ApiKey) -> Self {
        Self {
            key: key.expose().to_owned(),
            about: record.into(),
        }
    }
}

/// Live keys, oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyList)]
pub(super) struct KeyListView {
    items: Vec<KeyView>,
}

impl From<Vec<KeyRecord>> for KeyListView {
    fn from(keys: Vec<KeyRecord>) -> Self {
        Self {
            items: keys.into_iter().map(KeyView::from).collect(),
        }
    }
}
