//! Attempts that cannot be counted.

use super::{guess_from, limited};
use crate::support::TestApp;

const HERE: &str = "192.0.2.1";

/// A service whose table of buckets is out of order while everything else works.
async fn uncounting(settings: &[(&str, &str)]) -> TestApp {
    let app = limited(settings).await;
    let broken = "ALTER TABLE rate_limits RENAME TO elsewhere";
    app.database().await.batch_execute(broken).await.unwrap();
    app
}

#[tokio::test]
async fn they_go_on_and_what_one_process_counts_still_holds() {
    let app = uncounting(&[("RATE_LIMIT_AUTH_BURST", "2")]).await;

    let statuses = guess_from(&app, HERE, "nobody@marked.example", 3).await;

    assert_eq!(statuses, [401, 401, 429]);
}

#[tokio::test]
async fn they_are_unavailable_where_that_is_safer() {
    let app = uncounting(&[("RATE_LIMIT_ON_FAILURE", "deny")]).await;
    let user = app.user().create().await;

    let answer = app.try_sign_in(&user.email, &user.password).await;

    answer.assert_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn they_are_counted_again_as_soon_as_they_can_be() {
    let app = uncounting(&[("RATE_LIMIT_ACCOUNT_BURST", "1")]).await;
    guess_from(&app, HERE, "nobody@marked.example", 2).await;
    let mended = "ALTER TABLE elsewhere RENAME TO rate_limits";
    app.database().await.batch_execute(mended).await.unwrap();

    let statuses = guess_from(&app, HERE, "nobody@marked.example", 2).await;

    assert_eq!(statuses, [401, 429]);
}
