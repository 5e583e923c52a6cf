//! `GET /problems/{code}`: the page to which the `type` of a problem refers (RFC 9457, section 3.1.1).

use chassis_http::{Endpoint, Problem, ProblemType, get, public};
use http::{HeaderValue, header};
use warp::reply::Response;

use super::super::documentation::Documentation;

pub(super) fn endpoint(documentation: &Documentation) -> Endpoint {
    get("/problems/{code}", "Explain a problem's code", public())
        .exempt()
        .ignores_query()
        .path_value::<String>("The code")
        .responds_text("text/html")
        .with(documentation.clone())
        .handler(handle)
}

async fn handle(code: String, documentation: Documentation) -> Result<Response, Problem> {
    let kind = documentation
        .problem(&code)
        .ok_or_else(Problem::not_found)?;
    Ok(page(kind))
}

/// The page about one type of problem.
fn page(kind: &ProblemType) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n<p><code>{code}</code>, status {status}</p>\n<p>{about}</p>\n\
         <p>Every failure carries a correlation id, which finds it in the logs.</p>\n</body>\n</html>\n",
        title = kind.title,
        code = kind.code,
        status = kind.status.as_u16(),
        about = kind.about,
    );
    let mut response = Response::new(page.into());
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}
