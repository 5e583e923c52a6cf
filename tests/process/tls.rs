//! The connection to PostgreSQL, encrypted and not.

use std::path::Path;

use super::{
    cluster,
    faults::Server,
    support::{Service, complaint, printed, run},
};

/// How the sessions of the service itself are encrypted.
const ENCRYPTED: &str = "SELECT bool_and(s.ssl) FROM pg_stat_ssl AS s
    JOIN pg_stat_activity AS a USING (pid)
    WHERE a.backend_type = 'client backend' AND pid <> pg_backend_pid()";

/// Waits until they are so. There may be none yet, and those of a service that was killed may not have noticed it yet.
async fn await_encryption(url: &str, encrypted: bool) {
    let database = cluster::connect(url).await;
    cluster::until(&format!("sessions encrypted: {encrypted}"), async || {
        let row = database.query_one(ENCRYPTED, &[]).await.unwrap();
        row.get::<_, Option<bool>>(0) == Some(encrypted)
    })
    .await;
}

/// Whether the PostgreSQL of these tests was built with TLS, which what `scripts/postgres` fetches is not.
async fn has_tls() -> bool {
    let url = cluster::empty_database().await;
    let database = cluster::connect(&url).await;
    let library = database.query_one("SHOW ssl_library", &[]).await.unwrap();
    !library.get::<_, &str>(0).is_empty()
}

#[tokio::test]
async fn it_is_encrypted_and_verified_as_it_was_asked_to_be() {
    if !has_tls().await {
        println!("SKIPPED: this PostgreSQL was built without TLS");
        return;
    }
    let server = Server::with(&["--tls"]).unwrap();
    let plain = &server.url;
    let by_name = plain.replace("127.0.0.1", "localhost");
    let data = cluster::connect(plain)
        .await
        .query_one("SHOW data_directory", &[])
        .await
        .unwrap();
    let authority = Path::new(data.get::<_, &str>(0)).with_file_name("ca.crt");
    let authority = authority.to_str().unwrap();
    let known = ("DB_SSLROOTCERT", authority);
    printed(&run(plain, &[], &["migrate", "up"], ""));

    for (mode, encrypted) in [("disable", false), ("prefer", true), ("require", true)] {
        let service = Service::start(plain, &[("DB_SSLMODE", mode)]);
        assert_eq!(service.get("/ready").status, 200);
        await_encryption(plain, encrypted).await;
    }
    let verified = ("DB_SSLMODE", "verify-full");
    let service = Service::start(&by_name, &[verified, known]);
    await_encryption(plain, true).await;
    drop(service);
    let by_url = format!("{by_name}?sslmode=verify-full&sslrootcert={authority}");
    printed(&run(&by_url, &[], &["migrate", "status"], ""));

    let stranger = complaint(&run(&by_name, &[verified], &["migrate", "status"], ""));
    // The second where the machine trusts no authority at all.
    let reasons = ["UnknownIssuer", "no certificate to trust"];
    assert!(
        reasons.iter().any(|reason| stranger.contains(reason)),
        "{stranger}"
    );
    let other_name = complaint(&run(plain, &[verified, known], &["migrate", "status"], ""));
    assert!(other_name.contains("not valid for name"), "{other_name}");
}

#[tokio::test]
async fn where_it_is_required_a_server_without_it_is_refused() {
    let url = cluster::new_database().await;
    let required = [("DB_SSLMODE", "require"), ("DB_CONNECT_TIMEOUT_MS", "0")];

    let error = complaint(&run(&url, &required, &["migrate", "status"], ""));

    assert!(error.contains("TLS"), "{error}");
}
