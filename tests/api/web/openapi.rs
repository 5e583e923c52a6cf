//! The document says what is served, and nothing else.

use std::collections::BTreeSet;

use chassis_http::Access;
use http::Method;
use serde_json::Value;

use super::operations;
use crate::support::TestApp;

async fn served(app: &TestApp) -> Value {
    let answer = app.get("/openapi.json").send().await;
    answer.assert_status(200);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

/// Every object within, with the pointer that leads to it.
fn walk<'a>(value: &'a Value, place: &str, see: &mut impl FnMut(&str, &'a Value)) {
    see(place, value);
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                walk(inner, &format!("{place}/{name}"), see);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                walk(inner, &format!("{place}/{index}"), see);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn the_address_of_the_service_is_that_of_the_settings_and_never_the_host_of_a_request() {
    let app = TestApp::start().await;
    let public = app.replica_with(&[("PUBLIC_URL", "https://api.example.com")]);

    let unknown = served(&app).await;
    let known = served(&public).await;

    assert_eq!(unknown.get("servers"), None);
    assert_eq!(
        known["servers"],
        serde_json::json!([{"url": "https://api.example.com"}])
    );
}

#[tokio::test]
async fn the_document_describes_exactly_the_endpoints_that_are_served() {
    let app = TestApp::start().await;

    let document = served(&app).await;

    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let stated: BTreeSet<_> = operations(&app)
        .iter()
        .map(|operation| format!("{} {}", operation.method, operation.template))
        .collect();
    assert_eq!(described, stated);
}

#[tokio::test]
async fn each_operation_has_the_statuses_the_guard_and_the_parameters_that_were_stated() {
    let app = TestApp::start().await;

    let document = served(&app).await;

    for operation in operations(&app) {
        let method = operation.method.as_str().to_lowercase();
        let described = &document["paths"][operation.template][&method];
        let place = format!("{method} {}", operation.template);

        let replies = described["responses"].as_object().unwrap();
        let found: BTreeSet<_> = replies.keys().cloned().collect();
        let stated: BTreeSet<_> = operation
            .statuses()
            .map(|status| status.as_str().to_owned())
            .collect();
        assert_eq!(found, stated, "{place}");

        let secured = described["security"].is_array();
        assert_eq!(secured, operation.access.takes_token(), "{place}");
        // An empty one: a request may do without.
        let may_be_open = secured && described["security"][0] == serde_json::json!({});
        assert_eq!(may_be_open, operation.access == Access::Optional, "{place}");

        let in_path: BTreeSet<_> = described["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| {
                assert_eq!(parameter["required"], true, "{place}");
                parameter["name"].as_str().unwrap().to_owned()
            })
            .collect();
        let in_template: BTreeSet<_> = operation
            .template
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(str::to_owned)
            .collect();
        assert_eq!(in_path, in_template, "{place}");
    }
}

#[tokio::test]
async fn every_failure_is_described_as_a_problem() {
    let app = TestApp::start().await;

    let document = served(&app).await;

    walk(&document["paths"], "", &mut |place, value| {
        let Some((_, status)) = place.rsplit_once("/responses/") else {
            return;
        };
        if status.len() == 3 && status >= "400" {
            let problem = &value["content"]["application/problem+json"];
            assert_eq!(
                problem["schema"]["$ref"], "#/components/schemas/Problem",
                "{place}"
            );
        }
    });
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let app = TestApp::start().await;

    let document = served(&app).await;

    let mut references = 0;
    walk(&document, "", &mut |place, value| {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{place}: {target}");
            references += 1;
        }
    });
    assert!(references > 50, "{references}");
}

#[tokio::test]
async fn every_schema_is_referred_to() {
    let app = TestApp::start().await;

    let document = served(&app).await;

    let text = document.to_string();
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            text.contains(&format!("\"#/components/schemas/{name}\"")),
            "nothing refers to {name}"
        );
    }
}

#[tokio::test]
async fn every_security_requirement_names_a_scheme_that_is_described() {
    let app = TestApp::start().await;

    let document = served(&app).await;

    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .unwrap();
    walk(&document["paths"], "", &mut |place, value| {
        if place.ends_with("/security") {
            let required = value.as_array().unwrap().iter();
            for name in required.flat_map(|one| one.as_object().unwrap().keys()) {
                assert!(schemes.contains_key(name), "{place}: {name}");
            }
        }
    });
    assert_eq!(schemes["bearer"]["scheme"], "bearer");
    assert_eq!(
        schemes["password"]["flows"]["password"]["tokenUrl"],
        "/auth/token"
    );
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_and_says_what_it_is_for() {
    let app = TestApp::start().await;

    let document = served(&app).await;

    let mut names = BTreeSet::new();
    let mut count = 0;
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            count += 1;
            names.insert(operation["operationId"].as_str().unwrap());
            assert_ne!(operation["summary"].as_str().unwrap(), "");
            assert!(operation["tags"][0].is_string());
        }
    }
    assert_eq!(names.len(), count);
}

#[tokio::test]
async fn every_body_is_described_where_one_is_read() {
    let app = TestApp::start().await;

    let document = served(&app).await;

    for operation in operations(&app) {
        let method = operation.method.as_str().to_lowercase();
        let described = &document["paths"][operation.template][&method];
        // JSON, a form, or both.
        let content = described["requestBody"]["content"].as_object();
        let reads_body = content.is_some_and(|types| !types.is_empty());
        let may_be_415 = operation.statuses().any(|status| status == 415);
        assert_eq!(reads_body, may_be_415, "{method} {}", operation.template);
        if operation.method == Method::GET {
            assert!(described.get("requestBody").is_none());
        }
    }
}

#[tokio::test]
async fn every_problem_that_an_endpoint_may_answer_with_is_explained_to_a_person() {
    let app = TestApp::start().await;
    let codes: BTreeSet<_> = operations(&app)
        .iter()
        .flat_map(|operation| operation.problems().iter().map(|kind| kind.code))
        .chain(["method_not_allowed"])
        .collect();

    for code in &codes {
        let answer = app.get(&format!("/problems/{code}")).send().await;

        answer.assert_status(200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(answer.text().contains(&format!("<code>{code}</code>")));
    }
    assert!(codes.len() > 15, "{codes:?}");
}

#[tokio::test]
async fn the_document_is_of_openapi_3_1_and_carries_the_version_of_the_service() {
    let app = TestApp::start().await;

    let document = served(&app).await;

    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["info"]["title"], "warp-skeleton");
    assert_eq!(&document, app.openapi());
}
