//! What can be served: every tower service that takes requests with this server's bodies.

use std::{
    future::Future,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::reply::RequestBody;

/// An error of any type.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Every [`tower_service::Service`] from `Request<RequestBody>` to `Response<B>` that can be cloned and sent to another
/// thread: this trait is implemented for all of them and is only a short name for the bounds.
///
/// The service is cloned for every request, as hyper asks for no readiness beforehand: keep what is expensive to clone
/// behind an `Arc`. An error of the service closes the connection without a response.
pub trait HttpService:
    Service<
        Request<RequestBody>,
        Response = Response<<Self as HttpService>::ResponseBody>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type ResponseBody: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<
            Request<RequestBody>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type ResponseBody = B;
}

/// A tower service made of a function, see [`service_fn`].
#[derive(Debug, Clone, Copy)]
pub struct ServiceFn<F>(F);

/// Makes a service of an asynchronous function from request to response.
///
/// ```
/// use std::convert::Infallible;
/// use chassis_server::RequestBody;
/// use http::{Request, Response};
///
/// let service = chassis_server::service_fn(async |request: Request<RequestBody>| {
///     Ok::<_, Infallible>(Response::new(request.uri().path().to_owned()))
/// });
/// # let _ = service;
/// ```
pub fn service_fn<F>(function: F) -> ServiceFn<F> {
    ServiceFn(function)
}

impl<F, Answer, T, E> Service<Request<RequestBody>> for ServiceFn<F>
where
    F: FnMut(Request<RequestBody>) -> Answer,
    Answer: Future<Output = Result<T, E>>,
{
    type Response = T;
    type Error = E;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Answer {
        (self.0)(request)
    }
}
