//! A password is sent to nobody who was to be asked for TLS first.

use std::time::Duration;

use chassis_postgres::{ConnectionDefaults, ConnectionTarget, TlsMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// The 8 bytes with which a client asks for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A server that has no TLS and asks everybody for the password in clear. What it was sent ends in the channel.
async fn listening_server() -> (u16, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = Vec::new();
            loop {
                let mut bytes = [0; 1024];
                let Ok(count @ 1..) = stream.read(&mut bytes).await else {
                    break;
                };
                heard.extend_from_slice(&bytes[..count]);
                let answer: &[u8] = if heard == SSL_REQUEST {
                    b"N"
                } else {
                    // AuthenticationCleartextPassword
                    b"R\x00\x00\x00\x08\x00\x00\x00\x03"
                };
                if stream.write_all(answer).await.is_err() {
                    break;
                }
            }
            sender.send(heard).unwrap();
        }
    });
    (port, receiver)
}

#[tokio::test]
async fn no_spelling_of_sslmode_lets_the_password_out_in_clear() {
    let (port, mut heard) = listening_server().await;
    for text in [
        "postgres://me:MARKED@127.0.0.1:PORT/notes?sslmode=require",
        "postgres://me:MARKED@127.0.0.1:PORT/notes?%73slmode=require",
        "postgres://me:MARKED@127.0.0.1:PORT/notes?sslmode=r%65quire",
        "postgres://me:MARKED?x@127.0.0.1:PORT/notes?sslmode=require",
        "postgres://me:MARKED/x@127.0.0.1:PORT/notes?sslmode=require",
        "postgres://me:MARKED?sslmode=disable&a=b@127.0.0.1:PORT/notes?sslmode=require",
        "postgres://me:MARKED@127.0.0.1:PORT?sslmode=require",
        "postgres://me:MARKED@/notes?hostaddr=127.0.0.1&port=PORT&sslmode=require",
        "postgres://me:MARKED@/notes?hostaddr=127.0.0.1&port=PORT&sslmode=verify-full",
        "postgres:///notes?user=me&password=MARKED&host=127.0.0.1&port=PORT&sslmode=require",
        "hostaddr=127.0.0.1 port=PORT user=me password=MARKED sslmode=verify-full",
        "host=db.example hostaddr=127.0.0.1 port=PORT user=me password=MARKED sslmode=verify-full",
        "host=127.0.0.1\tport=PORT\tuser=me\tpassword=MARKED\tsslmode=require",
        "host=127.0.0.1\nport=PORT\nuser=me\npassword=MARKED\nsslmode=verify-full",
        "host=127.0.0.1 port=PORT user=me password='MARKED x' sslmode='require'",
        "host=127.0.0.1 port=PORT user=me password='MARKED sslmode=disable' sslmode = require",
        "host=127.0.0.1 port=PORT user=me password=MARKED\\ sslmode=disable sslmode=require",
        "host=127.0.0.1 port=PORT user=me password=MARKED sslmode=re\\quire",
    ] {
        let text = text.replace("PORT", &port.to_string());
        let target = ConnectionTarget::from_url(&text, ConnectionDefaults::default()).unwrap();

        let asked = matches!(target.tls, TlsMode::Require | TlsMode::VerifyFull);
        let connected = chassis_postgres::connect(&target, Duration::from_secs(20)).await;

        assert!(asked && connected.is_err(), "{text}");
        // With verify-full, a machine that trusts no authority is not even spoken to.
        if let Ok(heard) = heard.try_recv() {
            assert_eq!(heard, SSL_REQUEST, "{text}");
        } else if target.tls == TlsMode::Require {
            assert_eq!(heard.recv().await.unwrap(), SSL_REQUEST, "{text}");
        }
    }
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused() {
    let parts = "host=127.0.0.1 user=me password=MARKED";
    let socket = "host=/run/postgresql hostaddr=127.0.0.1 user=me password=MARKED sslmode=require";
    for text in [
        "postgres://me:MARKED@127.0.0.1/notes?sslmode=disable&sslmode=require",
        "postgres://me:MARKED@127.0.0.1/notes?SSLMODE=require",
        "postgres://me:MARKED@127.0.0.1/notes?sslmode=REQUIRE",
        "postgres://me:MARKED@127.0.0.1/notes?sslmode=verify-ca",
        "postgres://me:MARKED@127.0.0.1/notes?sslmode",
        "postgres://me:MARKED@127.0.0.1/notes&sslmode=require?sslmode=",
        "postgres://me:MARKED@127.0.0.1/notes?host=other&sslmode=require",
        "postgres://me:MAR@KED@127.0.0.1/notes?sslmode=require",
        "postgres://me:MARKED@127.0.0.1/notes?sslrootcert=/ca.pem",
        "postgres://me:MARKED@127.0.0.1/notes?sslmode=require&sslrootcert=/ca.pem",
        "postgres://me:MARKED@/notes?sslmode=require",
        "postgres://me:MARKED@,127.0.0.1/notes?sslmode=require",
        "postgres://me:MARKED@127.0.0.1:1,127.0.0.1:2,127.0.0.1/notes?hostaddr=127.0.0.1&sslmode=require",
        "postgres://me:MARKED@a%20b/notes",
        &format!("{parts} sslmode=require sslmode=disable"),
        &format!("{parts} =x sslmode=require"),
        &format!("{parts} sslmode='require"),
        &format!("{parts} sslmode"),
        socket,
    ] {
        let target = ConnectionTarget::from_url(text, ConnectionDefaults::default());

        let error = target.expect_err(text).to_string();
        assert!(!error.contains("MAR") && !error.contains("KED"), "{error}");
    }
}
