//! The built program from outside: real processes, real sockets, a real PostgreSQL.

#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on should stop"
)]

#[path = "process/api_keys/mod.rs"]
mod api_keys;
#[path = "process/attacks/mod.rs"]
mod attacks;
#[path = "process/case.rs"]
mod case;
#[path = "api/support/cluster.rs"]
mod cluster;
#[path = "process/collector.rs"]
mod collector;
#[path = "process/commands.rs"]
mod commands;
#[path = "process/connections.rs"]
mod connections;
#[path = "process/credentials.rs"]
mod credentials;
#[path = "process/documents/mod.rs"]
mod documents;
#[path = "process/dotenv.rs"]
mod dotenv;
#[path = "process/faults/mod.rs"]
mod faults;
#[path = "process/http2.rs"]
mod http2;
#[path = "process/jaeger.rs"]
mod jaeger;
#[path = "process/jobs/mod.rs"]
mod jobs;
#[path = "process/lifecycle.rs"]
mod lifecycle;
#[path = "process/mail/mod.rs"]
mod mail;
#[path = "api/support/marks.rs"]
mod marks;
#[path = "process/outage.rs"]
mod outage;
#[path = "process/pooler.rs"]
mod pooler;
#[path = "process/reads.rs"]
mod reads;
#[path = "process/recovery/mod.rs"]
mod recovery;
#[path = "process/roles.rs"]
mod roles;
#[path = "process/schema.rs"]
mod schema;
#[path = "process/settings.rs"]
mod settings;
#[path = "process/starting.rs"]
mod starting;
#[path = "process/successors.rs"]
mod successors;
#[path = "process/support.rs"]
mod support;
#[path = "process/tls.rs"]
mod tls;
#[path = "process/traces.rs"]
mod traces;
