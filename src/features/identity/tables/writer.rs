//! What a function that writes runs its statements on.

use chassis_postgres::WriteExecutor;

/// A transaction, or a connection for one statement, that was begun for a stated purpose.
///
/// Only the types of `transaction.rs` implement it, each with constructors that say who may write. A plain connection
/// of the pool does not, so a table cannot be written around them.
pub(in crate::features::identity) trait Writer:
    WriteExecutor
{
}
