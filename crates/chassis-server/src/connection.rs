//! One connection from the moment it was admitted: hyper, the commands of the server, and one timer.
//!
//! There is a single timer per connection. It is not set anew for each request, as hyper's own header timer
//! is; it looks at the phase when it is due and, if there was progress meanwhile, goes on for the
//! rest. hyper's timer also starts only once the version of the protocol is known, so that a
//! client that sends nothing escapes it, it runs on idle connections as well, and it does not exist in HTTP/2.
//!
//! What happens upon a command or the timer is decided by [`ClosePolicy`].

use std::{error::Error, pin::pin, sync::Arc};

use http::{Method, Request, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::conn::auto::Builder};
use tokio::time::Instant;

use crate::{
    close_policy::{ClosePolicy, Next},
    connection_handle::ConnectionHandle,
    listener::Stream,
    metrics::CloseReason,
    options::ServerOptions,
    reply::{Reply, RequestBody, ResponseBody},
    service::HttpService,
    stream::{StreamExecutor, set_reply},
    timeout_io::TimeoutIo,
};

/// Serves a connection until it ends or has to.
pub(crate) async fn serve_connection<S: HttpService>(
    builder: &Builder<StreamExecutor>,
    options: &ServerOptions,
    stream: Stream,
    service: S,
    handle: ConnectionHandle,
) {
    let activity = handle.activity();
    let service = service_fn(move |request: Request<Incoming>| {
        let reply = Reply::begin(&activity.0, request.version() == Version::HTTP_2);
        let is_head = request.method() == Method::HEAD;
        let request = request.map(|body| RequestBody::new(body, Arc::clone(&reply)));
        let mut service = service.clone();
        async move {
            set_reply(&reply);
            std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
            // In its place at once: to await it by value would copy it there.
            let response = pin!(service.call(request)).await?;
            Ok::<_, S::Error>(response.map(|body| ResponseBody::new(body, reply, is_head)))
        }
    });
    let stream = TimeoutIo::new(stream, handle.activity(), options.send_timeout);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut policy = ClosePolicy::new(options);
    let mut timer = pin!(tokio::time::sleep(policy.shortest_limit()));
    loop {
        // All three are polled whenever the connection makes progress: none may take a lock that others share.
        let step = tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    log_failure(&handle, &*error);
                }
                return;
            }
            command = handle.next_command(policy.followed) => {
                policy.on_command(command, handle.had_request())
            }
            () = timer.as_mut() => {
                let (phase, lasted) = handle.phase();
                policy.on_timer(phase, lasted)
            }
        };
        if step.shut_down {
            connection.as_mut().graceful_shutdown();
        }
        match step.next {
            Next::LookAgainIn(pause) => timer.as_mut().reset(Instant::now() + pause),
            Next::Cut(None) => return,
            Next::Cut(Some(reason)) => {
                handle.closed(reason);
                let reason = reason.label();
                tracing::debug!(reason, "connection_cut");
                return;
            }
        }
    }
}

/// Counts and logs why hyper gave a connection up. What the parser refuses is answered by hyper itself, so that no
/// service can log it: that is information, like a request.
fn log_failure(handle: &ConnectionHandle, error: &(dyn Error + Send + Sync + 'static)) {
    let reason = CloseReason::of(error);
    handle.closed(reason);
    let client_network = handle.client().map(tracing::field::display);
    let reason_label = reason.label();
    match reason {
        CloseReason::MalformedRequest | CloseReason::HeadTooLarge => {
            tracing::info!(reason = reason_label, client_network, %error, "request_refused");
        }
        _ => {
            tracing::debug!(reason = reason_label, client_network, %error, "connection_failed");
        }
    }
}
