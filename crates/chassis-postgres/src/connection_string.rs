//! Connection strings: which parameters are in one, and which of them the driver must not see.
//!
//! tokio-postgres decides what a connection string means. It knows neither `sslmode=verify-full` nor `sslrootcert`, so
//! [`split`] cuts these two out and hands the rest, byte for byte, to the driver. A cut in the wrong place would turn
//! TLS off without a word. Three things keep that from happening:
//!
//! - The text is walked with the driver's own grammar, URL or `key=value`, with its quotes, escapes and blanks. A
//!   property test holds the two against each other.
//! - What either of the two would read differently, or drop without a word, is refused: a second `@`, a parameter given
//!   twice, text behind the last parameter.
//! - [`ConnectionTarget`](crate::ConnectionTarget) checks afterwards that the driver saw no `sslmode` of its own.
//!
//! No error repeats a part of the text. A password that was not encoded may end up in any place, so a name that is not
//! known is repeated only when it is one of [`FOREIGN`], which are names of other programs' documentation.

use std::ops::Range;

use percent_encoding::percent_decode_str;

use crate::InvalidTarget;

/// The parameters that the driver knows.
pub(crate) const KNOWN: [&str; 20] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
    SSLMODE,
    SSLROOTCERT,
];

const SSLMODE: &str = "sslmode";
const SSLROOTCERT: &str = "sslrootcert";

const CLIENT_CERTIFICATE: &str = "client certificates are not supported";
const STATEMENTS: &str = "set DB_PREPARED_STATEMENTS";
const KERBEROS: &str = "GSSAPI is not supported";
const REVOCATION: &str = "revocation lists are not supported";
const WITH_OPTIONS: &str = "options=-c name=value sets it, in a URL with %20 for the blank";

/// Parameters of libpq, of other drivers and of poolers that are none here, and what to write instead.
const FOREIGN: &[(&str, &str)] = &[
    ("pgbouncer", "set DB_POOLER=transaction"),
    (
        "schema",
        "options=-c search_path=name sets it, in a URL with %20 for the blank",
    ),
    (
        "currentschema",
        "options=-c search_path=name sets it, in a URL with %20 for the blank",
    ),
    ("search_path", WITH_OPTIONS),
    ("statement_timeout", "set DB_STATEMENT_TIMEOUT_MS"),
    ("lock_timeout", WITH_OPTIONS),
    ("idle_in_transaction_session_timeout", WITH_OPTIONS),
    ("timezone", WITH_OPTIONS),
    ("client_encoding", "it is always UTF-8"),
    ("encoding", "it is always UTF-8"),
    ("connection_limit", "set DB_POOL_SIZE"),
    ("pool_size", "set DB_POOL_SIZE"),
    ("max_connections", "set DB_POOL_SIZE"),
    ("pool_timeout", "set DB_POOL_TIMEOUT_MS"),
    ("pool_mode", "set DB_POOLER=transaction"),
    ("socket_timeout", "set DB_STATEMENT_TIMEOUT_MS"),
    ("logintimeout", "write connect_timeout"),
    ("prepared_statements", STATEMENTS),
    ("statement_cache_size", STATEMENTS),
    ("prepared_statement_cache_queries", STATEMENTS),
    ("preparethreshold", STATEMENTS),
    ("database", "write dbname"),
    ("username", "write user"),
    ("fallback_application_name", "write application_name"),
    ("applicationname", "write application_name"),
    ("keepalives_count", "write keepalives_retries"),
    ("ssl", "write sslmode"),
    ("ssl_mode", "write sslmode"),
    ("requiressl", "write sslmode"),
    ("sslaccept", "write sslmode"),
    ("sslcert", CLIENT_CERTIFICATE),
    ("sslkey", CLIENT_CERTIFICATE),
    ("sslpassword", CLIENT_CERTIFICATE),
    ("sslidentity", CLIENT_CERTIFICATE),
    ("sslcertmode", CLIENT_CERTIFICATE),
    ("sslcrl", REVOCATION),
    ("sslcrldir", REVOCATION),
    ("sslsni", "the name is always sent"),
    ("sslcompression", "TLS has none"),
    ("ssl_min_protocol_version", "it is always TLS 1.2 or newer"),
    ("ssl_max_protocol_version", "it is always the newest"),
    ("gssencmode", KERBEROS),
    ("gsslib", KERBEROS),
    ("gssdelegation", KERBEROS),
    ("krbsrvname", KERBEROS),
    (
        "require_auth",
        "channel_binding=require is the strictest there is",
    ),
    ("requirepeer", "it is not supported"),
    ("service", "write its parameters here"),
    ("servicefile", "write its parameters here"),
    ("passfile", "set DB_PASSWORD_FILE"),
    ("replication", "it is not supported"),
];

/// A connection string in two parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Everything but `sslmode` and `sslrootcert`, for the driver.
    pub(crate) rest: String,
    /// The value of `sslmode`.
    pub(crate) mode: Option<String>,
    /// The value of `sslrootcert`.
    pub(crate) root_certificates: Option<String>,
}

/// Cuts `sslmode` and `sslrootcert` out, and refuses what would be misread.
pub(crate) fn split(text: &str) -> Result<Split, InvalidTarget> {
    let (parameters, before) = match url_body(text) {
        Some(start) => {
            let query = query_of(text, start)?;
            (url_parameters(text, query)?, &text[..query])
        }
        None => (key_value_parameters(text)?, ""),
    };
    let names = names(&parameters)?;
    let given_before = given_in_authority(before)?;
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) || given_before.contains(name) {
            return Err(InvalidTarget::Repeated(name));
        }
    }
    let mut found = Split {
        rest: String::new(),
        mode: None,
        root_certificates: None,
    };
    let mut from = 0;
    for (name, parameter) in names.into_iter().zip(parameters) {
        let ours = match name {
            SSLMODE => &mut found.mode,
            SSLROOTCERT => &mut found.root_certificates,
            _ => continue,
        };
        *ours = Some(parameter.value);
        found.rest.push_str(&text[from..parameter.place.start]);
        from = parameter.place.end;
    }
    found.rest.push_str(&text[from..]);
    Ok(found)
}

/// A parameter with its value, decoded, and its place in the text.
struct Parameter {
    name: String,
    value: String,
    place: Range<usize>,
}

/// The known names of these parameters, or an error about the first unknown one.
fn names(parameters: &[Parameter]) -> Result<Vec<&'static str>, InvalidTarget> {
    let name_of = |(at, parameter): (usize, &Parameter)| {
        let name = &parameter.name;
        if let Some(known) = KNOWN.into_iter().find(|known| known == name) {
            return Ok(known);
        }
        if let Some(known) = KNOWN
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(name))
        {
            return Err(InvalidTarget::UpperCase(known));
        }
        let mut foreign = FOREIGN.iter();
        let foreign = foreign.find(|(foreign, _)| foreign.eq_ignore_ascii_case(name));
        Err(match foreign {
            Some((name, instead)) => InvalidTarget::Foreign { name, instead },
            None => InvalidTarget::Unknown { place: at + 1 },
        })
    };
    parameters.iter().enumerate().map(name_of).collect()
}

/// Where a URL goes on behind its scheme; `None` when this is no URL.
fn url_body(text: &str) -> Option<usize> {
    let schemes = ["postgres://", "postgresql://"];
    schemes
        .into_iter()
        .find_map(|scheme| text.starts_with(scheme).then_some(scheme.len()))
}

/// Where the query of a URL begins, behind its `?`; the end of the text when it has none.
///
/// For the driver everything up to the first `@` is the role and its password, which may hold a raw `?` or `/`.
fn query_of(text: &str, start: usize) -> Result<usize, InvalidTarget> {
    let body = &text[start..];
    if body.contains(char::is_control) {
        return Err(InvalidTarget::Malformed);
    }
    let authority = match body.split_once('@') {
        None => start,
        Some((_, rest)) if rest.contains('@') => return Err(InvalidTarget::AtSign),
        Some((credentials, _)) => {
            let role = credentials.split(':').next().unwrap_or_default();
            // No role, but an @ in a later part, at which the driver would begin with the host.
            if role.contains(['/', '?']) {
                return Err(InvalidTarget::AtSign);
            }
            start + credentials.len() + 1
        }
    };
    let query = text[authority..].find('?');
    Ok(query.map_or(text.len(), |at| authority + at + 1))
}

/// The parameters in the query of a URL: a name up to `=`, a value up to `&`.
fn url_parameters(text: &str, query: usize) -> Result<Vec<Parameter>, InvalidTarget> {
    let mut parameters = Vec::new();
    let mut at = query;
    while at < text.len() {
        let (name, rest) = text[at..].split_once('=').ok_or(InvalidTarget::Malformed)?;
        let value = rest.split('&').next().unwrap_or_default();
        let end = at + name.len() + 1 + value.len();
        let end = (end + 1).min(text.len());
        parameters.push(Parameter {
            name: decoded(name)?,
            value: decoded(value)?,
            place: at..end,
        });
        at = end;
    }
    Ok(parameters)
}

fn decoded(text: &str) -> Result<String, InvalidTarget> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map_or(Err(InvalidTarget::Malformed), |text| Ok(text.into_owned()))
}

/// What the part of a URL before the query gives, which the query must not give again.
fn given_in_authority(before: &str) -> Result<Vec<&'static str>, InvalidTarget> {
    if before.is_empty() {
        return Ok(Vec::new());
    }
    let config: tokio_postgres::Config = before.parse().map_err(|_| InvalidTarget::Malformed)?;
    let given = [
        ("user", config.get_user().is_some()),
        ("password", config.get_password().is_some()),
        ("dbname", config.get_dbname().is_some()),
        ("host", !config.get_hosts().is_empty()),
        ("port", !config.get_ports().is_empty()),
    ];
    let given = given.into_iter().filter(|(_, given)| *given);
    Ok(given.map(|(name, _)| name).collect())
}

/// The parameters of a `key=value` text: blanks between them and around `=`, values in `'…'` where they hold blanks, a
/// backslash before any character that is to be taken as it is.
fn key_value_parameters(text: &str) -> Result<Vec<Parameter>, InvalidTarget> {
    let mut parameters = Vec::new();
    let mut reader = KeyValueReader { text, at: 0 };
    loop {
        reader.skip_while(char::is_whitespace);
        let start = reader.at;
        if start == text.len() {
            return Ok(parameters);
        }
        reader.skip_while(|c| c != '=' && !c.is_whitespace());
        let name = text[start..reader.at].to_owned();
        reader.skip_while(char::is_whitespace);
        // The driver takes a text that goes on without a name for a finished one.
        if name.is_empty() || reader.next() != Some('=') {
            return Err(InvalidTarget::Malformed);
        }
        reader.skip_while(char::is_whitespace);
        let value = reader.value()?;
        parameters.push(Parameter {
            name,
            value,
            place: start..reader.at,
        });
    }
}

struct KeyValueReader<'a> {
    text: &'a str,
    at: usize,
}

impl KeyValueReader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip_while(&mut self, skipped: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&skipped) {
            self.next();
        }
    }

    fn value(&mut self) -> Result<String, InvalidTarget> {
        let quoted = self.peek() == Some('\'');
        if quoted {
            self.next();
        }
        let mut value = String::new();
        while let Some(next) = self.peek() {
            if quoted && next == '\'' {
                self.next();
                return Ok(value);
            }
            if !quoted && next.is_whitespace() {
                break;
            }
            self.next();
            let escaped = if next == '\\' {
                self.next()
            } else {
                Some(next)
            };
            value.extend(escaped);
        }
        if quoted || value.is_empty() {
            return Err(InvalidTarget::Malformed);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select, test_runner::RngSeed};
    use tokio_postgres::{Config, config::SslMode};

    use super::*;
    use crate::{ConnectionDefaults, ConnectionTarget, TlsMode};

    fn cases(cases: u32) -> ProptestConfig {
        ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(42),
            ..ProptestConfig::with_cases(cases)
        }
    }

    /// A value as it may be spelt in `key=value`.
    fn spelt(value: &str, quoted: bool) -> String {
        let escape = |c: char| {
            let is_special = c == '\\' || c == '\'' || !quoted && c.is_whitespace();
            [is_special.then_some('\\'), Some(c)]
        };
        let escaped: String = value.chars().flat_map(escape).flatten().collect();
        let is_quoted = quoted || value.is_empty();
        if is_quoted {
            format!("'{escaped}'")
        } else {
            escaped
        }
    }

    #[test]
    fn only_the_two_parameters_are_cut_out() {
        for (text, rest, mode, file) in [
            ("postgres://h/d", "postgres://h/d", None, None),
            (
                "postgres://h/d?sslmode=require",
                "postgres://h/d?",
                Some("require"),
                None,
            ),
            (
                "postgres://h/d?connect_timeout=1&sslrootcert=%2Fa+b&sslmode=verify-full&options=x",
                "postgres://h/d?connect_timeout=1&options=x",
                Some("verify-full"),
                Some("/a+b"),
            ),
            (
                "host=h\tsslmode = 'require' password='sslmode=disable'",
                "host=h\t password='sslmode=disable'",
                Some("require"),
                None,
            ),
            ("", "", None, None),
        ] {
            let expected = Split {
                rest: rest.to_owned(),
                mode: mode.map(str::to_owned),
                root_certificates: file.map(str::to_owned),
            };
            assert_eq!(split(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_when_it_is_somebody_s() {
        let foreign = |text| match split(text) {
            Err(InvalidTarget::Foreign { name, .. }) => name,
            other => panic!("{other:?}"),
        };

        assert_eq!(foreign("postgres://h/d?pgbouncer=true"), "pgbouncer");
        assert_eq!(foreign("host=h statement_timeout=5"), "statement_timeout");
        assert_eq!(foreign("postgres://h/d?user=a&Schema=b"), "schema");
        assert_eq!(
            split("postgres://h/d?user=a&QZJX=b"),
            Err(InvalidTarget::Unknown { place: 2 })
        );
        assert_eq!(
            split("host=h SSLMODE=require"),
            Err(InvalidTarget::UpperCase("sslmode"))
        );
    }

    proptest! {
        #![proptest_config(cases(500))]

        #[test]
        fn the_driver_reads_the_rest_as_it_would_read_the_whole(
            values in vec(("[ -~\t]{1,9}", any::<bool>()), 3),
            blank in select(vec![" ", "\t", "\n ", "  "]),
            place in 0..4_usize,
            mode in select(vec!["require", "verify-full", "prefer", "disable"]),
        ) {
            let names = ["password", "dbname", "user"];
            let mut items: Vec<_> = names.iter().zip(&values)
                .map(|(name, (value, quoted))| format!("{name}={}", spelt(value, *quoted)))
                .collect();
            items.push("host=a".to_owned());
            let without = items.join(blank);
            items.insert(place, format!("sslmode{blank}={blank}'{mode}'"));
            let whole = items.join(blank);

            let found = split(&whole).unwrap();

            prop_assert_eq!(found.mode.as_deref(), Some(mode));
            let read: Config = found.rest.parse().unwrap();
            let expected: Config = without.parse().unwrap();
            prop_assert_eq!(read.get_password(), Some(values[0].0.as_bytes()));
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_text_hides_from_us_what_it_asks_the_driver_for(
            scheme in select(vec!["", "postgres://", "postgresql://", "postgres://u:p@", "host=a "]),
            pieces in vec(select(vec![
                "sslmode", "=", "require", "disable", "&", "?", "@", "/", " ", "\t", "'", "\\", "%73slmode", "host",
                "a", "hostaddr=1.2.3.4", "user", ":", ",", "[", "]", "%", "%3D", "#", "sslmode=require", "?sslmode=require",
                " sslmode=require",
            ]), 0..12),
        ) {
            let text = format!("{scheme}{}", pieces.concat());
            let ours = ConnectionTarget::from_url(&text, ConnectionDefaults::default());
            let (Ok(driver), Ok(ours)) = (text.parse::<Config>(), ours) else {
                return Ok(());
            };
            let is_local = driver.get_hosts().iter().all(|host| !matches!(host, tokio_postgres::config::Host::Tcp(_)));
            let is_local = is_local && driver.get_hostaddrs().is_empty();
            if driver.get_ssl_mode() == SslMode::Require && !is_local {
                prop_assert_eq!(ours.tls, TlsMode::Require);
            }
            prop_assert_eq!(driver.get_password(), ours.config.get_password());
            prop_assert_eq!(driver.get_hostaddrs(), ours.config.get_hostaddrs());
            prop_assert_eq!(driver.get_dbname(), ours.config.get_dbname());
        }

        #[test]
        fn no_four_characters_of_a_secret_reach_an_output(
            secret in "[QZXJ9@:/?#&=%'\"\\\\ \t\n,$éß-]{4,24}",
            template in select(vec![
                "postgres://role:SECRET@db.example/notes",
                "postgres://role:SECRET@db.example:5432/notes?sslmode=require",
                "postgres://role:SECRET@[::1]/notes",
                "postgres://role:SECRET@a,b/notes?pgbouncer=true",
                "postgres://role:SECRET@db.example?target_session_attrs=any",
                "postgres://db.example/notes?user=role&password=SECRET",
                "postgres://db.example?password=SECRET&user=role",
                "postgres:///notes?host=db.example&password=SECRET",
                "postgres://role@db.example/notes?password=SECRET&sslmode=disable",
                "POSTGRES://role:SECRET@db.example/notes",
                "mysql://role:SECRET@db.example/notes",
                "jdbc:postgresql://db.example/notes?user=role&password=SECRET",
                "host=db.example user=role password=SECRET",
                "password=SECRET host=db.example",
                "host=db.example password='SECRET' dbname=notes",
                "host=db.example password=\"SECRET\" dbname=notes",
                "host=db.example, password=SECRET",
                "SECRET",
            ]),
        ) {
            let text = template.replace("SECRET", &secret);
            let outputs = match ConnectionTarget::from_url(&text, ConnectionDefaults::default()) {
                Ok(target) => format!(
                    "{target:?}\n{}\n{:?}\n{}", target.describe(), target.role(), target.database_name()
                ),
                Err(error) => format!("{error}\n{error:?}"),
            };
            let characters: Vec<char> = secret.chars().collect();
            for window in characters.windows(4) {
                // What stands in no text of ours.
                if window.iter().any(|c| "QZXJ9éß".contains(*c)) {
                    let window: String = window.iter().collect();
                    prop_assert!(!outputs.contains(&window), "{:?} of {:?}: {}", window, text, outputs);
                }
            }
        }
    }
}
