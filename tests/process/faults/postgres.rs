//! A PostgreSQL that a test may break, and what happens when it does.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use tokio_postgres::NoTls;

use super::{IMPATIENT, Member, expect_out, expect_well};
use crate::{
    case::Case,
    support::{PROGRAM_PATIENCE, Service, end_of, eventually, printed, run},
};

/// What was committed survives a kill; the tests that look at it afterwards rely on that.
pub const DURABLE: &str = "synchronous_commit=on";

/// A server of the test's own. It goes when this does.
pub struct Server {
    child: Child,
    answers: Receiver<String>,
    pub url: String,
}

impl Server {
    /// An empty one, with the schema in it.
    pub fn start() -> Self {
        let server = Self::with(&[DURABLE]).expect("PostgreSQL can be started");
        printed(&run(&server.url, &[], &["migrate", "up"], ""));
        server
    }

    /// Whatever `scripts/postgres throwaway` makes of these arguments. `None` when it cannot be had.
    pub fn with(arguments: &[&str]) -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
        let mut child = Command::new(script)
            .arg("throwaway")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, answers) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // A test that failed takes no more answers.
                let _ = sender.send(line);
            }
        });
        // Nothing comes from one that ends instead.
        let Ok(url) = answers.recv_timeout(PROGRAM_PATIENCE) else {
            end_of(&mut child, "scripts/postgres throwaway");
            return None;
        };
        Some(Self {
            child,
            answers,
            url,
        })
    }

    /// Kills, stops, starts, freezes, thaws or promotes it, and waits until that is done.
    #[track_caller]
    pub fn order(&mut self, what: &str) {
        let mut input = self.child.stdin.as_ref().unwrap();
        writeln!(input, "{what}").unwrap();
        let answer = self.answers.recv_timeout(PROGRAM_PATIENCE);
        assert_eq!(answer.as_deref(), Ok("done"), "{what}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // The script stops the server and removes its files.
        if thread::panicking() {
            return;
        }
        end_of(&mut self.child, "scripts/postgres throwaway");
    }
}

/// Clients that ask without a pause who they are.
struct Load {
    going_on: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<Vec<u16>>>,
}

impl Load {
    fn on(service: &Arc<Service>, access: &str) -> Self {
        let going_on = Arc::new(AtomicBool::new(true));
        let clients = (0..8).map(|_| {
            let (going_on, service) = (Arc::clone(&going_on), Arc::clone(service));
            let access = access.to_owned();
            thread::spawn(move || {
                let mut statuses = Vec::new();
                while going_on.load(Ordering::Relaxed) {
                    statuses.push(service.me(&access).status);
                }
                statuses
            })
        });
        let clients = clients.collect();
        Self { going_on, clients }
    }

    /// Ends it. Returns the different statuses that were seen, in order.
    fn end(self) -> Vec<u16> {
        self.going_on.store(false, Ordering::Relaxed);
        let all = self
            .clients
            .into_iter()
            .map(|client| client.join().unwrap());
        let mut statuses: Vec<_> = all.flatten().collect();
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }
}

#[tokio::test]
async fn other_users_of_the_machine_do_not_get_into_a_server_for_tests() {
    let server = Server::with(&[]).unwrap();
    let (_, place) = server.url.split_once('@').unwrap();
    for stranger in ["postgres", "postgres:", "postgres:postgres"] {
        let url = format!("postgres://{stranger}@{place}");
        let outcome = tokio_postgres::connect(&url, NoTls).await;
        assert!(outcome.is_err(), "{stranger}");
    }
}

#[test]
fn f01_a_server_that_is_killed_under_load_and_started_again_takes_no_restart() {
    let case = Case::begin();
    let mut server = Server::start();
    let service = Arc::new(Service::start(&server.url, &IMPATIENT));
    let member = Member::join(&service, "killed@marked.example");
    let load = Load::on(&service, &member.access);

    server.order("kill");

    expect_out(&case, &service, &member);
    server.order("start");
    let accepting = Instant::now();
    eventually("service", || {
        (service.me(&member.access).status == 200).then_some(())
    });
    println!(
        "served {} ms after PostgreSQL",
        accepting.elapsed().as_millis()
    );
    expect_well(&case, &service, &member);
    // Every answer was whole, and either right or a 503.
    case.expect(
        "answers under load",
        "[200, 503]",
        format!("{:?}", load.end()),
    );
}

#[test]
fn f02_a_server_that_is_restarted_in_good_order_takes_no_restart() {
    let case = Case::begin();
    let mut server = Server::start();
    let service = Arc::new(Service::start(&server.url, &IMPATIENT));
    let member = Member::join(&service, "restarted@marked.example");
    let load = Load::on(&service, &member.access);

    server.order("stop");
    server.order("start");

    expect_well(&case, &service, &member);
    let statuses = load.end();
    let others = statuses
        .iter()
        .filter(|status| ![200, 503].contains(*status));
    case.expect(
        "other answers than 200 and 503 under load",
        0,
        others.count(),
    );
}

#[test]
fn f03_a_server_that_freezes_is_given_up_in_time_and_used_again_when_it_thaws() {
    let case = Case::begin();
    let mut server = Server::start();
    let limits = [
        ("RATE_LIMIT", "on"),
        ("RATE_LIMIT_AUTH_BURST", "1000"),
        ("RATE_LIMIT_ACCOUNT_BURST", "1000"),
    ];
    let limited = [IMPATIENT.as_slice(), &limits].concat();
    let service = Service::start(&server.url, &limited);
    let member = Member::join(&service, "frozen@marked.example");

    server.order("freeze");

    let asked = Instant::now();
    expect_out(&case, &service, &member);
    // Of the five answers none waited for the request's own limit of 30 s.
    assert!(asked.elapsed() < Duration::from_secs(25));
    server.order("thaw");
    expect_well(&case, &service, &member);
}
