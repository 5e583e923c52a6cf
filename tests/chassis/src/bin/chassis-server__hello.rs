//! A warp filter with timeouts, a cap on connections and graceful shutdown.
//!
//! `cargo run --example hello`, then `curl localhost:8000/hello/world`, and Ctrl-C or SIGTERM to stop it.

use std::time::Duration;

use chassis_server::{Listener, Peer, ServerOptions, ShutdownSignals, serve};
use warp::Filter;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hello = warp::path!("hello" / String).map(|name| format!("Hello, {name}!\n"));
    let service = warp::service(hello.boxed());
    let options = ServerOptions {
        header_timeout: Duration::from_secs(5),
        max_connections: 1_000,
        ..ServerOptions::default()
    };
    let mut signals = ShutdownSignals::listen()?;
    let listener = Listener::bind(&options.listen).await?;
    println!("listening on {listener}");
    let make_service = move |_: &Peer| service.clone();
    let cut = serve(listener, make_service, &options, signals.recv()).await;
    println!("stopped, {cut} connections cut");
    Ok(())
}
