//! `GET /account/{verify,reset,email}` and the two files they load: where links lead when no front end is configured.

use chassis_http::{Endpoint, get, public};
use http::HeaderMap;
use warp::Filter;

use crate::features::recovery::pages::{self, File};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        page(
            "/account/verify",
            "Verify an e-mail address in a browser",
            &pages::VERIFY,
        ),
        page(
            "/account/reset",
            "Choose a new password in a browser",
            &pages::RESET,
        ),
        page(
            "/account/email",
            "Confirm a new e-mail address in a browser",
            &pages::EMAIL,
        ),
        page(
            "/account/account.css",
            "Style the built-in pages",
            &pages::STYLE,
        ),
        page(
            "/account/account.js",
            "Run the built-in pages",
            &pages::SCRIPT,
        ),
    ]
}

fn page(path: &'static str, summary: &'static str, file: &'static File) -> Endpoint {
    get(path, summary, public())
        .exempt()
        .ignores_query()
        .extract(warp::header::headers_cloned().boxed())
        .responds_text(file.media_type)
        .handler(move |_: HeaderMap| async move { file.response() })
}
