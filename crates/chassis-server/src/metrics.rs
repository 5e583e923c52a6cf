//! The metric of what goes wrong below the requests: `connection_errors_total`.

use prometheus::{IntCounterVec, Registry, opts};

/// Counts connections and streams that were refused or cut, by reason. Clones share the counter.
///
/// The default counts without being registered anywhere.
#[derive(Debug, Clone)]
pub struct ServerMetrics {
    errors: IntCounterVec,
}

/// Why a connection or a stream did not come to its regular end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// A request head that no service got to see: answered 400.
    MalformedRequest,
    /// A head that is too long (431, or 414 for the request target) or has too many headers (431).
    HeadTooLarge,
    /// A head did not arrive within the header timeout.
    HeaderTimeout,
    /// A client took nothing of its response within the send timeout: the stream (HTTP/2) or connection was cut.
    SendTimeout,
    /// An HTTP/2 client broke the protocol or one of its limits, or did not answer a ping.
    Http2,
    /// The client left in the middle of a request or response.
    ClientLeft,
    /// At the cap the connection was closed for a new one.
    Evicted,
    /// The client had too many connections in use, and its new one was closed.
    ClientLimit,
    /// At shutdown nothing moved any more.
    Shutdown,
    /// Anything else.
    Other,
}

impl CloseReason {
    const ALL: [Self; 10] = [
        Self::MalformedRequest,
        Self::HeadTooLarge,
        Self::HeaderTimeout,
        Self::SendTimeout,
        Self::Http2,
        Self::ClientLeft,
        Self::Evicted,
        Self::ClientLimit,
        Self::Shutdown,
        Self::Other,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::HeadTooLarge => "head_too_large",
            Self::HeaderTimeout => "header_timeout",
            Self::SendTimeout => "send_timeout",
            Self::Http2 => "http2",
            Self::ClientLeft => "client_left",
            Self::Evicted => "evicted",
            Self::ClientLimit => "client_limit",
            Self::Shutdown => "shutdown",
            Self::Other => "other",
        }
    }

    /// Why hyper gave a connection up.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let Some(hyper) = error.downcast_ref::<hyper::Error>() else {
            return Self::of_io(error);
        };
        if hyper.is_parse_too_large() {
            Self::HeadTooLarge
        } else if hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed() {
            Self::ClientLeft
        } else if hyper.is_parse() {
            Self::MalformedRequest
        } else if hyper.is_timeout() {
            Self::SendTimeout
        } else {
            let source = std::error::Error::source(hyper);
            source.map_or(Self::Other, Self::of_io)
        }
    }

    fn of_io(error: &(dyn std::error::Error + 'static)) -> Self {
        use std::io::ErrorKind;

        if let Some(http2) = error.downcast_ref::<h2::Error>() {
            return http2
                .get_io()
                .map_or(Self::Http2, |error| Self::of_io(error));
        }
        let Some(io) = error.downcast_ref::<std::io::Error>() else {
            return Self::Other;
        };
        match io.kind() {
            ErrorKind::TimedOut => Self::SendTimeout,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof => Self::ClientLeft,
            _ => Self::Other,
        }
    }
}

impl ServerMetrics {
    /// Registers the counter, with all its series, so that a rate is right from the first error on.
    ///
    /// # Panics
    ///
    /// When the registry has a metric of this name.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let metrics = Self::default();
        let registered = registry.register(Box::new(metrics.errors.clone()));
        registered.expect("a metric is registered once");
        metrics
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        self.errors.with_label_values(&[reason.label()]).inc();
    }
}

impl Default for ServerMetrics {
    fn default() -> Self {
        let options = opts!(
            "connection_errors_total",
            "Connections and HTTP/2 streams that were refused, cut or lost, by reason."
        );
        let errors = IntCounterVec::new(options, &["reason"]).expect("the name is valid");
        for reason in CloseReason::ALL {
            errors.with_label_values(&[reason.label()]);
        }
        Self { errors }
    }
}
