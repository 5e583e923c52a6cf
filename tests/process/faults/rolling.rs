//! Two replicas are restarted one after the other, under load.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::Member;
use crate::{
    case::Case,
    cluster,
    support::{Service, ask, eventually, try_ask},
};

/// Sends each connection to a replica that said it is ready when it was last asked.
struct Balancer {
    port: u16,
    replicas: Arc<Mutex<Vec<Replica>>>,
}

struct Replica {
    port: u16,
    ready: bool,
}

impl Balancer {
    fn before(ports: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let replicas = ports.iter().map(|port| Replica {
            port: *port,
            ready: true,
        });
        let replicas = Arc::new(Mutex::new(replicas.collect::<Vec<_>>()));
        let (asked, chosen) = (Arc::clone(&replicas), Arc::clone(&replicas));
        thread::spawn(move || watch(&asked));
        thread::spawn(move || {
            let next = AtomicUsize::new(0);
            for client in listener.incoming().map_while(Result::ok) {
                let ports: Vec<_> = {
                    let replicas = chosen.lock().unwrap();
                    replicas
                        .iter()
                        .filter(|one| one.ready)
                        .map(|one| one.port)
                        .collect()
                };
                let turn = next.fetch_add(1, Ordering::Relaxed);
                if let Some(port) = ports.get(turn % ports.len().max(1)) {
                    carry(&client, *port);
                }
            }
        });
        Self { port, replicas }
    }

    fn replace(&self, old: u16, new: u16) {
        let mut replicas = self.replicas.lock().unwrap();
        for replica in replicas.iter_mut().filter(|one| one.port == old) {
            *replica = Replica {
                port: new,
                ready: true,
            };
        }
    }
}

/// Asks every replica for its readiness again and again.
fn watch(replicas: &Mutex<Vec<Replica>>) {
    loop {
        let ports: Vec<_> = replicas
            .lock()
            .unwrap()
            .iter()
            .map(|one| one.port)
            .collect();
        for port in ports {
            let ready =
                try_ask(port, "GET", "/ready", &[], "").is_some_and(|reply| reply.status == 200);
            for replica in replicas
                .lock()
                .unwrap()
                .iter_mut()
                .filter(|one| one.port == port)
            {
                replica.ready = ready;
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn carry(client: &TcpStream, port: u16) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
        return;
    };
    for (from, to) in [(client, &server), (&server, client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            // Either end may close first; the other learns of it.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_restarted_one_after_the_other_two_replicas_fail_no_request() {
    let case = Case::begin();
    let url = cluster::new_database().await;
    // Long enough for the balancer to have asked for readiness once more.
    let settings = [("SHUTDOWN_DELAY_MS", "1500")];
    let start = || Service::start(&url, &settings);
    let mut replicas = [start(), start()];
    let balancer = Balancer::before(&[replicas[0].port(), replicas[1].port()]);
    let member = Member::join(&replicas[0], "rolling@marked.example");
    let going_on = Arc::new(AtomicBool::new(true));
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let (going_on, port) = (Arc::clone(&going_on), balancer.port);
            let bearer = format!("Bearer {}", member.access);
            thread::spawn(move || {
                let (mut answered, mut failed) = (0, 0);
                while going_on.load(Ordering::Relaxed) {
                    let reply = ask(port, "GET", "/auth/me", &[("Authorization", &bearer)], "");
                    answered += 1;
                    failed += u32::from(reply.status != 200);
                }
                (answered, failed)
            })
        })
        .collect();

    for replica in &mut replicas {
        let old = replica.port();
        replica.signal("TERM");
        assert_eq!(replica.ended().code(), Some(0));
        *replica = start();
        balancer.replace(old, replica.port());
        let port = replica.port();
        eventually("traffic on the new one", || {
            let metrics = ask(port, "GET", "/metrics", &[], "").body;
            metrics
                .contains("path=\"/auth/me\",status_code=\"200\"")
                .then_some(())
        });
    }

    going_on.store(false, Ordering::Relaxed);
    let (mut answered, mut failed) = (0, 0);
    for client in clients {
        let of_one: (u32, u32) = client.join().unwrap();
        answered += of_one.0;
        failed += of_one.1;
    }
    println!("{answered} requests");
    case.expect("requests that failed", 0, failed);
}
