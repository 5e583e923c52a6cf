//! Buckets that are full again are removed beside the requests.

use tokio_util::sync::CancellationToken;
use warp_skeleton::features::limits;

use super::{guess_from, let_fill, limited};

#[tokio::test]
async fn full_buckets_go_and_the_others_stay() {
    let app = limited(&[]).await;
    guess_from(&app, "192.0.2.1", "early@marked.example", 1).await;
    let_fill(&app, 61).await;
    guess_from(&app, "192.0.2.2", "late@marked.example", 1).await;

    let stop = CancellationToken::new();
    let swept = limits::sweep(&app.app.database, &stop).await.unwrap();

    assert_eq!(swept, 2);
    assert_eq!(app.count("SELECT count(*) FROM rate_limits").await, 2);
}
