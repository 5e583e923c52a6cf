//! SMTP (RFC 5321, RFC 6409) by lettre, with a few connections that are kept.
//!
//! Why not lettre's pool: it takes a connection back also when the future that used it was dropped in the middle of a
//! message, as happens when a time limit passes or a job is cancelled. The next message is then written behind the first
//! one, and answers are read for the wrong command: a message can reach the recipient of another. Here a connection is out of the
//! list while it is used, and comes back only after a complete conversation. Nor has lettre a time limit on answers.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use lettre::{
    address::Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt, Rset},
        extension::ClientId,
    },
};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;

use super::{
    SendError,
    error::Stage,
    message::Envelope,
    settings::{Security, Server},
    stream::PlainStream,
};

/// How many connections are kept between messages.
const MAX_IDLE: usize = 4;

/// How long one is used again. Servers close it after 5 minutes at the earliest (RFC 5321, section 4.5.3.2.7).
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a connection that was kept may take to say that it is there: the message's own time goes on meanwhile.
const NOOP_TIMEOUT: Duration = Duration::from_secs(3);

/// A server, and the connections to it.
pub(super) struct Smtp {
    pub(super) server: Server,
    hello: ClientId,
    tls: TlsParameters,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Smtp {
    /// Reads the certificates to trust: the system's, or those of `SSL_CERT_FILE`. Connects to nothing.
    pub(super) fn new(server: Server, from: &Address) -> anyhow::Result<Self> {
        Ok(Self {
            hello: ClientId::Domain(from.domain().to_owned()),
            tls: TlsParameters::new(server.host.clone())?,
            server,
            idle: Mutex::default(),
        })
    }

    /// Hands over a message, and returns what the server said.
    pub(super) async fn send(&self, envelope: &Envelope) -> Result<String, SendError> {
        let mut stage = Stage::Connect;
        let conversation = self.converse(&mut stage, envelope);
        match tokio::time::timeout(self.server.timeout, conversation).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::timed_out(stage)),
        }
    }

    /// Connects, authenticates and says goodbye.
    pub(super) async fn check(&self) -> Result<(), SendError> {
        let mut stage = Stage::Connect;
        let visit = async {
            let mut connection = self.connect(&mut stage).await?;
            connection.abort().await;
            Ok(())
        };
        match tokio::time::timeout(self.server.timeout, visit).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::timed_out(stage)),
        }
    }

    async fn converse(&self, stage: &mut Stage, envelope: &Envelope) -> Result<String, SendError> {
        let mut connection = match self.idle_connection().await {
            Some(connection) => connection,
            None => self.connect(stage).await?,
        };
        let outcome = hand_over(&mut connection, stage, envelope).await;
        match &outcome {
            Ok(_) => self.keep(connection),
            // The server has nothing against the connection, which may begin anew. What it refuses for now, or because of who
            // sends, can be a matter of the session.
            Err(error)
                if is_about_the_message(*stage, error)
                    && connection.command(Rset).await.is_ok() =>
            {
                self.keep(connection);
            }
            Err(_) => {}
        }
        outcome.map_err(|error| SendError::smtp(*stage, error))
    }

    async fn connect(&self, stage: &mut Stage) -> Result<AsyncSmtpConnection, SendError> {
        *stage = Stage::Connect;
        let mut connection = self.greeted().await?;
        if self.server.security == Security::StartTls {
            let encrypted = connection.starttls(self.tls.clone(), &self.hello).await;
            encrypted.map_err(|error| SendError::smtp(*stage, error))?;
        }
        if let Some(login) = &self.server.credentials {
            *stage = Stage::Authenticate;
            let user = login.user.expose_secret().to_owned();
            let password = login.password.expose_secret().to_owned();
            let credentials = Credentials::new(user, password);
            let known = connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .await;
            known.map_err(|error| SendError::smtp(*stage, error))?;
        }
        Ok(connection)
    }

    /// A connection whose server has said what it offers.
    async fn greeted(&self) -> Result<AsyncSmtpConnection, SendError> {
        let Server {
            host,
            port,
            security,
            timeout,
            ..
        } = &self.server;
        let address = (host.as_str(), *port);
        let greeted = if *security == Security::Tls {
            let tls = Some(self.tls.clone());
            AsyncSmtpConnection::connect_tokio1(address, Some(*timeout), &self.hello, tls, None)
                .await
        } else {
            let stream = TcpStream::connect(address).await;
            let stream = PlainStream::new(stream.map_err(SendError::unreachable)?);
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await
        };
        greeted.map_err(|error| SendError::smtp(Stage::Connect, error))
    }

    /// A connection that was kept and still answers.
    async fn idle_connection(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let idle = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()?;
            let mut connection = idle.connection;
            if idle.since.elapsed() >= IDLE_TIMEOUT {
                continue;
            }
            let answers = tokio::time::timeout(NOOP_TIMEOUT, connection.test_connected()).await;
            if answers == Ok(true) {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }
}

/// Whether a server refuses this recipient or this text for good, and would take another from the same connection.
fn is_about_the_message(stage: Stage, error: &Error) -> bool {
    let is_refused = error.status().is_some() && error.is_permanent();
    is_refused && matches!(stage, Stage::Recipient | Stage::Content)
}

/// Says who sends what to whom. The commands are written out, and not lettre's `send`, to know which one was refused.
async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    stage: &mut Stage,
    envelope: &Envelope,
) -> Result<String, Error> {
    *stage = Stage::Sender;
    let sender = Mail::new(Some(envelope.from.clone()), Vec::new());
    connection.command(sender).await?;
    *stage = Stage::Recipient;
    let recipient = Rcpt::new(envelope.to.clone(), Vec::new());
    connection.command(recipient).await?;
    *stage = Stage::Data;
    connection.command(Data).await?;
    *stage = Stage::Content;
    let answer = connection.message(&envelope.bytes).await?;
    let words: Vec<_> = answer.message().collect();
    Ok(format!("{} {}", answer.code(), words.join(" ")))
}
