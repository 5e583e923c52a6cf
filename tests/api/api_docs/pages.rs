//! `GET /docs`, `GET /redoc`, their parts, and `GET /problems/{code}`

use std::io::Read;

use flate2::read::GzDecoder;
use http::header;

use crate::support::TestApp;

/// What a page makes a browser fetch.
fn fetched_by(page: &str) -> Vec<String> {
    ["src=\"", "href=\"", "spec-url=\""]
        .iter()
        .flat_map(|attribute| page.split(attribute).skip(1))
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .filter(|address| address != "data:,")
        .collect()
}

#[tokio::test]
async fn both_pages_and_everything_they_fetch_come_from_the_service_itself() {
    let app = TestApp::start().await;

    for path in ["/docs", "/redoc"] {
        let page = app.get(path).send().await;

        page.assert_status(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let fetched = fetched_by(&page.text());
        assert!(fetched.len() >= 2, "{fetched:?}");
        for address in fetched {
            assert!(address.starts_with('/') && !address.starts_with("//"));
            app.get(&address).send().await.assert_status(200);
        }
    }
}

#[tokio::test]
async fn the_page_to_try_the_api_reads_the_document_of_the_service() {
    let app = TestApp::start().await;

    let script = app.get("/docs/swagger-start.js").send().await;

    script.assert_status(200);
    assert_eq!(
        script.header("content-type"),
        "text/javascript; charset=utf-8"
    );
    assert!(script.text().contains("/openapi.json"));
    // It would keep the password in the browser's storage.
    assert!(!script.text().contains("persistAuthorization"));
}

#[tokio::test]
async fn every_part_may_be_kept_and_asked_about() {
    let app = TestApp::start().await;

    for path in [
        "/docs",
        "/redoc",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/redoc/redoc.standalone.js",
        "/redoc/redoc.css",
    ] {
        let first = app.get(path).send().await;
        assert_eq!(first.header(header::CACHE_CONTROL), "public, max-age=300");
        let etag = first.header(header::ETAG);
        assert!(etag.len() > 8, "{path}: {etag}");

        for known in [etag, &format!("\"other\", {etag}"), "*"] {
            let again = app.get(path).header(header::IF_NONE_MATCH, known);
            let again = again.send().await;

            again.assert_status(304);
            assert!(again.body.is_empty());
            assert_eq!(again.header(header::ETAG), etag);
        }
        let changed = app.get(path).header(header::IF_NONE_MATCH, "\"other\"");
        changed.send().await.assert_status(200);
    }
}

#[tokio::test]
async fn large_parts_are_sent_packed_to_those_who_can_unpack_them() {
    let app = TestApp::start().await;

    for path in ["/docs/swagger-ui-bundle.js", "/redoc/redoc.standalone.js"] {
        let packed = app.get(path).header(header::ACCEPT_ENCODING, "gzip, br");
        let packed = packed.send().await;
        let plain = app.get(path).send().await;

        assert_eq!(packed.header(header::CONTENT_ENCODING), "gzip");
        assert_eq!(plain.header(header::CONTENT_ENCODING), "");
        for answer in [&packed, &plain] {
            assert_eq!(answer.header(header::VARY), "Accept-Encoding");
        }
        assert!(packed.body.len() < plain.body.len());
        let mut unpacked = Vec::new();
        GzDecoder::new(packed.body.as_ref())
            .read_to_end(&mut unpacked)
            .unwrap();
        assert!(unpacked == plain.body, "{path}");
    }
}

#[tokio::test]
async fn a_part_that_there_is_not_is_not_found() {
    let app = TestApp::start().await;

    for path in ["/docs/none.js", "/docs/..%2Fswagger.html", "/redoc/%00"] {
        let answer = app.get(path).send().await;

        answer.assert_problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_document_is_asked_about_each_time() {
    let app = TestApp::start().await;

    let answer = app.get("/openapi.json").send().await;

    assert_eq!(answer.header(header::CACHE_CONTROL), "no-cache");
}

#[tokio::test]
async fn a_code_is_explained_with_its_status() {
    let app = TestApp::start().await;

    let answer = app.get("/problems/body_too_large").send().await;

    answer.assert_status(200);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let page = answer.text();
    assert!(
        page.starts_with("<!doctype html>") && page.contains("413"),
        "{page}"
    );
}

#[tokio::test]
async fn an_unknown_code_is_not_found_and_not_repeated() {
    let app = TestApp::start().await;

    for code in [
        "nothing",
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "NOT_FOUND",
    ] {
        let answer = app.get(&format!("/problems/{code}")).send().await;

        answer.assert_problem(404, "not_found");
        assert!(!answer.text().contains("script"));
    }
}
