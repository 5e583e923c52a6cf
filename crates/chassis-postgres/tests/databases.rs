//! The databases that tests get.

use std::thread;

use chassis_postgres::testing;

use crate::support::DATABASES;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_dropped_once_the_thread_that_asked_for_it_has_ended() {
    let mine = DATABASES.new_database().await;
    let runtime = tokio::runtime::Handle::current();
    let elsewhere = thread::spawn(move || runtime.block_on(DATABASES.new_database()));
    let of_another = elsewhere.join().unwrap();
    assert!(is_there(&mine, &of_another).await);

    let last = DATABASES.new_database().await;

    assert!(!is_there(&mine, &of_another).await);
    assert!(is_there(&mine, &mine).await);
    assert!(is_there(&mine, &last).await);
}

async fn is_there(asked: &str, url: &str) -> bool {
    let (_, name) = url.rsplit_once('/').unwrap();
    let client = testing::connect(asked).await;
    let find = "SELECT 1 FROM pg_database WHERE datname = $1";
    client.query_opt(find, &[&name]).await.unwrap().is_some()
}
