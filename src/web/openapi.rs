//! The OpenAPI 3.1 document, from the same statements that make the filters.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, Content, Header, HeaderBuilder, Info, License, OpenApi, OpenApiBuilder,
        PathItem, Paths, Ref, RefOr, Required,
        path::{
            HttpMethod, Operation as OperationDoc, OperationBuilder, Parameter, ParameterBuilder,
            ParameterIn,
        },
        request_body::{RequestBody as BodyDoc, RequestBodyBuilder},
        response::{Response as ResponseDoc, ResponseBuilder},
        schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type},
        security::{
            Flow, Http, HttpAuthScheme, OAuth2, Password, Scopes, SecurityRequirement,
            SecurityScheme,
        },
        tag::TagBuilder,
    },
};

use super::{
    endpoint::Operation,
    guard::Access,
    problem::{ProblemType, ProblemView},
    rate_limit::RateLimitClass,
};

/// The endpoints of one room, with the words the document introduces them by.
pub struct Tag<'a> {
    /// The room's name.
    pub name: &'static str,
    /// What it is for, in a line.
    pub description: &'static str,
    /// What it states.
    pub operations: Vec<&'a Operation>,
}

/// Writes the document for everything that is served.
#[must_use]
pub fn document(title: &str, version: &str, features: &[Tag<'_>]) -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas = BTreeMap::new();
    let mut own = Vec::new();
    collect::<ProblemView<'_>>(&mut own);
    schemas.extend(own);
    for feature in features {
        for operation in &feature.operations {
            schemas.extend(operation.schemas.iter().cloned());
            paths.add_path_operation(
                operation.template,
                vec![method_of(&operation.method)],
                describe(feature.name, operation),
            );
        }
    }
    let mut components = Components::new();
    components.schemas.extend(schemas);
    components.add_security_scheme("bearer", bearer_scheme());
    components.add_security_scheme("password", password_scheme());
    let mut info = Info::new(title, version);
    info.description = Some(INTRODUCTION.to_owned());
    let mut license = License::new("Unlicense");
    license.identifier = Some("Unlicense".to_owned());
    info.license = Some(license);
    let tags = features.iter().map(|feature| {
        TagBuilder::new()
            .name(feature.name)
            .description(Some(feature.description))
            .build()
    });
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .tags(Some(tags.collect::<Vec<_>>()))
        .build()
}

const INTRODUCTION: &str = "\
Times are RFC 3339 in UTC, ids are UUIDs. Every reply carries `X-Correlation-ID`: your own when you send \
1 to 64 of `A-Z a-z 0-9 . _ -`, else a new one. Every failure is `application/problem+json` (RFC 9457) with a \
stable `code`, explained at `/problems/{code}`. `HEAD` works wherever `GET` does, and `OPTIONS` lists the methods \
of an address. A field or query parameter that is not listed here is refused.";

fn describe(room: &str, operation: &Operation) -> OperationDoc {
    let mut doc = OperationBuilder::new()
        .tag(room)
        .summary(Some(operation.summary))
        .description(Some(format!(
            "Who may call it: {}. Rate class: {}.",
            match operation.access {
                Access::AtLeast(role) => format!("{role} and above"),
                other => other.to_string(),
            },
            operation.rate_limit
        )))
        .operation_id(Some(operation_id(operation)))
        .request_body(operation.body.clone());
    for parameter in &operation.parameters {
        doc = doc.parameter(parameter.clone());
    }
    if operation.access.needs_token() {
        doc = doc
            .security(SecurityRequirement::new("bearer", Vec::<String>::new()))
            .security(SecurityRequirement::new("password", Vec::<String>::new()));
    }
    for (status, reply) in merged_replies(operation) {
        doc = doc.response(status.as_str(), reply);
    }
    doc.build()
}

/// `get_users_id`: unique, because method and template are.
fn operation_id(operation: &Operation) -> String {
    let words = operation
        .template
        .split(|c: char| !c.is_ascii_alphanumeric());
    let words = words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_");
    format!("{}_{words}", operation.method.as_str().to_lowercase())
}

/// What is answered by status: an own reply and several problems may share one.
fn merged_replies(operation: &Operation) -> BTreeMap<StatusCode, ResponseDoc> {
    let mut replies: BTreeMap<StatusCode, ResponseDoc> = operation.responses.iter().cloned().collect();
    let statuses: BTreeSet<StatusCode> =
        operation.problems.iter().map(|kind| kind.status).collect();
    for status in statuses {
        let kinds: Vec<&ProblemType> = operation
            .problems
            .iter()
            .copied()
            .filter(|kind| kind.status == status)
            .collect();
        let problem = problem_response(&kinds);
        match replies.get_mut(&status) {
            Some(own) => own.content.extend(problem.content),
            None => drop(replies.insert(status, problem)),
        }
    }
    for (status, reply) in &mut replies {
        add_headers(*status, operation.rate_limit, &mut reply.headers);
    }
    replies
}

/// The headers that follow from a status and a rate class, whatever the endpoint.
fn add_headers(status: StatusCode, rate_limit: RateLimitClass, headers: &mut BTreeMap<String, RefOr<Header>>) {
    let mut add = |name: &str, about: &str| {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let header = HeaderBuilder::new()
            .schema(Some(text))
            .description(Some(about))
            .build();
        headers.insert(name.to_owned(), header.into());
    };
    add(
        "X-Correlation-ID",
        "Finds the request in the logs and traces.",
    );
    if rate_limit != RateLimitClass::Exempt {
        add(
            "RateLimit-Policy",
            "How many requests are taken in how many seconds.",
        );
        add(
            "RateLimit",
            "How many are left, and in how many seconds all are again.",
        );
    }
    match status {
        StatusCode::CREATED => add("Location", "Where the new thing is."),
        StatusCode::UNAUTHORIZED => add("WWW-Authenticate", "How to prove who you are (RFC 6750)."),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            add("Retry-After", "How many seconds to wait.");
        }
        _ => {}
    }
}

fn problem_response(kinds: &[&ProblemType]) -> ResponseDoc {
    let codes: Vec<_> = kinds
        .iter()
        .map(|kind| format!("`{}`", kind.code))
        .collect();
    let first = kinds[0];
    let example = json!({
        "type": format!("/problems/{}", first.code),
        "title": first.title,
        "status": first.status.as_u16(),
        "detail": first.about,
        "code": first.code,
        "correlation_id": "5f9b3c1e-6a0d-4e57-9c0b-2f6f0c8f4a11",
    });
    let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
    content.example = Some(example);
    ResponseBuilder::new()
        .description(codes.join(", "))
        .content("application/problem+json", content)
        .build()
}

fn method_of(method: &Method) -> HttpMethod {
    match method.as_str() {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        other => unreachable!("no endpoint is stated for {other}"),
    }
}

fn bearer_scheme() -> SecurityScheme {
    let mut http = Http::new(HttpAuthScheme::Bearer);
    http.bearer_format = Some("JWT".to_owned());
    http.description = Some("An access token from `POST /auth/token`.".to_owned());
    SecurityScheme::Http(http)
}

fn password_scheme() -> SecurityScheme {
    let flow = Flow::Password(Password::new("/auth/token", Scopes::new()));
    SecurityScheme::OAuth2(OAuth2::with_description(
        [flow],
        "Sign in with e-mail and password; leave client id and secret empty.",
    ))
}

/// The name between the braces of the template's `index`th `{name}`.
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

/// A reply with JSON of this type.
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

/// The schema of an id.
#[must_use]
pub fn uuid_schema() -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(format))
        .build()
        .into()
}

/// A reference to a named schema of the document.
#[must_use]
pub fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Reply")
}

/// Adds a type's schema, and those it refers to.
pub(super) fn collect<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    T::schemas(schemas);
    schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
}

/// The document's items by path, for those who compare it with what is served.
#[must_use]
pub fn items(document: &OpenApi) -> &BTreeMap<String, PathItem> {
    &document.paths.paths
}
