//! The settings of mail.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use chassis_settings::{
    AppEnv, Declaration, ExposeSecret, SecretString, Section, SettingError, Values, millis_within,
    optional, parse_with, path, secret, settings,
};
use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::message;

settings! {
    /// SMTP server, smtp://user:password@host:587 (STARTTLS) or smtps://…:465; unset: off in production, else MAIL_FOLDER
    #[secret]
    MAIL_URL: Option<SecretString>, optional(secret());

    /// sender of all mail, like Acme <no-reply@example.com>; needed with MAIL_URL
    MAIL_FROM: Option<Mailbox>, optional(parse_with(sender, SENDER));

    /// name of the product in mail; unset: SERVICE_NAME
    MAIL_PRODUCT_NAME: Option<String>, optional(parse_with(product_name, "a name in one line"));

    /// how long one message may take, from the connection to the server's last answer
    MAIL_TIMEOUT_MS: Duration = "30000", millis_within(100..=300_000);

    /// where messages are written without MAIL_URL, but not in production; unset: .dev/mail in development, else nowhere
    MAIL_FOLDER: Option<PathBuf>, optional(path("a folder"));
}

/// What `MAIL_FROM` takes.
const SENDER: &str = "an address like no-reply@example.com, or Acme <no-reply@example.com>";

/// What `MAIL_URL` takes.
const URL: &str = "a URL like smtp://user:password@host:587 or smtps://user:password@host:465, with user and password \
                   percent-encoded, and without path or query";

/// The settings of mail.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Where messages go.
    pub(super) route: Route,
    /// Who sends them.
    pub(super) from: Mailbox,
    /// The name that templates call the product by.
    pub(super) product: String,
}

/// Where messages go.
#[derive(Debug, Clone)]
pub(super) enum Route {
    /// Nowhere.
    Off,
    /// Into a folder.
    Folder(PathBuf),
    /// To an SMTP server.
    Smtp(Server),
}

/// An SMTP server, and how to speak to it.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) credentials: Option<Login>,
    /// How long one message may take.
    pub(super) timeout: Duration,
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// Not: the host is this one.
    Loopback,
    /// By STARTTLS, or not at all used.
    StartTls,
    /// By TLS from the first byte.
    Tls,
}

/// User and password.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) user: SecretString,
    pub(super) password: SecretString,
}

impl MailSettings {
    /// Whether messages go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self.route, Route::Off)
    }
}

impl Section for MailSettings {
    const TITLE: &'static str = "Mail";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let from = values.read(&MAIL_FROM)?;
        let timeout = values.read(&MAIL_TIMEOUT_MS)?;
        let folder = values.read(&MAIL_FOLDER)?;
        let route = match values.read(&MAIL_URL)? {
            Some(url) => {
                let server = Server::parse(url.expose_secret(), timeout);
                let server = server.ok_or_else(|| values.unusable(&MAIL_URL, URL))?;
                if from.is_none() {
                    let expected = format!("{SENDER}, because MAIL_URL is set");
                    return Err(values.unusable(&MAIL_FROM, expected));
                }
                Route::Smtp(server)
            }
            None => match (values.app_env()?, folder) {
                (AppEnv::Production, _) | (AppEnv::Test, None) => Route::Off,
                (_, Some(folder)) => Route::Folder(folder),
                (AppEnv::Development, None) => Route::Folder(PathBuf::from(".dev/mail")),
            },
        };
        let product = match values.read(&MAIL_PRODUCT_NAME)? {
            Some(name) => name,
            None => values.read(&chassis_telemetry::SERVICE_NAME)?,
        };
        Ok(Self {
            route,
            from: from.unwrap_or_else(nobody),
            product,
        })
    }
}

/// The sender where no server sees it.
fn nobody() -> Mailbox {
    let address = message::address("no-reply@localhost.localdomain");
    Mailbox::new(None, address.expect("this is an address"))
}

fn sender(text: &str) -> Option<Mailbox> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let mailbox: Mailbox = text.parse().ok()?;
    message::address(mailbox.email.as_ref())?;
    Some(mailbox)
}

fn product_name(text: &str) -> Option<String> {
    let is_one_line = !text.chars().any(char::is_control) && !text.trim().is_empty();
    is_one_line.then(|| text.to_owned())
}

impl Server {
    /// Host and port.
    pub(super) fn address(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    fn parse(text: &str, timeout: Duration) -> Option<Self> {
        // A parser of URLs drops tabs and line ends, and so would take another password than the one that was written.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let has_more = !matches!(url.path(), "" | "/") || url.query().is_some();
        if has_more || url.fragment().is_some() {
            return None;
        }
        // The scheme is none that the parser knows addresses in, so an IPv4 address is a name to it.
        let host = match url.host()? {
            Host::Domain(name) => name.to_ascii_lowercase(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        let address = host.parse::<IpAddr>();
        let is_loopback = address.map_or(host == "localhost", |ip| ip.is_loopback());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_name) {
            return None;
        }
        let (security, own_port) = match url.scheme() {
            "smtp" if is_loopback => (Security::Loopback, 25),
            "smtp" => (Security::StartTls, 587),
            "smtps" => (Security::Tls, 465),
            _ => return None,
        };
        let port = url.port().unwrap_or(own_port);
        Some(Self {
            host,
            port: (port != 0).then_some(port)?,
            security,
            credentials: Login::parse(&url).ok()?,
            timeout,
        })
    }
}

/// The user and the password of a URL cannot be used.
#[derive(Debug)]
struct UnusableLogin;

impl Login {
    fn parse(url: &Url) -> Result<Option<Self>, UnusableLogin> {
        let decode = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8().ok();
            let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
            let decoded = decoded.filter(|text| is_plain(text)).ok_or(UnusableLogin)?;
            Ok(SecretString::from(decoded.into_owned()))
        };
        match (url.username(), url.password()) {
            ("", None) => Ok(None),
            (user, password) => Ok(Some(Self {
                user: decode(user)?,
                password: decode(password.unwrap_or_default())?,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis_settings::Catalogue;
    use proptest::prelude::*;

    use super::*;

    const FROM: (&str, &str) = ("MAIL_FROM", "Acme <no-reply@example.com>");

    fn read(pairs: &[(&str, &str)]) -> Result<MailSettings, SettingError> {
        let catalogue = Catalogue::new()
            .section::<MailSettings>()
            .section::<chassis_telemetry::TelemetryOptions>()
            .with_default(&chassis_telemetry::SERVICE_NAME, "notes");
        MailSettings::read(&catalogue.load_pairs(pairs.iter().copied()).unwrap())
    }

    fn server(url: &str) -> Server {
        match read(&[("MAIL_URL", url), FROM]).unwrap().route {
            Route::Smtp(server) => server,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_server_mail_is_a_folder_and_in_production_off() {
        let folder = |pairs: &[(&str, &str)]| match read(pairs).unwrap().route {
            Route::Folder(folder) => Some(folder),
            _ => None,
        };
        let own = ("MAIL_FOLDER", "/tmp/mail");
        for (environment, by_default, with_one) in [
            ("production", None, None),
            ("test", None, Some("/tmp/mail")),
            ("development", Some(".dev/mail"), Some("/tmp/mail")),
        ] {
            let environment = ("APP_ENV", environment);
            assert_eq!(folder(&[environment]), by_default.map(PathBuf::from));
            assert_eq!(folder(&[environment, own]), with_one.map(PathBuf::from));
        }
    }

    #[test]
    fn a_url_says_how_the_connection_is_protected() {
        use Security::{Loopback, StartTls, Tls};
        for (url, host, port, security) in [
            ("smtp://mail.example.com", "mail.example.com", 587, StartTls),
            (
                "smtp://mail.example.com:25",
                "mail.example.com",
                25,
                StartTls,
            ),
            ("smtps://MAIL.example.com/", "mail.example.com", 465, Tls),
            ("smtp://localhost", "localhost", 25, Loopback),
            ("smtp://LOCALHOST:1025", "localhost", 1025, Loopback),
            ("smtp://127.0.0.9:1025", "127.0.0.9", 1025, Loopback),
            ("smtp://[::1]:1025", "::1", 1025, Loopback),
            ("smtps://127.0.0.1", "127.0.0.1", 465, Tls),
            // A name is another machine's, whatever it resolves to.
            (
                "smtp://localhost.example.com",
                "localhost.example.com",
                587,
                StartTls,
            ),
            ("smtp://192.0.2.1", "192.0.2.1", 587, StartTls),
        ] {
            let server = server(url);

            assert_eq!((server.host.as_str(), server.port), (host, port), "{url}");
            assert_eq!(server.security, security, "{url}");
            assert!(server.credentials.is_none());
        }
    }

    #[test]
    fn user_and_password_may_hold_any_printable_character() {
        let login = server("smtp://me%40example.com:p%40ss%2F%3A%25%C3%A4@mail.example.com");

        let login = login.credentials.unwrap();

        assert_eq!(login.user.expose_secret(), "me@example.com");
        assert_eq!(login.password.expose_secret(), "p@ss/:%ä");
        assert!(!format!("{login:?}").contains("p@ss"));
    }

    #[test]
    fn other_urls_are_refused_without_being_shown() {
        for url in [
            "marked-host",
            "marked://mail.example.com",
            "http://marked.example.com",
            "smtp://",
            "smtp://:25",
            "smtp:marked",
            "smtp://marked:0",
            "smtp://marked:99999",
            "smtp://marked.example.com/path",
            "smtp://marked.example.com?tls=off",
            "smtp://marked.example.com#x",
            "smtp://marked@mail.example.com",
            "smtp://:marked@mail.example.com",
            "smtp://marked:@mail.example.com",
            "smtp://marked:x%0d%0aQUIT@mail.example.com",
            "smtp://marked:x%00y@mail.example.com",
            "smtp://marked:x%FFy@mail.example.com",
            "smtp://marked:x y@mail.example.com",
            "smtp://marked:x\ty@mail.example.com",
            "smtp://marked%0aexample.com",
            "smtp://marked\u{fc}.example.com:25%20",
        ] {
            let error = read(&[("MAIL_URL", url), FROM]).unwrap_err().to_string();

            let start = "MAIL_URL (from the environment): expected a URL like smtp://user:password@host:587 or ";
            assert!(error.starts_with(start), "{url}: {error}");
            assert!(!error.contains("marked"), "{error}");
        }
    }

    #[test]
    fn a_server_needs_a_sender() {
        let error = read(&[("MAIL_URL", "smtp://localhost")]).unwrap_err();

        assert_eq!(
            error.to_string(),
            "MAIL_FROM (from default): expected an address like no-reply@example.com, or \
             Acme <no-reply@example.com>, because MAIL_URL is set"
        );
    }

    #[test]
    fn senders_and_names_are_one_line() {
        for from in [
            "no-reply@example.com",
            "Acme <no-reply@example.com>",
            "\"Acme, Inc.\" <no-reply@example.com>",
            "Sch\u{f6}n <no-reply@example.com>",
        ] {
            assert!(read(&[("MAIL_FROM", from)]).is_ok(), "{from}");
        }
        for from in [
            "Acme",
            "no-reply",
            "a@example.com, b@example.com",
            "Acme\r\nBcc: <eve@example.com>",
            "Acme <no-reply@example.com>\nBcc: eve@example.com",
            "\"a b\"@example.com",
            "gr\u{fc}n@example.com",
        ] {
            assert!(read(&[("MAIL_FROM", from)]).is_err(), "{from:?}");
        }
        assert!(read(&[("MAIL_PRODUCT_NAME", "a\r\nBcc: b")]).is_err());
    }

    #[test]
    fn the_product_is_called_like_the_service_unless_it_has_a_name() {
        assert_eq!(read(&[]).unwrap().product, "notes");
        let named = read(&[("MAIL_PRODUCT_NAME", "Sch\u{f6}ne Notizen")]).unwrap();
        assert_eq!(named.product, "Sch\u{f6}ne Notizen");
    }

    proptest! {
        /// No four characters of a URL that is refused, or of one that is taken, are shown: user, password, and all else.
        #[test]
        fn nothing_of_a_url_is_shown(
            secret in "[G-Zg-z0-9]{4,20}",
            form in prop::sample::select(&[
                "smtp://u:%@mail.example.com", "smtp://%:p@mail.example.com", "smtp://%", "%://x", "%",
                "smtps://u:%@mail.example.com/x", "smtp://u:p@mail.example.com?%",
            ][..]),
        ) {
            let url = form.replace('%', &secret);
            let shown = match read(&[("MAIL_URL", &url), FROM]) {
                // The host of a server that is used is no secret.
                Ok(_) if form == "smtp://%" => String::new(),
                Ok(settings) => format!("{settings:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            let known = format!("{URL} MAIL_URL mail.example.com Acme no-reply@example.com {SENDER}");
            let characters: Vec<char> = secret.chars().collect();
            for piece in characters.windows(4) {
                let piece: String = piece.iter().collect();
                prop_assert!(!shown.contains(&piece) || known.contains(&piece), "{} in {}", piece, shown);
            }
        }
    }
}
