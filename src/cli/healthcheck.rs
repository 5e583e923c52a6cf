//! `healthcheck`: is the service next to us alive? For containers without a shell.

use std::{net::IpAddr, process::ExitCode, time::Duration};

use bytes::Bytes;
use chassis_server::{ListenAddress, Stream};
use chassis_telemetry::Tracing;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use crate::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let tracing = Tracing::new(&settings.telemetry);
    let mut asked = ask(&tracing, &settings.server.listen, "/live").await;
    if let (Err(_), Some(admin)) = (&asked, &settings.service.admin) {
        // A process without a public listener has no other one.
        asked = ask(&tracing, admin, "/live").await;
    }
    let answer = asked?;
    anyhow::ensure!(
        answer.status == StatusCode::OK,
        "/live answered {}",
        answer.status
    );
    say!("alive");
    Ok(ExitCode::SUCCESS)
}

/// What the service answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Whether it is one of ours: they all carry a correlation id.
    pub(super) is_ours: bool,
}

/// Asks the service that listens on this address.
pub(super) async fn ask(
    tracing: &Tracing,
    address: &ListenAddress,
    path: &str,
) -> anyhow::Result<Answer> {
    let asked = async {
        let stream = match address {
            ListenAddress::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
            ListenAddress::Tcp { host, port } => {
                Stream::Tcp(TcpStream::connect((reachable(host), *port)).await?)
            }
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::get(path)
            .header(header::HOST, "localhost")
            .body(Empty::<Bytes>::new())?;
        let response = tracing
            .call(request, |request| sender.send_request(request))
            .await?;
        connection.abort();
        anyhow::Ok(Answer {
            status: response.status(),
            is_ours: response
                .headers()
                .contains_key(chassis_http::CORRELATION_HEADER),
        })
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => anyhow::bail!("no answer within {} seconds", PATIENCE.as_secs()),
    }
}

/// Where to find what listens on this address: one that means "all of them" is found on loopback.
fn reachable(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
        Ok(ip) if ip.is_unspecified() => "::1".to_owned(),
        _ => host.to_owned(),
    }
}

/// The address as a person would type it.
pub(super) fn url(address: &ListenAddress) -> String {
    let (host, port) = match address {
        ListenAddress::Unix(path) => {
            return format!("--unix-socket {} http://localhost", path.display());
        }
        ListenAddress::Tcp { host, port } => (reachable(host), port),
    };
    if host.contains(':') {
        return format!("http://[{host}]:{port}");
    }
    format!("http://{host}:{port}")
}
