//! The built-in pages: one document with three titles, a stylesheet and a script, without anything from elsewhere.
//!
//! They hold no data: the token is in the fragment of the address, which the browser keeps to itself, and the script
//! posts it when a person presses the button.

use std::sync::LazyLock;

use http::{HeaderValue, header};
use warp::reply::Response;

/// A file of the built-in pages.
pub(super) struct File {
    pub(super) media_type: &'static str,
    content_type: HeaderValue,
    text: LazyLock<String>,
}

macro_rules! file {
    ($media_type:literal, $text:expr) => {
        File {
            media_type: $media_type,
            content_type: HeaderValue::from_static(concat!($media_type, "; charset=utf-8")),
            text: LazyLock::new($text),
        }
    };
}

const PAGE: &str = include_str!("pages/account.html");

pub(super) static VERIFY: File =
    file!("text/html", || page("verify", "Verify your e-mail address"));
pub(super) static RESET: File = file!("text/html", || page("reset", "Choose a new password"));
pub(super) static EMAIL: File = file!("text/html", || page(
    "email",
    "Confirm your new e-mail address"
));
pub(super) static STYLE: File = file!("text/css", || include_str!("pages/account.css").to_owned());
pub(super) static SCRIPT: File = file!("text/javascript", || include_str!("pages/account.js")
    .to_owned());

/// Files and requests of this origin, and nothing else. No other site shows the page in a frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

fn page(flow: &str, title: &str) -> String {
    PAGE.replace("{flow}", flow).replace("{title}", title)
}

impl File {
    pub(super) fn response(&'static self) -> Response {
        let mut response = Response::new(self.text.as_str().into());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        if self.media_type == "text/html" {
            headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
            // The address has a token, if only in its fragment.
            headers.insert(
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            );
        }
        response
    }
}
