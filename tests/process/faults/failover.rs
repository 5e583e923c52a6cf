//! The primary is lost and its standby promoted.

use super::{IMPATIENT, Member, assert_out, assert_well, postgres::Server};
use crate::{
    cluster,
    support::{Service, eventually},
};

#[tokio::test]
async fn when_the_primary_is_lost_the_promoted_standby_serves_without_a_restart() {
    let mut primary = Server::start();
    let other = format!("--standby-of {}", primary.url);
    let mut standby = Server::with(&other.split(' ').collect::<Vec<_>>()).unwrap();
    let both = either(&primary.url, &standby.url);
    let service = Service::start(&both, &IMPATIENT);
    let member = Member::join(&service, "failover@marked.example");
    // What the standby has not replayed yet would be lost with the primary.
    let replica = cluster::connect(&standby.url).await;
    while replica
        .query("SELECT FROM sessions", &[])
        .await
        .unwrap()
        .is_empty()
    {
        tokio::task::yield_now().await;
    }

    primary.order("kill");

    // The standby answers, but takes no writes, so it is passed by.
    assert_out(&service, &member);
    standby.order("promote");
    eventually("service", || {
        (member.sign_in(&service).status == 200).then_some(())
    });
    assert_well(&service, &member);
}

/// Both servers in one address, of which the one that takes writes is meant.
fn either(one: &str, other: &str) -> String {
    let host = |url: &str| {
        let (_, rest) = url.split_once('@').unwrap();
        rest.split_once('/').unwrap().0.to_owned()
    };
    format!(
        "postgres://postgres@{},{}/postgres?target_session_attrs=read-write",
        host(one),
        host(other)
    )
}
