//! How the definition of an endpoint begins: with its method, and a guard that fits the method.

use http::Method;

use super::{
    builder::EndpointBuilder,
    guard::{ReadGuard, WriteGuard},
};

/// Defines a `GET` endpoint, which only reads; it also answers `HEAD`.
///
/// The guard rejects a caller before the query or the body is looked at.
///
/// ```
/// use chassis_http::{get, public};
///
/// async fn hello() -> &'static str {
///     "hello"
/// }
///
/// let endpoint = get("/hello", "Greet", public())
///     .responds_text("text/plain")
///     .handler(hello);
///
/// assert_eq!(endpoint.operation().template, "/hello");
/// ```
///
/// There is no endpoint without a guard:
///
/// ```compile_fail,E0061
/// # use chassis_http::get;
/// # async fn hello() -> &'static str { "hello" }
/// get("/hello", "Greet").handler(hello);
/// ```
pub fn get<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<ReadGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::GET, template, summary, guard.into().into())
}

/// Defines a `POST` endpoint.
///
/// Endpoints that write take a guard for writing:
///
/// ```
/// use warp::Filter;
/// use chassis_http::{Access, WriteGuard, post};
///
/// async fn create() -> &'static str {
///     "created"
/// }
///
/// let guard = WriteGuard::new(Access::SignedIn, &[], warp::any().boxed());
/// post("/notes", "Create a note", guard).handler(create);
/// ```
///
/// A guard for reading is not enough:
///
/// ```compile_fail,E0277
/// use warp::Filter;
/// use chassis_http::{Access, ReadGuard, post};
///
/// async fn create() -> &'static str {
///     "created"
/// }
///
/// let guard = ReadGuard::new(Access::SignedIn, &[], warp::any().boxed());
/// post("/notes", "Create a note", guard).handler(create);
/// ```
pub fn post<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<WriteGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::POST, template, summary, guard.into().into())
}

/// Defines a `PUT` endpoint; see [`post`].
pub fn put<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<WriteGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::PUT, template, summary, guard.into().into())
}

/// Defines a `PATCH` endpoint; see [`post`].
pub fn patch<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<WriteGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::PATCH, template, summary, guard.into().into())
}

/// Defines a `DELETE` endpoint; see [`post`].
pub fn delete<F>(
    template: &'static str,
    summary: &'static str,
    guard: impl Into<WriteGuard<F>>,
) -> EndpointBuilder<F> {
    EndpointBuilder::new(Method::DELETE, template, summary, guard.into().into())
}
