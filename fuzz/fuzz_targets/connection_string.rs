//! Connection strings: no four characters of a secret reach an output, and no text turns TLS off that the driver would
//! have asked for.

#![no_main]

use chassis_postgres::{ConnectionDefaults, ConnectionTarget, TlsMode};
use libfuzzer_sys::fuzz_target;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// Where a secret may stand.
const TEMPLATES: [&str; 10] = [
    "postgres://role:SECRET@db.example/notes",
    "postgres://role:SECRET@db.example:5432/notes?sslmode=require",
    "postgres://role:SECRET@a,b/notes?pgbouncer=true",
    "postgres://db.example/notes?user=role&password=SECRET",
    "postgres://db.example?password=SECRET&user=role",
    "mysql://role:SECRET@db.example/notes",
    "host=db.example user=role password=SECRET",
    "password=SECRET host=db.example",
    "host=db.example password='SECRET' dbname=notes",
    "SECRET",
];

fuzz_target!(|input: (u8, &str)| {
    let (choice, text) = input;
    keeps_tls(text);
    // In letters that no text of ours has, with what is special in connection strings left as it is.
    let secret: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphabetic() {
                char::from(b"QZXJ"[c as usize % 4])
            } else {
                c
            }
        })
        .collect();
    let template = TEMPLATES[usize::from(choice) % TEMPLATES.len()];
    keeps_to_itself(&template.replace("SECRET", &secret), &secret);
});

fn keeps_to_itself(text: &str, secret: &str) {
    let outputs = match ConnectionTarget::from_url(text, ConnectionDefaults::default()) {
        Ok(target) => format!(
            "{target:?}\n{}\n{:?}\n{}",
            target.describe(),
            target.role(),
            target.database_name()
        ),
        Err(error) => format!("{error}\n{error:?}"),
    };
    let characters: Vec<char> = secret.chars().collect();
    for window in characters.windows(4) {
        let window: String = window.iter().collect();
        let is_marked = window.contains(['Q', 'Z', 'X', 'J']);
        assert!(
            !is_marked || !outputs.contains(&window),
            "{window:?} of {text:?} in {outputs}"
        );
    }
}

fn keeps_tls(text: &str) {
    let ours = ConnectionTarget::from_url(text, ConnectionDefaults::default());
    let (Ok(driver), Ok(ours)) = (text.parse::<Config>(), ours) else {
        return;
    };
    let is_tcp = |host: &Host| matches!(host, Host::Tcp(_));
    let is_remote = driver.get_hosts().iter().any(is_tcp) || !driver.get_hostaddrs().is_empty();
    if is_remote && driver.get_ssl_mode() == SslMode::Require {
        assert_eq!(ours.tls, TlsMode::Require);
    }
    assert_eq!(driver.get_password(), ours.config.get_password());
    assert_eq!(driver.get_hostaddrs(), ours.config.get_hostaddrs());
}
