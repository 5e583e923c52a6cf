//! Settings, as a person meets them.

use std::fs;

use super::support::{Folder, complaint, printed, run};

const URL: &str = "postgres://me:marked-dsn@localhost/notes";

#[test]
fn config_redacts_secrets_and_names_origins() {
    let folder = Folder::new();
    let (toml, secret) = (folder.join("settings.toml"), folder.join("secret"));
    fs::write(&toml, "SLOW_QUERY_MS = 250\nTRACE_CONSOLE = true\n").unwrap();
    fs::write(&secret, "marked-secret-from-a-file-0123456789\n").unwrap();

    let settings = [
        ("CONFIG_FILE", toml.to_str().unwrap()),
        ("JWT_SECRET_KEY", ""),
        ("JWT_SECRET_KEY_FILE", secret.to_str().unwrap()),
    ];
    let text = printed(&run(URL, &settings, &["config"], ""));

    assert!(!text.contains("marked"), "{text}");
    let line = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name))
            .unwrap();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("DATABASE_URL"), "(redacted) the environment");
    assert_eq!(
        line("JWT_SECRET_KEY"),
        "(redacted) the file named by JWT_SECRET_KEY_FILE"
    );
    assert_eq!(
        line("SLOW_QUERY_MS"),
        format!("250 the file {}", toml.display())
    );
    assert_eq!(line("MAX_CONNECTIONS"), "10000 default");
}

#[test]
fn a_mistake_is_one_line_that_names_key_source_and_expectation() {
    let folder = Folder::new();
    let toml = folder.join("settings.toml");
    fs::write(&toml, "PROT = 8000\n").unwrap();
    let toml = toml.to_str().unwrap();

    for (settings, expected) in [
        (
            vec![("CONFIG_FILE", toml)],
            format!("error: PROT (from the file {toml}): expected a setting of this service\n"),
        ),
        (
            vec![("DB_POOL_SIZE", "many")],
            "error: DB_POOL_SIZE (from the environment): expected a whole number from 1 to 10000\n".to_owned(),
        ),
        (
            vec![("TRACE_CONSOLE", "yes")],
            "error: TRACE_CONSOLE (from the environment): expected on or off\n".to_owned(),
        ),
        (
            vec![("DB_PASSWORD", "marked"), ("DB_PASSWORD_FILE", toml)],
            "error: DB_PASSWORD_FILE (from the environment): expected either DB_PASSWORD or DB_PASSWORD_FILE, not both\n".to_owned(),
        ),
    ] {
        assert_eq!(complaint(&run(URL, &settings, &["config"], "")), expected);
    }
}

#[test]
fn a_mistake_in_the_file_is_told_without_the_line_that_may_hold_a_secret() {
    let folder = Folder::new();
    let toml = folder.join("settings.toml");

    for text in ["\nDB_PASSWORD = marked\n", "\nDB_PASSWORD = \"marked\n"] {
        fs::write(&toml, text).unwrap();
        let settings = [("CONFIG_FILE", toml.to_str().unwrap())];
        let error = complaint(&run(URL, &settings, &["config"], ""));

        assert!(
            error.contains("expected TOML: there is a mistake at line 2"),
            "{error}"
        );
        assert!(!error.contains("marked"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn credentials_in_the_address_of_a_collector_are_shown_nowhere() {
    let settings = [(
        "OTLP_ENDPOINT",
        "http://marked-secret:marked-secret@127.0.0.1:1",
    )];

    let config = printed(&run(URL, &settings, &["config"], ""));
    let doctor = run(URL, &settings, &["doctor"], "");

    assert!(config.contains("http://(redacted)@127.0.0.1:1"), "{config}");
    let doctor = format!("{doctor:?}");
    assert!(
        doctor.contains("http://127.0.0.1:1/v1/traces: "),
        "{doctor}"
    );
    assert!(!format!("{config}{doctor}").contains("marked-secret"));
}

#[test]
fn a_connection_string_that_is_not_understood_is_told_apart_without_being_shown() {
    for (query, expected) in [
        ("pgbouncer=true", "no parameter pgbouncer: set "),
        (
            "statement_timeout=5s",
            "no parameter statement_timeout: set DB_STATEMENT_TIMEOUT_MS",
        ),
        (
            "schema=public",
            "no parameter schema: options=-c search_path=name",
        ),
        (
            "sslmode=verify-ca",
            "sslmode=disable, prefer, require or verify-full",
        ),
        ("marked-dsn=1", "parameters of the driver; number 1 is none"),
        ("port=marked-dsn", "the parameter port once"),
        (
            "connect_timeout=marked-dsn",
            "another value for the parameter connect_timeout",
        ),
    ] {
        let error = complaint(&run(&format!("{URL}?{query}"), &[], &["config"], ""));

        let start = "error: DATABASE_URL (from the environment): expected ";
        assert!(error.starts_with(&format!("{start}{expected}")), "{error}");
        assert!(
            !error.contains("marked") && error.lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn a_misspelt_level_is_refused_and_silences_nothing() {
    for level in ["verbose", "WARNING", "hyper=debug", "???"] {
        let error = complaint(&run(URL, &[("LOG_LEVEL", level)], &["config"], ""));

        assert!(
            error.starts_with("error: LOG_LEVEL (from the environment)"),
            "{error}"
        );
    }
    for level in ["warn", "off", "info,hyper=debug"] {
        printed(&run(URL, &[("LOG_LEVEL", level)], &["config"], ""));
    }
}

#[test]
fn two_listeners_cannot_have_one_port() {
    let settings = [("PORT", "8123"), ("ADMIN_PORT", "8123")];

    let error = complaint(&run(URL, &settings, &["config"], ""));

    assert!(
        error.starts_with("error: ADMIN_PORT (from the environment)"),
        "{error}"
    );
}

#[test]
fn weak_hashing_is_refused_in_production() {
    let settings = [("APP_ENV", "production")];

    let error = complaint(&run(URL, &settings, &["config"], ""));

    assert!(
        error.starts_with("error: SCRYPT_LOG_N (from the environment)"),
        "{error}"
    );
}
