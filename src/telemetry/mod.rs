//! Logs, traces and metrics: what [`chassis_telemetry`] has to know of this service.

pub use chassis_telemetry::*;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git revision of this build, or `unknown`.
pub const REVISION: &str = env!("GIT_REVISION");

/// Which program this is, and the crates whose spans are recorded: this one and those of the chassis.
pub const PROGRAM: Program = Program {
    build: Build {
        name: env!("CARGO_PKG_NAME"),
        version: VERSION,
        revision: REVISION,
    },
    span_crates: &[
        env!("CARGO_CRATE_NAME"),
        "chassis_http",
        "chassis_postgres",
        "chassis_server",
    ],
};

/// The options that the settings are read into.
pub type TelemetrySettings = TelemetryOptions;
