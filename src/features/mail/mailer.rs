//! The handle that features send with.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use lettre::message::Mailbox;
use minijinja::Value;
use prometheus::Registry;
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

use super::{
    MailSettings, Rendered, SendError, Template, folder, message,
    metrics::{MailMetrics, Outcome},
    preview,
    settings::Route,
    smtp::Smtp,
    stored::StoredMessage,
    template::Templates,
};
use crate::shared::clock::Clock;

/// Sends mail. Clones share templates and connections.
#[derive(Clone)]
pub struct Mail(Arc<Inner>);

struct Inner {
    transport: Transport,
    from: Mailbox,
    templates: Templates,
    metrics: MailMetrics,
    clock: Clock,
}

enum Transport {
    Off,
    Folder(PathBuf),
    Smtp(Box<Smtp>),
}

/// What [`Mail`] is made of.
pub struct Parts<'a> {
    /// Where mail goes, and whose it is.
    pub settings: &'a MailSettings,
    /// All templates of all features.
    pub templates: &'a [&'static Template],
    /// Where the metrics are.
    pub registry: &'a Registry,
    /// The time, for the header `Date`.
    pub clock: Clock,
}

/// One message.
pub struct Message<'a> {
    /// Becomes its Message-ID. The same for each attempt, so that a message that arrives twice is recognisable.
    pub id: Uuid,
    /// The address of the recipient.
    pub to: &'a str,
    /// What it says.
    pub template: &'static Template,
    /// What the template names.
    pub context: Value,
}

/// What came of a message that was sent.
#[derive(Debug)]
pub enum Receipt {
    /// The server took it.
    Taken {
        /// Host and port.
        server: String,
        /// What it said. That can name the recipient, so it is for the terminal of an operator, and not for logs.
        reply: String,
    },
    /// It is a file now.
    Written(PathBuf),
}

impl Mail {
    /// Parses the templates and reads the certificates to trust. Connects to nothing.
    ///
    /// # Errors
    ///
    /// When a source is no template, or two templates have one name.
    pub fn new(parts: Parts<'_>) -> anyhow::Result<Self> {
        let settings = parts.settings;
        let transport = match &settings.route {
            Route::Off => Transport::Off,
            Route::Folder(folder) => Transport::Folder(folder.clone()),
            Route::Smtp(server) => {
                Transport::Smtp(Box::new(Smtp::new(server.clone(), &settings.from.email)?))
            }
        };
        Ok(Self(Arc::new(Inner {
            transport,
            from: settings.from.clone(),
            templates: Templates::new(parts.templates, &settings.product)?,
            metrics: MailMetrics::new(parts.registry, parts.templates),
            clock: parts.clock,
        })))
    }

    /// Whether messages go anywhere: to a server, or into the folder of development and tests.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self.0.transport, Transport::Off)
    }

    /// The folder that messages are written into, when there is no server.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.0.transport {
            Transport::Folder(folder) => Some(folder),
            _ => None,
        }
    }

    /// The newest messages in that folder, the newest first.
    pub fn list(&self, limit: usize) -> io::Result<Vec<StoredMessage>> {
        self.folder()
            .map_or_else(|| Ok(Vec::new()), |folder| folder::list(folder, limit))
    }

    /// Writes every template, filled with its sample, into a folder with an `index.html`.
    pub fn preview(&self, folder: &Path) -> anyhow::Result<()> {
        preview::write(self, folder)
    }

    /// Every template.
    #[must_use]
    pub fn templates(&self) -> &[&'static Template] {
        self.0.templates.all()
    }

    /// Puts the context into a template.
    pub fn render(
        &self,
        template: &'static Template,
        context: Value,
    ) -> Result<Rendered, SendError> {
        let rendered = self.0.templates.render(template, context);
        rendered.map_err(|error| SendError::template(template.name, error))
    }

    /// Renders a message and hands it over. Call it from a job: it takes up to `MAIL_TIMEOUT_MS`.
    pub async fn send(&self, message: Message<'_>) -> Result<(), SendError> {
        self.deliver(message).await.map(drop)
    }

    /// The same, for a person who wants to know what the server said.
    pub async fn deliver(&self, message: Message<'_>) -> Result<Receipt, SendError> {
        let (template, id) = (message.template, message.id);
        let span = self.span(template);
        let started = Instant::now();
        let outcome = self.hand_over(message).instrument(span.clone()).await;
        self.ended(
            &span,
            template,
            id,
            started.elapsed(),
            outcome.as_ref().err(),
        );
        outcome
    }

    /// Connects to the server and authenticates, without sending. `None` when there is no server.
    pub async fn check(&self) -> Option<(String, Result<(), SendError>)> {
        match &self.0.transport {
            Transport::Smtp(smtp) => Some((smtp.server.address(), smtp.check().await)),
            _ => None,
        }
    }

    async fn hand_over(&self, message: Message<'_>) -> Result<Receipt, SendError> {
        let (template, id) = (message.template, message.id);
        if !self.is_on() {
            return Err(SendError::off());
        }
        let words = self.render(template, message.context)?;
        let now = self.0.clock.now();
        let envelope = message::build(&self.0.from, message.to, id, now, words)?;
        match &self.0.transport {
            Transport::Off => Err(SendError::off()),
            Transport::Smtp(smtp) => {
                let reply = smtp.send(&envelope).await?;
                let server = smtp.server.address();
                Ok(Receipt::Taken { server, reply })
            }
            Transport::Folder(folder) => {
                let written = folder::write(folder, now, template.name, id, &envelope.bytes);
                written.map(Receipt::Written).map_err(SendError::folder)
            }
        }
    }

    /// A client span. There are no semantic conventions for SMTP, so it has the general attributes of a client.
    fn span(&self, template: &Template) -> Span {
        let server = match &self.0.transport {
            Transport::Smtp(smtp) => Some(&smtp.server),
            _ => None,
        };
        tracing::info_span!(
            "mail_send",
            otel.name = "mail_send",
            otel.kind = "client",
            otel.status_code = Empty,
            mail.template = template.name,
            network.protocol.name = server.map(|_| "smtp"),
            server.address = server.map(|server| server.host.as_str()),
            server.port = server.map(|server| server.port),
            error.r#type = Empty,
        )
    }

    fn ended(
        &self,
        span: &Span,
        template: &Template,
        id: Uuid,
        duration: Duration,
        error: Option<&SendError>,
    ) {
        let outcome = match error {
            None => Outcome::Sent,
            Some(error) if error.is_permanent() => Outcome::Refused,
            Some(_) => Outcome::Failed,
        };
        self.0.metrics.ended(template, outcome, duration);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (template, outcome) = (template.name, outcome.as_str());
        span.in_scope(|| match error {
            None => tracing::info!(template, mail_id = %id, outcome, duration_ms, "mail_sent"),
            Some(error) => {
                chassis_telemetry::fail(span);
                span.record("error.type", error.kind());
                let error = chassis_telemetry::chain(error);
                tracing::warn!(template, mail_id = %id, outcome, duration_ms, error, "mail_failed");
            }
        });
    }
}
