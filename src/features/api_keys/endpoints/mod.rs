//! The endpoints, one file each.

mod create_key;
mod key_view;
mod list_keys;
mod list_user_keys;
mod rename_key;
mod revoke_key;
mod revoke_user_key;
mod rotate_key;

use chassis_http::Feature;

use super::{Keys, KnownScopes};
use crate::features::identity::Auth;

/// Every endpoint of this feature. A key may have any of these scopes.
#[must_use]
pub fn endpoints(keys: &Keys, auth: &Auth, scopes: &KnownScopes) -> Feature {
    Feature {
        name: "keys",
        description: "API keys, by which machines act for an account",
        endpoints: vec![
            create_key::endpoint(keys, auth, scopes),
            list_keys::endpoint(keys, auth),
            rename_key::endpoint(keys, auth),
            rotate_key::endpoint(keys, auth),
            revoke_key::endpoint(keys, auth),
            list_user_keys::endpoint(keys, auth),
            revoke_user_key::endpoint(keys, auth),
        ],
    }
}
