//! The OpenAPI 3.1 document, from the definitions that the filters are made from.
//!
//! Endpoints are listed in the order in which they are defined, and so are the fields of schemas: a reader meets
//! "create" before "delete". utoipa keeps both orders with its features `preserve_path_order` and `preserve_order`;
//! Swagger UI and ReDoc keep the document's order unless they are told to sort. Schemas are sorted by name, because
//! they are looked up and not read from start to end.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};
use serde_json::json;
use utoipa::openapi::{
    Components, Content, Header, HeaderBuilder, Info, License, OpenApi, OpenApiBuilder, PathItem,
    Paths, Ref, RefOr,
    path::{HttpMethod, Operation as OperationDoc, OperationBuilder},
    response::{Response as ResponseDoc, ResponseBuilder},
    schema::{ObjectBuilder, Schema, Type},
    security::{SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

use super::{
    endpoint::Operation,
    guard::Access,
    problem::{ProblemType, ProblemView},
    rate_limit::RateLimitClass,
    schema,
};

/// What the document says about the API as a whole.
#[derive(Clone)]
pub struct ApiInfo<'a> {
    /// The name of the API.
    pub title: &'a str,
    /// Its version.
    pub version: &'a str,
    /// An introduction in Markdown.
    pub description: &'a str,
    /// The SPDX identifier of its licence.
    pub license: Option<&'a str>,
    /// How callers prove who they are.
    pub credentials: Vec<CredentialScheme<'a>>,
    /// [`HttpOptions::problem_type_prefix`](crate::HttpOptions::problem_type_prefix), for examples.
    pub problem_type_prefix: &'a str,
}

/// A way for callers to prove who they are.
#[derive(Clone)]
pub struct CredentialScheme<'a> {
    /// Its name in the document.
    pub name: &'a str,
    /// What it is.
    pub scheme: SecurityScheme,
    /// Whether only endpoints with a [`scope`](Operation::scope) take it, and others every one that needs a caller.
    pub is_scoped: bool,
}

/// A tag of the document: the operations of one feature.
#[derive(Clone)]
pub struct Tag<'a> {
    /// The feature's name.
    pub name: &'static str,
    /// What the feature is for, in one line.
    pub description: &'static str,
    /// Its operations, in the order in which they are listed.
    pub operations: Vec<&'a Operation>,
}

/// Writes the document for these operations.
///
/// # Panics
///
/// When two types with different schemas, two operations or two tags have the same name: one would replace the other in
/// the document, or in what is generated from it.
#[must_use]
pub fn document(info: &ApiInfo<'_>, tags: &[Tag<'_>]) -> OpenApi {
    assert_distinct(tags);
    let mut paths = Paths::new();
    for tag in tags {
        for operation in &tag.operations {
            paths.add_path_operation(
                operation.template,
                vec![http_method(&operation.method)],
                describe(info, tag.name, operation),
            );
        }
    }
    let tag_docs = tags.iter().map(|tag| {
        TagBuilder::new()
            .name(tag.name)
            .description(Some(tag.description))
            .build()
    });
    OpenApiBuilder::new()
        .info(info_object(info))
        .paths(paths)
        .components(Some(components(info, tags)))
        .tags(Some(tag_docs.collect::<Vec<_>>()))
        .build()
}

/// Generators of clients make a method of each operation's id, and a class of each tag.
fn assert_distinct(tags: &[Tag<'_>]) {
    let mut names = BTreeSet::new();
    let mut operations = BTreeMap::new();
    for tag in tags {
        assert!(
            names.insert(tag.name),
            "two tags are called {}: give one another name",
            tag.name
        );
        for operation in &tag.operations {
            let id = operation_id(operation);
            if let Some(other) = operations.insert(id.clone(), operation.template) {
                panic!(
                    "the operations of {other} and {} are both called {id}: give one another path",
                    operation.template
                );
            }
        }
    }
}

fn info_object(info: &ApiInfo<'_>) -> Info {
    let mut object = Info::new(info.title, info.version);
    object.description = Some(info.description.to_owned());
    object.license = info.license.map(|identifier| {
        let mut license = License::new(identifier);
        license.identifier = Some(identifier.to_owned());
        license
    });
    object
}

fn components(info: &ApiInfo<'_>, tags: &[Tag<'_>]) -> Components {
    let mut schemas = Vec::new();
    schema::collect::<ProblemView<'_>>(&mut schemas);
    let operations = tags.iter().flat_map(|tag| &tag.operations);
    schemas.extend(operations.flat_map(|operation| operation.schemas.iter().cloned()));
    let schemas = by_name(schemas);
    let mut components = Components::new();
    components.schemas.extend(schemas);
    for credential in &info.credentials {
        components.add_security_scheme(credential.name, credential.scheme.clone());
    }
    components
}

/// Each schema once. Two features whose types share a name have to agree on what it means.
fn by_name(schemas: Vec<(String, RefOr<Schema>)>) -> BTreeMap<String, RefOr<Schema>> {
    let mut found: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    for (name, schema) in schemas {
        if let Some(other) = found.get(&name) {
            assert!(
                *other == schema,
                "two types with different schemas are called {name}: give one another name by #[schema(as = …)]"
            );
        }
        found.insert(name, schema);
    }
    found
}

fn describe(info: &ApiInfo<'_>, tag: &str, operation: &Operation) -> OperationDoc {
    let takes_scopes = info.credentials.iter().any(|way| way.is_scoped);
    let mut doc = OperationBuilder::new()
        .tag(tag)
        .summary(Some(operation.summary))
        .description(Some(format!(
            "Who may call it: {}. {}Rate class: {}.",
            match operation.access {
                Access::AtLeast(role) => format!("{role} and above"),
                other => other.to_string(),
            },
            match operation.scope {
                Some(scope) if takes_scopes => format!("Scope: `{scope}`. "),
                _ => String::new(),
            },
            operation.rate_limit
        )))
        .operation_id(Some(operation_id(operation)))
        .request_body(operation.body.clone());
    for parameter in &operation.parameters {
        doc = doc.parameter(parameter.clone());
    }
    if operation.access == Access::Optional {
        doc = doc.security(SecurityRequirement::default());
    }
    if operation.access.takes_token() {
        for credential in &info.credentials {
            let scopes = operation.scope.filter(|_| credential.is_scoped);
            if credential.is_scoped && scopes.is_none() {
                continue;
            }
            doc = doc.security(SecurityRequirement::new(credential.name, scopes));
        }
    }
    for (status, response) in responses(info, operation) {
        doc = doc.response(status.as_str(), response);
    }
    doc.build()
}

/// `get_users_id`, for example. Paths that differ in punctuation alone would share one.
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

/// The responses by status. A response of the endpoint and several problems may share one.
fn responses(info: &ApiInfo<'_>, operation: &Operation) -> BTreeMap<StatusCode, ResponseDoc> {
    let mut responses: BTreeMap<StatusCode, ResponseDoc> =
        operation.responses.iter().cloned().collect();
    let statuses: BTreeSet<StatusCode> =
        operation.problems.iter().map(|kind| kind.status).collect();
    for status in statuses {
        let kinds: Vec<&ProblemType> = operation
            .problems
            .iter()
            .copied()
            .filter(|kind| kind.status == status)
            .collect();
        let problem = problem_response(info, &kinds);
        match responses.get_mut(&status) {
            Some(own) => own.content.extend(problem.content),
            None => drop(responses.insert(status, problem)),
        }
    }
    for (status, response) in &mut responses {
        add_headers(*status, operation.rate_limit, &mut response.headers);
    }
    responses
}

/// Adds the headers that depend on the status and the rate limit alone.
fn add_headers(
    status: StatusCode,
    rate_limit: RateLimitClass,
    headers: &mut BTreeMap<String, RefOr<Header>>,
) {
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
    if rate_limit != RateLimitClass::EXEMPT {
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

fn problem_response(info: &ApiInfo<'_>, kinds: &[&ProblemType]) -> ResponseDoc {
    let codes: Vec<_> = kinds
        .iter()
        .map(|kind| format!("`{}`", kind.code))
        .collect();
    let first = kinds[0];
    let example = json!({
        "type": format!("{}{}", info.problem_type_prefix, first.code),
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

fn http_method(method: &Method) -> HttpMethod {
    match method.as_str() {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        other => unreachable!("no endpoint is defined for {other}"),
    }
}

/// The path items of the document in order, to compare it with what is served.
pub fn path_items(document: &OpenApi) -> impl Iterator<Item = (&str, &PathItem)> {
    let items = document.paths.paths.iter();
    items.map(|(path, item)| (path.as_str(), item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, get, public};

    fn endpoint(template: &'static str) -> Endpoint {
        let response = async || "";
        get(template, "Test", public()).handler(response)
    }

    fn document_of(endpoints: &[Endpoint]) -> OpenApi {
        let info = ApiInfo {
            title: "Test",
            version: "1",
            description: "",
            license: None,
            credentials: Vec::new(),
            problem_type_prefix: "/problems/",
        };
        let tag = Tag {
            name: "test",
            description: "Test",
            operations: endpoints.iter().map(Endpoint::operation).collect(),
        };
        document(&info, &[tag])
    }

    #[test]
    fn paths_are_listed_in_the_order_of_their_definition() {
        let document = document_of(&["/z", "/a", "/m"].map(endpoint));

        let paths: Vec<_> = path_items(&document).map(|(path, _)| path).collect();
        assert_eq!(paths, ["/z", "/a", "/m"]);
    }

    #[test]
    #[should_panic(
        expected = "the operations of /order-lines and /order/lines are both called get_order_lines"
    )]
    fn two_operations_of_one_name_are_a_mistake() {
        document_of(&["/order-lines", "/order/lines"].map(endpoint));
    }

    #[test]
    #[should_panic(expected = "two tags are called test")]
    fn two_tags_of_one_name_are_a_mistake() {
        let tag = || Tag {
            name: "test",
            description: "Test",
            operations: Vec::new(),
        };
        assert_distinct(&[tag(), tag()]);
    }

    #[test]
    #[should_panic(expected = "two types with different schemas are called Note")]
    fn two_schemas_of_one_name_are_a_mistake() {
        #[derive(utoipa::ToSchema)]
        #[schema(as = Note)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct One {
            text: String,
        }
        #[derive(utoipa::ToSchema)]
        #[schema(as = Note)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Other {
            title: String,
        }
        let response = async || "";
        let one = get("/one", "Test", public()).responds::<One>(StatusCode::OK);
        let other = get("/other", "Test", public()).responds::<Other>(StatusCode::OK);

        document_of(&[one.handler(response), other.handler(response)]);
    }
}
