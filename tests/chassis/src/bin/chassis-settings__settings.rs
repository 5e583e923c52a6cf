//! A program with two sections of settings: shows what is in force, or why it cannot start.
//!
//! ```sh
//! cargo run -p chassis-settings --example settings
//! PORT=9000 DB_PASSWORD=hunter2 cargo run -p chassis-settings --example settings
//! PORT=eighty cargo run -p chassis-settings --example settings
//! cargo run -p chassis-settings --example settings -- --example
//! ```

use std::{env, net::IpAddr, process::ExitCode, time::Duration};

use chassis_settings::{Catalogue, Declaration, SecretString, Section, SettingError, Values};

/// Each part of a program declares its own settings, in its own module.
mod server {
    use chassis_settings::{millis, number, parsed, settings};

    use super::{Declaration, Duration, IpAddr, Section, SettingError, Values};

    settings! {
        /// address to listen on
        HOST: IpAddr = "127.0.0.1", parsed("an IP address");

        /// port to listen on; 0 takes a free one
        PORT: u16 = "8000", number(0..=65535);

        /// how long an answer may take
        #[production = "5000"]
        TIMEOUT_MS: Duration = "30000", millis(1);
    }

    #[derive(Debug)]
    pub(super) struct ServerSettings {
        pub(super) host: IpAddr,
        pub(super) port: u16,
        pub(super) timeout: Duration,
    }

    impl Section for ServerSettings {
        const TITLE: &'static str = "Server";
        const SETTINGS: &'static [Declaration] = SETTINGS;

        fn read(values: &Values) -> Result<Self, SettingError> {
            Ok(Self {
                host: values.read(&HOST)?,
                port: values.read(&PORT)?,
                timeout: values.read(&TIMEOUT_MS)?,
            })
        }
    }
}

mod database {
    use chassis_settings::{list, optional, secret, settings, text};

    use super::{Declaration, SecretString, Section, SettingError, Values};

    settings! {
        /// hosts, comma-separated; the first that answers is taken
        DB_HOSTS: Vec<String> = "localhost", list(text("a host name"));

        /// database
        pub(super) DB_NAME: String, text("the name of a database");

        /// password; any character is legal
        #[secret]
        DB_PASSWORD: Option<SecretString>, optional(secret());
    }

    #[derive(Debug)]
    pub(super) struct DatabaseSettings {
        pub(super) hosts: Vec<String>,
        pub(super) name: String,
        pub(super) password: Option<SecretString>,
    }

    impl Section for DatabaseSettings {
        const TITLE: &'static str = "Database";
        const SETTINGS: &'static [Declaration] = SETTINGS;

        fn read(values: &Values) -> Result<Self, SettingError> {
            Ok(Self {
                hosts: values.read(&DB_HOSTS)?,
                name: values.read(&DB_NAME)?,
                password: values.read(&DB_PASSWORD)?,
            })
        }
    }
}

/// The program lists the sections, and gives the defaults that they cannot know.
fn catalogue() -> Catalogue {
    Catalogue::new()
        .section::<server::ServerSettings>()
        .section::<database::DatabaseSettings>()
        .with_default(&database::DB_NAME, "notes")
}

fn run(values: &Values) -> Result<(), SettingError> {
    let server = server::ServerSettings::read(values)?;
    let database = database::DatabaseSettings::read(values)?;
    for entry in values.entries() {
        println!("{:12} {:12} {}", entry.name, entry.value, entry.origin);
    }
    println!(
        "would listen on {}:{} with a limit of {:?}, and open {} at {} {} a password",
        server.host,
        server.port,
        server.timeout,
        database.name,
        database.hosts.join(" or "),
        database.password.map_or("without", |_| "with"),
    );
    Ok(())
}

fn main() -> ExitCode {
    let catalogue = catalogue();
    if env::args().any(|argument| argument == "--example") {
        print!("{}", catalogue.example());
        return ExitCode::SUCCESS;
    }
    match catalogue.load().and_then(|values| run(&values)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
