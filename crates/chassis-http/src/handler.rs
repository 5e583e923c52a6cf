//! How a handler, an ordinary async function, is joined to the filters of its endpoint.
//!
//! warp's filters extract tuples and do their arithmetic on tuples with traits that warp keeps
//! private, so code that is generic over "a filter, whatever it extracts" cannot be written. The
//! few operations that the builder needs are therefore traits of ours, implemented by macro for
//! every number of values that an endpoint takes:
//!
//! - [`Append`]: a filter that extracts `(A, B)` becomes one that extracts `(A, B, C)`.
//! - [`Push`]: the same for the tuple itself.
//! - [`State`]: the values of `EndpointBuilder::with`, which are pushed behind what was extracted
//!   when the handler is called. They are kept apart from the filters because each filter that is
//!   appended costs an allocation per request, and a clone of a handle needs none.
//! - [`Handler`]: a function whose parameters are the resulting tuple.
//! - [`Accepts`]: that function behind a pointer, whatever its type.
//! - [`Serve`]: all of it put together, a function from request to response.
//!
//! What warp makes of a filter is some hundred functions, which the compiler generates again for
//! each type that the filter is made of. The type of the handler is not among them, so that
//! endpoints that extract the same are served by the same code.

#![expect(
    non_snake_case,
    reason = "the macros name each value like its type parameter"
)]

use std::{convert::Infallible, pin::pin, sync::Arc};

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use http::Request;
use tower_service::Service;
use warp::{
    Filter, Rejection,
    filters::BoxedFilter,
    reply::{Reply, Response},
};

use super::{
    body::RequestBody,
    endpoint::ServeRequest,
    problem::{INVALID_REQUEST, Problem},
};

/// A filter that can extract one more value.
pub trait Append<T> {
    /// The filter that extracts `T` as well.
    type Longer;

    /// Runs `next` after this filter and extracts the values of both.
    fn append(self, next: BoxedFilter<(T,)>) -> Self::Longer;
}

/// A tuple that can be one value longer.
pub trait Push<T> {
    /// The tuple with a `T` at its end.
    type Longer;

    /// Adds a value at the end.
    fn push(self, value: T) -> Self::Longer;
}

/// The values a handler gets besides what was extracted from the request.
///
/// `()` is no value, `(S, T)` is the values of `S` and then a `T`.
pub trait State<Extracted>: Clone + Send + Sync + 'static {
    /// What was extracted, followed by these values.
    type Arguments;

    /// Clones the values behind what was extracted.
    fn append_to(&self, extracted: Extracted) -> Self::Arguments;
}

impl<Extracted> State<Extracted> for () {
    type Arguments = Extracted;

    fn append_to(&self, extracted: Extracted) -> Extracted {
        extracted
    }
}

impl<Extracted, S, T> State<Extracted> for (S, T)
where
    S: State<Extracted>,
    S::Arguments: Push<T>,
    T: Clone + Send + Sync + 'static,
{
    type Arguments = <S::Arguments as Push<T>>::Longer;

    fn append_to(&self, extracted: Extracted) -> Self::Arguments {
        self.0.append_to(extracted).push(self.1.clone())
    }
}

/// An async function that answers requests: `async fn(A, B, …) -> R` with `R: Reply`, among them
/// `Response` and `Result<Response, Problem>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle a request from which `{Arguments}` is extracted",
    note = "a handler is an async function that takes what the guard, the path, the query, the body \
            and `with` provide, in this order, and returns a `Reply`"
)]
pub trait Handler<Arguments>: Clone + Send + Sync + 'static {
    /// Answers a request.
    fn call(self, arguments: Arguments) -> BoxFuture<'static, Response>;
}

/// A filter that can be completed by a handler of any type: the part that depends on what it extracts alone.
pub trait Serve {
    /// A handler as a function of what the filter extracts.
    type Boxed;

    /// A handler that gives the same problem whatever it gets.
    fn refusal(problem: fn() -> Problem) -> Self::Boxed;

    /// Runs this filter and then the handler. Rejections become problems.
    fn serve(self, handler: Self::Boxed) -> ServeFn;
}

/// A filter that can be completed by this handler with these values.
pub trait Accepts<S, H>: Serve {
    /// The handler, with the values it gets besides.
    fn boxed_handler(state: S, handler: H) -> Self::Boxed;
}

/// A function from request to response.
pub struct ServeFn(pub(super) Box<ServeRequest>);

/// The one place where a rejection becomes a response.
///
/// Rejections of our own filters carry their problem. Of warp's, those that only say "not mine"
/// mean that a filter inside the endpoint did not match.
pub(super) async fn into_problem(rejection: Rejection) -> Result<Response, Infallible> {
    use warp::reject;

    let problem = if let Some(problem) = rejection.find::<Problem>() {
        problem.clone()
    } else if rejection.is_not_found() {
        Problem::not_found()
    } else if rejection.find::<reject::InvalidQuery>().is_some() {
        Problem::new(&INVALID_REQUEST, "the query string cannot be read")
    } else if rejection.find::<reject::MissingHeader>().is_some()
        || rejection.find::<reject::InvalidHeader>().is_some()
    {
        Problem::new(&INVALID_REQUEST, "a header is missing or cannot be read")
    } else {
        Problem::internal(UnknownRejection(format!("{rejection:?}")))
    };
    Ok(problem.into_response())
}

#[derive(Debug, thiserror::Error)]
#[error("a filter rejected the request with a rejection that has no problem type: {0}")]
struct UnknownRejection(String);

macro_rules! filters {
    ($($name:ident)*) => {
        impl<$($name,)* Next> Append<Next> for BoxedFilter<($($name,)*)>
        where
            $($name: Send + 'static,)*
            Next: Send + 'static,
        {
            type Longer = BoxedFilter<($($name,)* Next,)>;

            fn append(self, next: BoxedFilter<(Next,)>) -> Self::Longer {
                self.and(next).boxed()
            }
        }

        impl<$($name: Send + 'static,)*> Serve for BoxedFilter<($($name,)*)> {
            type Boxed = Arc<dyn Fn($($name),*) -> BoxFuture<'static, Response> + Send + Sync>;

            fn refusal(problem: fn() -> Problem) -> Self::Boxed {
                Arc::new(move |$(_: $name),*| ready(problem().into_response()).boxed())
            }

            fn serve(self, handler: Self::Boxed) -> ServeFn {
                let filter = self
                    .then(move |$($name: $name),*| handler($($name),*))
                    .recover(into_problem)
                    .unify();
                let service = warp::service(filter);
                ServeFn(Box::new(move |request: Request<RequestBody>| {
                    let mut service = service.clone();
                    // Called when it is first polled, so that a panic in it is caught with those of the handler.
                    Box::pin(async move {
                        let answered = pin!(service.call(request)).await;
                        answered.unwrap_or_else(|never: Infallible| match never {})
                    })
                }))
            }
        }

        impl<$($name,)* S, H> Accepts<S, H> for BoxedFilter<($($name,)*)>
        where
            $($name: Send + 'static,)*
            S: State<($($name,)*)>,
            H: Handler<S::Arguments>,
        {
            fn boxed_handler(state: S, handler: H) -> Self::Boxed {
                Arc::new(move |$($name: $name),*| {
                    handler.clone().call(state.append_to(($($name,)*)))
                })
            }
        }
    };
}

macro_rules! arguments {
    ($($name:ident)*) => {
        impl<$($name,)* Next> Push<Next> for ($($name,)*) {
            type Longer = ($($name,)* Next,);

            fn push(self, value: Next) -> Self::Longer {
                let ($($name,)*) = self;
                ($($name,)* value,)
            }
        }

        impl<F, Answer, $($name,)*> Handler<($($name,)*)> for F
        where
            F: Fn($($name),*) -> Answer + Clone + Send + Sync + 'static,
            Answer: Future<Output: Reply> + Send + 'static,
        {
            fn call(self, ($($name,)*): ($($name,)*)) -> BoxFuture<'static, Response> {
                self($($name),*).map(Reply::into_response).boxed()
            }
        }
    };
}

filters!();
filters!(A);
filters!(A B);
filters!(A B C);
filters!(A B C D);
filters!(A B C D E);

arguments!();
arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E G);
