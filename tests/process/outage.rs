//! The database goes away and comes back, seen through a relay that can be cut.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::json;

use super::{
    cluster,
    support::{Service, ask, eventually},
};

/// Carries connections to the database while it is open.
struct Relay {
    port: u16,
    state: Arc<State>,
}

struct State {
    target: String,
    open: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Relay {
    fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            target: target.to_owned(),
            open: AtomicBool::new(true),
            streams: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                shared.carry(client);
            }
        });
        Self { port, state }
    }

    /// Breaks every connection and takes no more.
    fn cut(&self) {
        self.state.open.store(false, Ordering::SeqCst);
        for stream in self.state.streams.lock().unwrap().drain(..) {
            // It may be broken already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.state.open.store(true, Ordering::SeqCst);
    }
}

impl State {
    fn carry(&self, client: TcpStream) {
        let mut streams = self.streams.lock().unwrap();
        if !self.open.load(Ordering::SeqCst) {
            return;
        }
        let server = TcpStream::connect(&self.target).unwrap();
        for (mut from, mut to) in [
            (client.try_clone().unwrap(), server.try_clone().unwrap()),
            (server.try_clone().unwrap(), client.try_clone().unwrap()),
        ] {
            thread::spawn(move || {
                // Either end may close first; then both do.
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        streams.extend([client, server]);
    }
}

#[tokio::test]
async fn a_database_that_goes_and_comes_back_takes_no_restart() {
    let url = cluster::new_database().await;
    let (server, database) = url.rsplit_once('/').unwrap();
    let (user, target) = server.rsplit_once('@').unwrap();
    let relay = Relay::to(target);
    let through = format!("{user}@127.0.0.1:{}/{database}", relay.port);
    let service = Service::start(&through, &[]);
    let account = json!({"email": "outage@marked.example", "password": "marked-password-1"});
    assert_eq!(service.post("/auth/register", None, &account).status, 201);
    let tokens = service.post("/auth/token", None, &account).json();
    let access = tokens["access_token"].as_str().unwrap();
    let refresh = json!({"refresh_token": tokens["refresh_token"]});

    relay.cut();

    for (reply, what) in [
        (service.me(access), "a read"),
        (
            service.post("/auth/refresh", None, &refresh),
            "a transaction",
        ),
    ] {
        assert_eq!(reply.status, 503, "{what}");
        assert_eq!(reply.json()["code"], "unavailable", "{what}");
    }
    assert_eq!(service.get("/live").status, 200);
    assert_eq!(service.get("/ready").json(), json!({"status": "not_ready"}));
    let health = service.get("/health");
    assert_eq!(
        (
            health.status,
            &health.json()["checks"]["database"]["status"]
        ),
        (503, &"unavailable".into())
    );
    eventually("both in the log", || {
        let lines = service.lines().into_iter();
        let failures = lines.filter(|line| line["message"] == "request_failed");
        (failures.count() == 2).then_some(())
    });

    relay.mend();

    eventually("service", || {
        (service.get("/ready").status == 200).then_some(())
    });
    assert_eq!(service.me(access).status, 200);
    assert_eq!(service.post("/auth/refresh", None, &refresh).status, 200);
    let metrics = ask(service.port(), "GET", "/metrics", &[], "").body;
    assert!(metrics.contains("db_errors_total{"), "{metrics}");
}
