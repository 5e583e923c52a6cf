//! `docs/api.http`, a collection of requests for editors: written from the definitions of the endpoints and the
//! OpenAPI document.
//!
//! A new endpoint appears by itself. Bodies are the examples of the schemas, or made from the types of their fields;
//! `{id}` becomes the id that `POST` to the path above answered with, or the first one that `GET` lists. What cannot
//! be derived (variables, and a few paths and queries) is in the tables below. `tests/scripts/readme` sends all
//! requests to a running service.

use std::fmt::Write;

use chassis_http::{Access, Operation};
use http::Method;
use serde_json::{Map, Value, json};
use warp_skeleton::routes;

use super::{
    assert_current,
    endpoints::{app, operations},
};

const COLLECTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.http");

const INTRODUCTION: &str = "\
# Every request of the API, in an order that works: start the service with `make dev`, open this file in an editor that
# reads the format of VS Code's REST Client, and send one after the other. Later requests use answers of earlier ones
# (`# @name post_auth_token`, `{{post_auth_token.response.body.access_token}}`); JetBrains' editors do not support this:
# paste the token there.
#
# Requests that need a role use an administrator with the password below:
#   cargo run -- user create --email admin@example.com --role OWNER
#
# Written by the program: REWRITE=1 cargo test --test api reference

@host = http://127.0.0.1:8000
@email = test@example.com
@password = Pass123!
@admin_email = admin@example.com
@admin_password = Pass123!admin
@access = {{post_auth_token.response.body.access_token}}
@refresh = {{post_auth_token.response.body.refresh_token}}
@admin_access = {{admin.response.body.access_token}}

### Sign in as the administrator
# @name admin
POST {{host}}/auth/token
Content-Type: application/json

{\"email\": \"{{admin_email}}\", \"password\": \"{{admin_password}}\"}
";

/// Fields of bodies that are a variable of the collection.
const FIELDS: [(&str, &str); 7] = [
    ("email", "{{email}}"),
    ("username", "{{email}}"),
    ("password", "{{password}}"),
    ("current_password", "{{password}}"),
    ("new_password", "{{password}}"),
    ("refresh_token", "{{refresh}}"),
    ("grant_type", "password"),
];

/// What stands for the value in a path where it cannot be derived. The first session is the one in use.
const PATH_VALUES: [(&str, &str); 4] = [
    (
        "/auth/sessions/{id}",
        "{{get_auth_sessions.response.body.items[1].id}}",
    ),
    ("/docs/{asset}", "swagger-start.js"),
    ("/redoc/{asset}", "redoc.css"),
    ("/problems/{code}", "validation_failed"),
];

/// Queries that later requests depend on.
const QUERIES: [(&str, &str); 1] = [("/users", "?q={{email}}")];

/// Endpoints that end sessions or delete the account come last, because the requests before them need both.
const LAST: [&str; 4] = [
    "/auth/password",
    "/auth/logout",
    "/users/{id}",
    "/auth/logout-all",
];

#[tokio::test]
async fn the_collection_of_requests_is_current() {
    let app = app();
    let mut operations = operations(&app);
    operations.sort_by_key(|operation| LAST.iter().position(|path| *path == operation.template));
    let document = serde_json::to_value(routes::document(&app)).unwrap();

    let mut text = INTRODUCTION.to_owned();
    for operation in &operations {
        let bodies = bodies_of(operation, &document);
        for (index, body) in bodies.iter().enumerate() {
            // A name stands for one answer: that of the first.
            let name = (index == 0).then(|| name_used_elsewhere(operation, &operations));
            text += &request(operation, &operations, name.flatten(), body.as_ref());
        }
    }

    assert_current(COLLECTION, &text);
}

fn request(
    operation: &Operation,
    all: &[Operation],
    name: Option<String>,
    body: Option<&(String, String)>,
) -> String {
    let mut text = format!("\n### {}", operation.summary);
    if let Some(("application/x-www-form-urlencoded", _)) =
        body.map(|(kind, body)| (kind.as_str(), body))
    {
        text += ", by the form";
    }
    text.push('\n');
    if let Some(name) = name {
        writeln!(text, "# @name {name}").unwrap();
    }
    let query = value_of(&QUERIES, operation.template).filter(|_| operation.method == Method::GET);
    let (path, query) = (path_of(operation, all), query.unwrap_or_default());
    writeln!(text, "{} {{{{host}}}}{path}{query}", operation.method).unwrap();
    if let Some(token) = token_of(operation) {
        writeln!(text, "Authorization: Bearer {{{{{token}}}}}").unwrap();
    }
    if let Some((content_type, body)) = body {
        writeln!(text, "Content-Type: {content_type}\n\n{body}").unwrap();
    }
    text
}

/// The variable with the token that this endpoint accepts.
fn token_of(operation: &Operation) -> Option<&'static str> {
    // By then the other account is deleted.
    if operation.template == "/auth/logout-all" {
        return Some("admin_access");
    }
    match operation.access {
        Access::AtLeast(_) => Some("admin_access"),
        Access::SignedIn => Some("access"),
        _ => None,
    }
}

/// `post_notes` for `POST /notes`.
fn name_of(operation: &Operation) -> String {
    let words = operation
        .template
        .split(|letter: char| !letter.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let method = operation.method.as_str().to_lowercase();
    words.fold(method, |name, word| format!("{name}_{word}"))
}

/// The name of this request, when another one or the variables use its answer.
fn name_used_elsewhere(operation: &Operation, all: &[Operation]) -> Option<String> {
    let name = name_of(operation);
    let reference = format!("{{{{{name}.response");
    let used = INTRODUCTION.contains(&reference)
        || all
            .iter()
            .any(|other| path_of(other, all).contains(&reference));
    used.then_some(name)
}

/// The path, with a variable or a value for each `{name}` of the template.
fn path_of(operation: &Operation, all: &[Operation]) -> String {
    let template = operation.template;
    let mut path = template.to_owned();
    for (start, _) in template.match_indices("/{") {
        let (above, rest) = template.split_at(start + 1);
        let (name, _) = rest.split_once('}').unwrap();
        let value = path_value_of(template, above.trim_end_matches('/'), all);
        path = path.replace(&format!("{name}}}"), &value);
    }
    path
}

/// A variable or a value for the `{name}` of a template that comes after this.
fn path_value_of(template: &str, above: &str, all: &[Operation]) -> String {
    let defined = |method: Method| {
        all.iter()
            .find(|other| other.template == above && other.method == method)
    };
    if let Some(value) = value_of(&PATH_VALUES, template) {
        value.to_owned()
    } else if let Some(create) = defined(Method::POST) {
        format!("{{{{{}.response.body.id}}}}", name_of(create))
    } else if let Some(list) = defined(Method::GET) {
        format!("{{{{{}.response.body.items[0].id}}}}", name_of(list))
    } else {
        panic!("{template}: no request answers with this id; add a value to PATH_VALUES");
    }
}

fn value_of<'a>(table: &[(&str, &'a str)], key: &str) -> Option<&'a str> {
    let row = table.iter().find(|(name, _)| *name == key);
    row.map(|(_, value)| *value)
}

/// The content type and text of each body that the endpoint accepts; `None` for a request without one.
fn bodies_of(operation: &Operation, document: &Value) -> Vec<Option<(String, String)>> {
    let method = operation.method.as_str().to_lowercase();
    let content = &document["paths"][operation.template][method]["requestBody"]["content"];
    let Some(content) = content.as_object() else {
        return vec![None];
    };
    let bodies = content.iter().map(|(content_type, media)| {
        let fields = example_of(&media["schema"], document);
        let text = if content_type == "application/x-www-form-urlencoded" {
            form_of(&fields)
        } else {
            json_of(&fields)
        };
        Some((content_type.clone(), text))
    });
    bodies.collect()
}

/// An example of an object: each field from the table above, the schema's example, or its type.
fn example_of(schema: &Value, document: &Value) -> Map<String, Value> {
    let schema = resolved(schema, document);
    // The first of several ways.
    let schema = schema["oneOf"].get(0).unwrap_or(schema);
    let properties = schema["properties"].as_object();
    let fields = properties.into_iter().flatten().map(|(name, property)| {
        let property = resolved(property, document);
        let value = value_of(&FIELDS, name).map(Value::from);
        let value = value.or_else(|| schema["example"].get(name).cloned());
        let value = value.or_else(|| property.get("example").cloned());
        (
            name.clone(),
            value.unwrap_or_else(|| value_of_type(property)),
        )
    });
    fields.collect()
}

fn resolved<'a>(schema: &'a Value, document: &'a Value) -> &'a Value {
    let pointer = schema["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix('#'));
    pointer.map_or(schema, |path| document.pointer(path).unwrap())
}

fn value_of_type(property: &Value) -> Value {
    if let Some(value) = property["enum"].get(0) {
        return value.clone();
    }
    // `["boolean", "null"]` is a boolean that may be absent.
    let kind = property["type"].get(0).unwrap_or(&property["type"]);
    match (kind.as_str(), property["format"].as_str()) {
        (Some("boolean"), _) => true.into(),
        (Some("integer" | "number"), _) => property.get("minimum").cloned().unwrap_or(json!(1)),
        (Some("array"), _) => json!([]),
        (Some("object"), _) => json!({}),
        (_, Some("date-time")) => "2026-01-01T00:00:00Z".into(),
        _ => "text".into(),
    }
}

/// JSON on one line, with a blank after each comma and colon.
fn json_of(fields: &Map<String, Value>) -> String {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}"));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

fn form_of(fields: &Map<String, Value>) -> String {
    let fields = fields
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)));
    fields.collect::<Vec<_>>().join("&")
}
