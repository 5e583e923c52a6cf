//! One connection from the moment it was admitted: hyper, the commands of the server, and one timer.
//!
//! There is a single timer per connection. It is not set anew for each request, as hyper's own header timer
//! is; it looks at the state when it is due and, if the connection was used meanwhile, goes on for the
//! rest. hyper's timer also starts only once the version of the protocol is known, so that a
//! client that sends nothing escapes it, and it does not exist in HTTP/2.
//!
//! What happens upon a command or the timer is decided by [`ClosePolicy`], which does no I/O.

use std::{pin::pin, time::Duration};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::time::Instant;

use crate::{
    connections::{ConnectionCommand, ConnectionHandle},
    listener::Stream,
    options::ServerOptions,
    service::HttpService,
    timeout_io::TimeoutIo,
    tracked_body::TrackedBody,
};

/// Serves a connection until it ends or has to.
pub(crate) async fn serve_connection<S: HttpService>(
    builder: &Builder<TokioExecutor>,
    options: &ServerOptions,
    stream: Stream,
    service: S,
    handle: ConnectionHandle,
) {
    let (service, activity) = (TowerToHyperService::new(service), handle.activity());
    let service = service_fn(move |request: Request<Incoming>| {
        let in_flight = activity.begin_request();
        let answer = hyper::service::Service::call(&service, request);
        async move {
            let response = answer.await?;
            Ok::<_, S::Error>(response.map(|body| TrackedBody::new(body, in_flight)))
        }
    });
    let stream = TimeoutIo::new(stream, handle.activity(), options.write_timeout);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut timer = pin!(tokio::time::sleep(options.header_timeout));
    let mut policy = ClosePolicy::new(options);
    loop {
        // All three are polled whenever the connection makes progress: none may take a lock that others share.
        let step = tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(error, "connection_failed");
                }
                return;
            }
            command = handle.next_command(policy.followed) => {
                policy.on_command(command, handle.had_request())
            }
            () = timer.as_mut() => policy.on_timer(handle.idle_time(), handle.had_request()),
        };
        if step.shut_down {
            connection.as_mut().graceful_shutdown();
        }
        match step.next {
            Next::KeepTimer => {}
            Next::LookAgainIn(pause) => timer.as_mut().reset(Instant::now() + pause),
            Next::Cut => return,
        }
    }
}

/// What to do with the connection.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// Begin hyper's graceful shutdown: HTTP/1 closes after the response in flight, HTTP/2 sends GOAWAY.
    shut_down: bool,
    next: Next,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The timer stays as it is.
    KeepTimer,
    /// The timer is set to this much from now.
    LookAgainIn(Duration),
    /// The socket is closed at once.
    Cut,
}

impl Step {
    const CUT: Self = Self {
        shut_down: false,
        next: Next::Cut,
    };
}

/// Decides when a connection is shut down gracefully and when it is cut.
struct ClosePolicy {
    header_timeout: Duration,
    first_request_grace: Duration,
    close_grace: Duration,
    /// The last command acted upon.
    followed: ConnectionCommand,
    /// Whether hyper's graceful shutdown has begun.
    closing: bool,
}

impl ClosePolicy {
    fn new(options: &ServerOptions) -> Self {
        Self {
            header_timeout: options.header_timeout,
            first_request_grace: options.first_request_grace,
            close_grace: options.close_grace,
            followed: ConnectionCommand::Serve,
            closing: false,
        }
    }

    fn on_command(&mut self, command: ConnectionCommand, had_request: bool) -> Step {
        self.followed = command;
        match command {
            // A new client's first request may be on its way, and hyper would close without reading it.
            ConnectionCommand::FinishAndClose if !had_request => Step {
                shut_down: false,
                next: Next::LookAgainIn(self.first_request_grace),
            },
            ConnectionCommand::Serve | ConnectionCommand::FinishAndClose => {
                self.shut_down(Next::KeepTimer)
            }
            // Its last response may still be on its way to the client.
            ConnectionCommand::Evict if had_request => {
                self.shut_down(Next::LookAgainIn(self.close_grace))
            }
            ConnectionCommand::Evict | ConnectionCommand::Abort => Step::CUT,
        }
    }

    /// `idle_time` is zero while the connection is busy.
    fn on_timer(&mut self, idle_time: Duration, had_request: bool) -> Step {
        let left = self.header_timeout.saturating_sub(idle_time);
        let timed_out = left.is_zero();
        // Nothing can be on its way to a client that never sent a request; the others get the close grace once.
        let cut = timed_out && (self.closing || !had_request);
        if cut || self.followed == ConnectionCommand::Evict {
            return Step::CUT;
        }
        let first_request_is_late =
            self.followed == ConnectionCommand::FinishAndClose && !self.closing;
        if timed_out || first_request_is_late {
            return self.shut_down(Next::LookAgainIn(self.close_grace));
        }
        Step {
            shut_down: false,
            next: Next::LookAgainIn(left),
        }
    }

    fn shut_down(&mut self, next: Next) -> Step {
        self.closing = true;
        Step {
            shut_down: true,
            next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
    const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(250);
    const CLOSE_GRACE: Duration = Duration::from_secs(1);
    const BUSY: Duration = Duration::ZERO;

    fn policy() -> ClosePolicy {
        ClosePolicy::new(&ServerOptions {
            header_timeout: HEADER_TIMEOUT,
            first_request_grace: FIRST_REQUEST_GRACE,
            close_grace: CLOSE_GRACE,
            ..ServerOptions::default()
        })
    }

    fn wait(pause: Duration) -> Step {
        Step {
            shut_down: false,
            next: Next::LookAgainIn(pause),
        }
    }

    fn shut_down(next: Next) -> Step {
        Step {
            shut_down: true,
            next,
        }
    }

    #[test]
    fn a_connection_that_was_used_meanwhile_gets_the_rest_of_its_time() {
        let rest = Duration::from_secs(7);

        assert_eq!(
            policy().on_timer(HEADER_TIMEOUT.saturating_sub(rest), true),
            wait(rest)
        );
        assert_eq!(policy().on_timer(BUSY, true), wait(HEADER_TIMEOUT));
    }

    #[test]
    fn a_connection_without_a_request_is_cut_at_the_header_timeout() {
        assert_eq!(policy().on_timer(HEADER_TIMEOUT, false), Step::CUT);
    }

    #[test]
    fn an_idle_connection_is_shut_down_and_cut_only_if_it_does_not_close() {
        let mut policy = policy();

        let first = policy.on_timer(HEADER_TIMEOUT, true);
        let second = policy.on_timer(HEADER_TIMEOUT + CLOSE_GRACE, true);

        assert_eq!(first, shut_down(Next::LookAgainIn(CLOSE_GRACE)));
        assert_eq!(second, Step::CUT);
    }

    #[test]
    fn when_the_server_shuts_down_a_used_connection_finishes_however_long_it_takes() {
        let mut policy = policy();

        let told = policy.on_command(ConnectionCommand::FinishAndClose, true);

        assert_eq!(told, shut_down(Next::KeepTimer));
        assert_eq!(policy.on_timer(BUSY, true), wait(HEADER_TIMEOUT));
    }

    #[test]
    fn when_the_server_shuts_down_a_new_connection_may_still_send_its_first_request() {
        let mut policy = policy();

        let told = policy.on_command(ConnectionCommand::FinishAndClose, false);
        let later = policy.on_timer(FIRST_REQUEST_GRACE, false);

        assert_eq!(told, wait(FIRST_REQUEST_GRACE));
        assert_eq!(later, shut_down(Next::LookAgainIn(CLOSE_GRACE)));
    }

    #[test]
    fn an_evicted_connection_has_the_close_grace_if_it_was_ever_used() {
        let (mut used, mut new) = (policy(), policy());

        assert_eq!(
            used.on_command(ConnectionCommand::Evict, true),
            shut_down(Next::LookAgainIn(CLOSE_GRACE))
        );
        assert_eq!(used.on_timer(BUSY, true), Step::CUT);
        assert_eq!(new.on_command(ConnectionCommand::Evict, false), Step::CUT);
    }

    #[test]
    fn an_abort_cuts_whatever_is_in_flight() {
        assert_eq!(
            policy().on_command(ConnectionCommand::Abort, true),
            Step::CUT
        );
    }
}
