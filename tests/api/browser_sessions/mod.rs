//! Sessions that a browser holds by a cookie.

mod cross_site;
mod lifetime;
mod reauthenticate;
mod sign_in;
mod sign_out;

use http::{Method, header};
use serde_json::{Value, json};

use crate::support::{Answer, Call, TestApp, TestUser};

const ALLOWED: &str = "https://app.example.com";
const NAME: &str = "__Host-session";

async fn app() -> TestApp {
    app_with(&[]).await
}

async fn app_with(settings: &[(&str, &str)]) -> TestApp {
    let mut all = vec![
        ("COOKIE_SESSIONS", "on"),
        ("PUBLIC_URL", "https://api.example.com"),
        ("CORS_ALLOWED_ORIGINS", ALLOWED),
    ];
    all.extend(settings);
    TestApp::with(&all).await
}

/// The values that an answer sets the cookie to, with its attributes.
fn set_cookies(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all(header::SET_COOKIE).iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

/// The one cookie that an answer sets, as a browser sends it.
#[track_caller]
fn cookie_of(answer: &Answer) -> String {
    let [set] = &set_cookies(answer)[..] else {
        panic!("{:?}", set_cookies(answer));
    };
    let (pair, _) = set.split_once(';').unwrap();
    pair.to_owned()
}

/// A request of a page of this service.
fn call<'a>(app: &'a TestApp, method: Method, path: &str, cookie: &str) -> Call<'a> {
    let call = app.call(method, path).header("cookie", cookie);
    call.header("sec-fetch-site", "same-origin")
}

async fn get(app: &TestApp, path: &str, cookie: &str) -> Answer {
    call(app, Method::GET, path, cookie).send().await
}

async fn post(app: &TestApp, path: &str, cookie: &str, body: Option<&Value>) -> Answer {
    let call = call(app, Method::POST, path, cookie);
    match body {
        Some(body) => call.json(body),
        None => call,
    }
    .send()
    .await
}

fn credentials(user: &TestUser) -> Value {
    json!({"email": user.email, "password": user.password, "transport": "cookie"})
}

async fn try_sign_in(app: &TestApp, user: &TestUser) -> Answer {
    let call = app.post("/auth/token").json(&credentials(user));
    call.header("sec-fetch-site", "same-origin").send().await
}

async fn sign_in(app: &TestApp, user: &TestUser) -> String {
    let answer = try_sign_in(app, user).await;
    answer.assert_status(200);
    cookie_of(&answer)
}

/// A new user, and the cookie it is signed in by.
async fn signed_in(app: &TestApp) -> (TestUser, String) {
    let user = app.user().create().await;
    let cookie = sign_in(app, &user).await;
    (user, cookie)
}
