//! What the service answered.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt;
use jsonschema::Validator;
use serde_json::{Value, json};
use warp::reply::Response;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(super) async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text, empty when it is not there.
    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Fails unless this is the status.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// Fails unless this is a problem of this status and code, whole in every part.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) -> &Self {
        self.assert_status(status);
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "application/problem+json"
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["correlation_id"], self.header("x-correlation-id"));
        assert!(
            problem["title"].is_string() && problem["detail"].is_string(),
            "{problem}"
        );
        self
    }

    /// Fails unless this is a 422 that blames exactly these fields, each `pointer code`.
    #[track_caller]
    pub fn assert_invalid(&self, expected: &[&str]) -> &Self {
        self.assert_problem(422, "validation_failed");
        let problem = self.json();
        let found: Vec<_> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| {
                format!(
                    "{} {}",
                    error["pointer"].as_str().unwrap(),
                    error["code"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(found, expected, "{problem}");
        self
    }

    /// Fails when a documented endpoint answers in a way its document does not mention.
    #[track_caller]
    pub(super) fn assert_documented(&self, openapi: &Value, method: &Method, path: &str) {
        let method = if method == Method::HEAD {
            "get"
        } else {
            &method.as_str().to_lowercase()
        };
        let Some((template, item)) = find(openapi, path) else {
            return;
        };
        let Some(operation) = item.get(method) else {
            assert!(
                matches!(self.status.as_u16(), 204 | 405),
                "{method} {template}: {}",
                self.status
            );
            return;
        };
        let reply = &operation["responses"][self.status.as_str()];
        assert!(
            reply.is_object(),
            "{method} {template} does not document {}: {}",
            self.status,
            self.text()
        );
        let documented = reply["content"].as_object();
        if let Some(documented) = documented.filter(|_| !self.body.is_empty()) {
            let sent = self.header(header::CONTENT_TYPE);
            let fits = |name: &String| name == "*/*" || sent.starts_with(name.as_str());
            assert!(
                documented.keys().any(fits),
                "{method} {template} does not document {sent}"
            );
            if let Some(Value::String(reference)) = documented
                .get(sent)
                .and_then(|content| content.pointer("/schema/$ref"))
            {
                self.assert_fits(openapi, reference);
            }
        }
    }

    /// Fails when the body is not of the schema that the document refers to.
    #[track_caller]
    fn assert_fits(&self, openapi: &Value, reference: &str) {
        let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = validators.entry(reference.to_owned()).or_insert_with(|| {
            let schema = json!({"$ref": reference, "components": openapi["components"]});
            let validator = jsonschema::draft202012::options()
                .should_validate_formats(true)
                .build(&schema);
            Arc::new(validator.unwrap())
        });
        let (validator, body) = (Arc::clone(validator), self.json());
        drop(validators);
        let errors: Vec<_> = validator
            .iter_errors(&body)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{reference}: {errors:?} in {body}");
    }
}

/// The schemas that were needed so far; the document is the same in every test.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The item of the document that describes this path: one without `{…}` wins.
fn find<'a>(openapi: &'a Value, path: &str) -> Option<(&'a String, &'a Value)> {
    let paths = openapi["paths"].as_object().unwrap();
    let matches = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template
                .zip(path)
                .all(|(part, sent)| part == sent || part.starts_with('{') && !sent.is_empty())
    };
    let mut found: Vec<_> = paths
        .iter()
        .filter(|(template, _)| matches(template))
        .collect();
    found.sort_by_key(|(template, _)| template.contains('{'));
    found.into_iter().next()
}
