//! What each SQLSTATE means to a caller: one table.
//!
//! | SQLSTATE | class | the caller's answer | the connection |
//! | --- | --- | --- | --- |
//! | 08 connection exception | unreachable | 503 | closed |
//! | 08P01 of PgBouncer: no session or no slot in time | out of resources | 503 | closed |
//! | 25006 read-only transaction | read only | 503 | closed, with every other that is as old |
//! | 25P03, 25P04, 57P05 the session sat idle, or its transaction took too long | unreachable | 503 | closed |
//! | 57P01 to 57P04 shut down, crashed, starting, database dropped | unreachable | 503 | closed |
//! | 57014 cancelled, by the statement timeout or an operator | timeout | 503 | kept |
//! | 55P03 a lock was not to be had in time | timeout | 503 | kept |
//! | 40003 completion unknown | unreachable | 503 | closed |
//! | 40 other: serialization failure, deadlock | conflict | repeated where that is safe, else 503 | kept |
//! | 53 resources: connections, memory, disk | out of resources | 503 | kept |
//! | 58 the server's system: input and output | unreachable | 503 | closed |
//! | 26000, 42P05, and 0A000 of a plan whose result changed | outdated statement | prepared again; a single one repeated | kept |
//! | 23 with the name of a constraint | constraint | the feature's own | kept |
//! | anything while connecting | unreachable | 503 | none |
//! | anything else | failed: a mistake in the program or the schema | 500 | kept |
//!
//! Whatever its code, an error of severity FATAL or PANIC ended the session, so its connection is closed.

use tokio_postgres::error::{DbError, Severity, SqlState};

/// What a failure that the server reports means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// No server, or none that will answer on this connection.
    Unreachable,
    /// The server answers, and lacks what this needs. Clients can bring that about.
    OutOfResources,
    /// The server takes no writes.
    ReadOnly,
    /// It took too long.
    Timeout,
    /// It lost against another transaction, and nothing of it happened.
    Conflict,
    /// The prepared statement is unknown to the server, or made for an older schema.
    Outdated,
    /// A named constraint.
    Constraint,
    /// Everything else.
    Failed,
}

/// The class of a failure that the server reports.
pub(crate) fn class_of(error: &DbError) -> Class {
    let names_constraint = error.constraint().is_some();
    match classify(error.code(), error.message(), error.routine()) {
        Class::Constraint if !names_constraint => Class::Failed,
        class => class,
    }
}

/// Whether the server ended the session with this error.
pub(crate) fn ends_session(error: &DbError) -> bool {
    matches!(
        error.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    ) || class_of(error) == Class::Unreachable
}

fn classify(state: &SqlState, message: &str, routine: Option<&str>) -> Class {
    match state.code() {
        "25006" => Class::ReadOnly,
        "25P03" | "25P04" | "40003" => Class::Unreachable,
        "57014" | "55P03" => Class::Timeout,
        "26000" | "42P05" => Class::Outdated,
        // The message is translated, the routine is not; a pooler passes both on.
        "0A000" if routine == Some("RevalidateCachedQuery") => Class::Outdated,
        // An unlogged table, which a standby does not have: it says so before it says that it only reads.
        "0A000" if routine == Some("get_relation_info") => Class::ReadOnly,
        "08P01" if is_crowded_pooler(message) => Class::OutOfResources,
        code => match code.get(..2) {
            Some("08" | "57" | "58") => Class::Unreachable,
            Some("53") => Class::OutOfResources,
            Some("40") => Class::Conflict,
            Some("23") => Class::Constraint,
            _ => Class::Failed,
        },
    }
}

/// PgBouncer has one code for all that it refuses. These two are a crowd, which clients can cause, and not an outage.
fn is_crowded_pooler(message: &str) -> bool {
    message.starts_with("query_wait_timeout") || message.starts_with("no more connections allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_class_of_the_table() {
        use Class::{
            Conflict, Constraint, Failed, OutOfResources, Outdated, ReadOnly, Timeout, Unreachable,
        };
        for (class, codes) in [
            (
                Unreachable,
                "08000 08001 08003 08004 08006 08007 08P01 25P03 25P04 40003 57000 57P01 57P02 57P03 57P04 57P05 58000 58030 58P01 58P02",
            ),
            (OutOfResources, "53000 53100 53200 53300 53400"),
            (ReadOnly, "25006"),
            (Timeout, "57014 55P03"),
            (Conflict, "40000 40001 40002 40P01"),
            (Outdated, "26000 42P05"),
            (Constraint, "23001 23502 23503 23505 23514 23P01"),
            (
                Failed,
                "0A000 21000 22001 22P02 25001 25P01 25P02 28000 28P01 3D000 3F000 42501 42601 42703 42P01 54000 55000 XX000",
            ),
        ] {
            for code in codes.split(' ') {
                let state = SqlState::from_code(code);
                assert_eq!(classify(&state, "", None), class, "{code}");
            }
        }
    }

    #[test]
    fn a_changed_plan_is_known_by_where_it_was_noticed() {
        let state = SqlState::FEATURE_NOT_SUPPORTED;
        let translated = "der gecachte Plan darf den Ergebnistyp nicht ändern";

        let changed = classify(&state, translated, Some("RevalidateCachedQuery"));
        let other = classify(&state, "not supported", Some("transformStmt"));
        let standby = classify(&state, translated, Some("get_relation_info"));

        assert_eq!((changed, other), (Class::Outdated, Class::Failed));
        assert_eq!(standby, Class::ReadOnly, "an unlogged table on a standby");
    }

    #[test]
    fn a_crowded_pooler_is_no_outage() {
        for (message, class) in [
            ("query_wait_timeout", Class::OutOfResources),
            (
                "no more connections allowed (max_client_conn)",
                Class::OutOfResources,
            ),
            ("server conn crashed?", Class::Unreachable),
        ] {
            assert_eq!(
                classify(&SqlState::PROTOCOL_VIOLATION, message, None),
                class
            );
        }
    }
}
