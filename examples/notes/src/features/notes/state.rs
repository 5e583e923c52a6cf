//! What the endpoints of this feature share.

use chassis_postgres::Database;

use crate::shared::clock::Clock;

/// Access to the notes of all users; clones share the connections.
#[derive(Clone)]
pub struct Notes {
    pub(super) database: Database,
    pub(super) clock: Clock,
}

impl Notes {
    /// The notes in this database.
    #[must_use]
    pub fn new(database: &Database, clock: &Clock) -> Self {
        Self {
            database: database.clone(),
            clock: clock.clone(),
        }
    }
}
