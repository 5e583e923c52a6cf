//! The problems that every feature answers with.

use chassis_http::Problem;
use chassis_postgres::DatabaseError;

/// The problem for a failure of the database that a feature has no problem of its own for.
///
/// 503 when the client may try again, because the database is the cause or another transaction won; else 500.
#[must_use]
pub fn database_problem(error: DatabaseError) -> Problem {
    if error.is_transient() {
        return Problem::unavailable(error);
    }
    Problem::internal(error)
}
