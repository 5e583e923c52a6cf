//! The responses that most handlers return.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use warp::reply::{Reply, Response};

/// A response with a JSON body.
pub fn json<T: Serialize>(status: StatusCode, view: &T) -> Response {
    warp::reply::with_status(warp::reply::json(view), status).into_response()
}

/// A 201 with a JSON body and the path of the new resource in `Location`.
///
/// # Panics
///
/// When the location is not printable ASCII. Locations are made from ids, which are.
pub fn created<T: Serialize>(location: &str, view: &T) -> Response {
    let mut response = json(StatusCode::CREATED, view);
    let location = HeaderValue::from_str(location).expect("a location made from ids is ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// A 202: the request was taken, what becomes of it is not known yet.
#[must_use]
pub fn accepted() -> Response {
    StatusCode::ACCEPTED.into_response()
}

/// A 204: the request was carried out, and there is nothing to show.
#[must_use]
pub fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
