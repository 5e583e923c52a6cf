//! Which program this is: name, version and revision, for logs, traces, metrics and `/info`.

use chassis_telemetry::{Build, Program};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git revision of this build, or `unknown`.
pub const REVISION: &str = env!("GIT_REVISION");

/// This program, and the crates whose spans are recorded: this one and those of the chassis.
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
