//! What operators ask, and what happens when the database fails.

mod database_faults;
mod health;
mod info;
mod lists;
mod metrics;
mod probes;
pub mod statements;

use tokio::net::TcpListener;

/// The address of a database that refuses every connection.
const CLOSED: &str = "postgres://postgres@127.0.0.1:1/nothing";

/// The address of a database that takes connections and never answers, for as long as the listener lives.
async fn mute_database() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://postgres@127.0.0.1:{port}/nothing");
    (listener, url)
}
