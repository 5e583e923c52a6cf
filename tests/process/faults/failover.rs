//! The primary is lost and its standby promoted.

use super::{IMPATIENT, Member, expect_out, expect_well, postgres::Server};
use crate::{case::Case, cluster, support::Service};

#[tokio::test]
async fn f04_when_the_primary_is_lost_the_promoted_standby_serves_without_a_restart() {
    let case = Case::begin();
    let mut primary = Server::start();
    let other = format!("--standby-of {}", primary.url);
    let mut standby = Server::with(&other.split(' ').collect::<Vec<_>>()).unwrap();
    let both = either(&primary.url, &standby.url);
    let service = Service::start(&both, &IMPATIENT);
    let member = Member::join(&service, "failover@marked.example");
    // What the standby has not replayed yet would be lost with the primary.
    let replica = cluster::connect(&standby.url).await;
    cluster::until("the session on the standby", async || {
        let rows = replica.query("SELECT FROM sessions", &[]).await;
        !rows.unwrap().is_empty()
    })
    .await;

    primary.order("kill");

    // The standby answers, but takes no writes, so it is passed by.
    expect_out(&case, &service, &member);
    standby.order("promote");
    expect_well(&case, &service, &member);
}

/// Both servers in one address, of which the one that takes writes is meant.
fn either(one: &str, other: &str) -> String {
    let (user, host) = one.split_once('@').unwrap();
    let (_, other) = other.split_once('@').unwrap();
    let (host, _) = host.split_once('/').unwrap();
    format!("{user}@{host},{other}?target_session_attrs=read-write")
}
