//! The least that could answer: what `loadtest/bench/compare` compares the service with.
//!
//! `bare live` says ok. `bare read SQL SESSION USER` asks PostgreSQL (`DATABASE_URL`) one
//! prepared statement a request, over one connection that all requests share, and answers with
//! a user in JSON. Nothing is routed, nobody is asked who they are, nothing is timed or logged.
//! Both print the port they listen on.

#![expect(
    clippy::disallowed_methods,
    reason = "it stands alone, without the service's settings and clock"
)]

use std::{convert::Infallible, env, net::Ipv4Addr, sync::Arc, time::SystemTime};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

/// What is answered.
enum Answer {
    Live,
    Read(Read),
}

/// The statement and what is bound to it.
struct Read {
    client: Client,
    statement: Statement,
    session: Uuid,
    user: Uuid,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match words.as_slice() {
        ["live"] => Answer::Live,
        ["read", sql, session, user] => Answer::Read(prepare(sql, session, user).await?),
        _ => anyhow::bail!("usage: bare live | bare read SQL SESSION USER"),
    };
    serve(Arc::new(answer)).await
}

async fn prepare(sql: &str, session: &str, user: &str) -> anyhow::Result<Read> {
    let url = env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    Ok(Read {
        statement: client.prepare(sql).await?,
        client,
        session: session.parse()?,
        user: user.parse()?,
    })
}

async fn serve(answer: Arc<Answer>) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = Arc::clone(&answer);
        let service = service_fn(move |_: hyper::Request<Incoming>| {
            let answer = Arc::clone(&answer);
            async move { Ok::<_, Infallible>(reply(&answer).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn reply(answer: &Answer) -> Response<Full<Bytes>> {
    let body = match answer {
        Answer::Live => Ok(r#"{"status":"ok"}"#.to_owned()),
        Answer::Read(read) => read.user().await,
    };
    let mut response = Response::new(Full::default());
    match body {
        Ok(body) => {
            let json = header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            *response.body_mut() = Full::from(body);
        }
        Err(_) => *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

impl Read {
    async fn user(&self) -> anyhow::Result<String> {
        let now = OffsetDateTime::from(SystemTime::now());
        let row = self
            .client
            .query_one(&self.statement, &[&self.session, &self.user, &now])
            .await?;
        let (email, role): (&str, &str) = (row.try_get("email")?, row.try_get("role")?);
        Ok(format!(
            r#"{{"id":"{}","email":"{email}","role":"{role}","is_active":{},"created_at":"{}"}}"#,
            row.try_get::<_, Uuid>("id")?,
            row.try_get::<_, bool>("is_active")?,
            row.try_get::<_, OffsetDateTime>("created_at")?,
        ))
    }
}
