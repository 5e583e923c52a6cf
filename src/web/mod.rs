//! HTTP as features use it: the crate `chassis_http`, and the service's settings of it.

mod public_url;
mod settings;

pub use chassis_http::*;

/// The OpenAPI document and the parts it is made of.
pub mod openapi {
    pub use chassis_http::{openapi::*, schema::*};
}

pub use self::{
    public_url::PublicUrl,
    settings::{PROBLEM_TYPE_PREFIX, WebSettings},
};
pub use crate::{
    features::identity::ClientInfo,
    shared::{Cursor, ListPage, Page, PageRequest, UnknownCursor, present},
};
