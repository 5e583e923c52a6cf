//! Requests that a parser, a log, a metric or a browser could be fooled by.

mod addresses;
mod bodies;
mod browsers;
mod metrics_and_logs;
mod request_line;

use super::{
    Account, Case, Pair, Replica, Replicas, Reply, SQL, broken_rule, claims_of, raw_verdict,
    verdict,
};

/// Makes an idle connection close soon, so that the end of an answer is seen.
const HURRIED: (&str, &str) = ("IDLE_TIMEOUT_MS", "1000");

const JSON: (&str, &str) = ("Content-Type", "application/json");
