//! The parts of an OpenAPI document that definitions of endpoints are made of.

use http::StatusCode;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Content, Ref, RefOr, Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
        request_body::{RequestBody as BodyDoc, RequestBodyBuilder},
        response::{Response as ResponseDoc, ResponseBuilder},
        schema::{ObjectBuilder, Schema, Type},
    },
};

/// The name of the template's `index`th `{name}`.
pub(super) fn name_in_path(template: &'static str, index: usize) -> Option<&'static str> {
    let mut named = template
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    named.nth(index)
}

pub(super) fn path_parameter(name: &str, about: &str, schema: RefOr<Schema>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

pub(super) fn json_body<T: ToSchema>() -> BodyDoc {
    RequestBodyBuilder::new()
        .content("application/json", Content::new(Some(reference::<T>())))
        .required(Some(Required::True))
        .build()
}

/// The description of a response with JSON of this type.
#[must_use]
pub fn json_response<T: ToSchema>(status: StatusCode) -> ResponseDoc {
    ResponseBuilder::new()
        .description(reason(status))
        .content("application/json", Content::new(Some(reference::<T>())))
        .build()
}

pub(super) fn empty_response(status: StatusCode) -> ResponseDoc {
    ResponseBuilder::new().description(reason(status)).build()
}

pub(super) fn text_response(media_type: &str) -> ResponseDoc {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ResponseBuilder::new()
        .description(reason(StatusCode::OK))
        .content(media_type, Content::new(Some(text)))
        .build()
}

/// A reference to a named schema of the document.
#[must_use]
pub fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Response")
}

/// Adds the schema of a type, and the schemas it refers to.
pub(crate) fn collect<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    T::schemas(schemas);
    schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
}
