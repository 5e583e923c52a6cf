//! Decides when a connection is shut down gracefully and when it is cut. No I/O and no clock.

use std::time::Duration;

use crate::{
    connections::ConnectionCommand, metrics::CloseReason, options::ServerOptions, state::Phase,
};

/// What to do with the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Begin hyper's graceful shutdown: HTTP/1 closes after the response in flight, HTTP/2 sends GOAWAY.
    pub(crate) shut_down: bool,
    pub(crate) next: Next,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The timer is set to this much from now.
    LookAgainIn(Duration),
    /// The socket is closed at once. A reason is counted.
    Cut(Option<CloseReason>),
}

pub(crate) struct ClosePolicy {
    header_timeout: Duration,
    idle_timeout: Duration,
    send_timeout: Duration,
    first_request_grace: Duration,
    close_grace: Duration,
    shutdown_stall_grace: Duration,
    /// The last command acted upon.
    pub(crate) followed: ConnectionCommand,
    /// Whether hyper's graceful shutdown has begun.
    closing: bool,
}

impl ClosePolicy {
    pub(crate) fn new(options: &ServerOptions) -> Self {
        Self {
            header_timeout: options.header_timeout,
            idle_timeout: options.idle_timeout,
            send_timeout: options.send_timeout,
            first_request_grace: options.first_request_grace,
            close_grace: options.close_grace,
            shutdown_stall_grace: options.shutdown_stall_grace,
            followed: ConnectionCommand::Serve,
            closing: false,
        }
    }

    pub(crate) fn on_command(&mut self, command: ConnectionCommand, had_request: bool) -> Step {
        self.followed = command;
        match command {
            // A new client's first request may be on its way, and hyper would close without reading it.
            ConnectionCommand::FinishAndClose if !had_request => {
                look_again_in(self.first_request_grace)
            }
            ConnectionCommand::Serve | ConnectionCommand::FinishAndClose => {
                self.shut_down(self.close_grace)
            }
            // Its last response may still be on its way to the client.
            ConnectionCommand::Evict if had_request => self.shut_down(self.close_grace),
            ConnectionCommand::Evict | ConnectionCommand::Abort => cut(None),
        }
    }

    /// `lasted`: for how long the connection has been in this phase without progress.
    pub(crate) fn on_timer(&mut self, phase: Phase, lasted: Duration) -> Step {
        if self.followed == ConnectionCommand::Evict {
            return cut(None);
        }
        let first_request_is_late = self.is_draining() && !self.closing;
        if first_request_is_late {
            return self.shut_down(self.close_grace);
        }
        // The phase may change without a word, so none is left alone for longer than the shortest limit.
        let pause = self.shortest_limit();
        let Some(limit) = self.limit(phase) else {
            return look_again_in(pause);
        };
        let left = limit.saturating_sub(lasted);
        if !left.is_zero() {
            return look_again_in(left.min(pause));
        }
        match phase {
            Phase::Idle | Phase::ReadingHead if !self.closing => self.shut_down(self.close_grace),
            Phase::Idle => cut(None),
            Phase::New | Phase::ReadingHead => cut(Some(CloseReason::HeaderTimeout)),
            _ if self.is_draining() => cut(Some(CloseReason::Shutdown)),
            _ => cut(Some(CloseReason::SendTimeout)),
        }
    }

    /// How long a phase may last.
    fn limit(&self, phase: Phase) -> Option<Duration> {
        let draining = self.is_draining();
        match phase {
            Phase::New | Phase::ReadingHead | Phase::Idle if draining => Some(self.close_grace),
            Phase::Receiving | Phase::Sending | Phase::SendingStreams if draining => {
                Some(self.shutdown_stall_grace)
            }
            Phase::New | Phase::ReadingHead => Some(self.header_timeout),
            Phase::Idle => Some(self.idle_timeout),
            Phase::Sending => Some(self.send_timeout),
            // How long the service or a body may take is the service's affair; streams have timers of their own.
            Phase::Serving | Phase::Receiving | Phase::SendingStreams => None,
        }
    }

    fn is_draining(&self) -> bool {
        self.followed == ConnectionCommand::FinishAndClose
    }

    /// How often the phase has to be looked at.
    pub(crate) fn shortest_limit(&self) -> Duration {
        let usual = self
            .header_timeout
            .min(self.idle_timeout)
            .min(self.send_timeout);
        if self.is_draining() {
            usual.min(self.close_grace).min(self.shutdown_stall_grace)
        } else {
            usual
        }
    }

    fn shut_down(&mut self, pause: Duration) -> Step {
        self.closing = true;
        Step {
            shut_down: true,
            next: Next::LookAgainIn(pause),
        }
    }
}

fn look_again_in(pause: Duration) -> Step {
    Step {
        shut_down: false,
        next: Next::LookAgainIn(pause),
    }
}

fn cut(reason: Option<CloseReason>) -> Step {
    Step {
        shut_down: false,
        next: Next::Cut(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
    const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
    const SEND_TIMEOUT: Duration = Duration::from_secs(30);
    const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(250);
    const CLOSE_GRACE: Duration = Duration::from_secs(1);
    const SHUTDOWN_STALL_GRACE: Duration = Duration::from_secs(5);
    const NO_TIME: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_hours(1);

    fn policy() -> ClosePolicy {
        ClosePolicy::new(&ServerOptions {
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            send_timeout: SEND_TIMEOUT,
            first_request_grace: FIRST_REQUEST_GRACE,
            close_grace: CLOSE_GRACE,
            shutdown_stall_grace: SHUTDOWN_STALL_GRACE,
            ..ServerOptions::default()
        })
    }

    fn shut_down(pause: Duration) -> Step {
        Step {
            shut_down: true,
            next: Next::LookAgainIn(pause),
        }
    }

    #[test]
    fn a_limit_is_kept_to_the_rest_and_looked_at_at_least_as_often_as_the_shortest() {
        let rest = Duration::from_secs(7);

        for (phase, lasted, pause) in [
            (Phase::New, HEADER_TIMEOUT.saturating_sub(rest), rest),
            (
                Phase::ReadingHead,
                HEADER_TIMEOUT.saturating_sub(rest),
                rest,
            ),
            (Phase::Idle, IDLE_TIMEOUT.saturating_sub(rest), rest),
            (Phase::Sending, SEND_TIMEOUT.saturating_sub(rest), rest),
            (Phase::Idle, NO_TIME, HEADER_TIMEOUT),
            (Phase::Serving, NO_TIME, HEADER_TIMEOUT),
            (Phase::Receiving, LONG, HEADER_TIMEOUT),
            (Phase::SendingStreams, LONG, HEADER_TIMEOUT),
        ] {
            assert_eq!(
                policy().on_timer(phase, lasted),
                look_again_in(pause),
                "{phase:?}"
            );
        }
    }

    #[test]
    fn a_connection_without_a_request_is_cut_at_the_header_timeout() {
        let step = policy().on_timer(Phase::New, HEADER_TIMEOUT);

        assert_eq!(step, cut(Some(CloseReason::HeaderTimeout)));
    }

    #[test]
    fn an_idle_connection_is_shut_down_and_cut_only_if_it_does_not_close() {
        let mut policy = policy();

        let first = policy.on_timer(Phase::Idle, IDLE_TIMEOUT);
        let second = policy.on_timer(Phase::Idle, IDLE_TIMEOUT + CLOSE_GRACE);

        assert_eq!(first, shut_down(CLOSE_GRACE));
        assert_eq!(second, cut(None));
    }

    #[test]
    fn a_response_that_nobody_takes_is_cut_at_the_send_timeout() {
        let step = policy().on_timer(Phase::Sending, SEND_TIMEOUT);

        assert_eq!(step, cut(Some(CloseReason::SendTimeout)));
    }

    #[test]
    fn when_the_server_shuts_down_the_service_finishes_however_long_it_takes() {
        let mut policy = policy();

        let told = policy.on_command(ConnectionCommand::FinishAndClose, true);

        assert_eq!(told, shut_down(CLOSE_GRACE));
        assert_eq!(
            policy.on_timer(Phase::Serving, NO_TIME),
            look_again_in(CLOSE_GRACE)
        );
    }

    #[test]
    fn when_the_server_shuts_down_a_client_that_does_nothing_is_not_waited_for() {
        for phase in [Phase::Receiving, Phase::Sending, Phase::SendingStreams] {
            let mut policy = policy();
            policy.on_command(ConnectionCommand::FinishAndClose, true);

            let step = policy.on_timer(phase, SHUTDOWN_STALL_GRACE);

            assert_eq!(step, cut(Some(CloseReason::Shutdown)), "{phase:?}");
        }
        let mut policy = policy();
        policy.on_command(ConnectionCommand::FinishAndClose, true);
        assert_eq!(policy.on_timer(Phase::Idle, CLOSE_GRACE), cut(None));
    }

    #[test]
    fn when_the_server_shuts_down_a_new_connection_may_still_send_its_first_request() {
        let mut policy = policy();

        let told = policy.on_command(ConnectionCommand::FinishAndClose, false);
        let later = policy.on_timer(Phase::New, FIRST_REQUEST_GRACE);

        assert_eq!(told, look_again_in(FIRST_REQUEST_GRACE));
        assert_eq!(later, shut_down(CLOSE_GRACE));
    }

    #[test]
    fn an_evicted_connection_has_the_close_grace_if_it_was_ever_used() {
        let (mut used, mut new) = (policy(), policy());

        assert_eq!(
            used.on_command(ConnectionCommand::Evict, true),
            shut_down(CLOSE_GRACE)
        );
        assert_eq!(used.on_timer(Phase::Serving, NO_TIME), cut(None));
        assert_eq!(new.on_command(ConnectionCommand::Evict, false), cut(None));
    }

    #[test]
    fn an_abort_cuts_whatever_is_in_flight() {
        assert_eq!(
            policy().on_command(ConnectionCommand::Abort, true),
            cut(None)
        );
    }
}
