//! The forms of OAuth 2.0, and their failures.

use chassis_http::schema::reference;
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{
        Content,
        response::{Response as ResponseDoc, ResponseBuilder},
    },
};

/// A failure of the form (RFC 6749, section 5.2).
#[derive(Serialize, ToSchema)]
#[schema(as = TokenError)]
pub(super) struct TokenErrorView {
    #[schema(example = "invalid_grant")]
    pub(super) error: &'static str,
    pub(super) error_description: &'static str,
}

impl TokenErrorView {
    /// A parameter is missing or repeated.
    pub(super) fn invalid_request(error_description: &'static str) -> Self {
        Self {
            error: "invalid_request",
            error_description,
        }
    }

    /// The description of a response (400) with this, for failures of these kinds.
    pub(super) fn doc(description: &'static str) -> ResponseDoc {
        let content = Content::new(Some(reference::<Self>()));
        ResponseBuilder::new()
            .description(description)
            .content("application/json", content)
            .build()
    }
}

/// The value of a parameter. Empty counts as missing, and a repeated one is an error (RFC 6749, section 3.2).
pub(super) fn parameter(body: &[u8], name: &str) -> Result<Option<String>, TokenErrorView> {
    let mut found = form_urlencoded::parse(body).filter(|(key, _)| key == name);
    let value = found.next().map(|(_, value)| value.into_owned());
    if found.next().is_some() {
        return Err(TokenErrorView::invalid_request("a parameter is repeated"));
    }
    Ok(value.filter(|value| !value.is_empty()))
}
