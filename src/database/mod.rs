//! `chassis_postgres`, and the settings it is used with.

mod settings;

pub use chassis_postgres::*;

pub use self::settings::DatabaseSettings;
