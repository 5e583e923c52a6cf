//! The table `credentials`: what an account proves itself by. A trigger writes it; see `migrations/V0004__create_credentials.sql`.

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery};
use time::OffsetDateTime;
use tokio_postgres::types::Type;

use crate::features::identity::UserId;

static PASSWORD_CHANGED_AT: ReadQuery = ReadQuery::new(
    "credentials_password_changed_at",
    "
SELECT changed_at
FROM credentials
WHERE user_id = $1 AND kind = 'password'",
    &[Type::UUID],
);

/// When the user last chose a password. Hashing the same one again at another cost leaves it as it is.
pub(in crate::features::identity) async fn password_changed_at(
    db: &impl ReadExecutor,
    id: UserId,
) -> Result<Option<OffsetDateTime>, DatabaseError> {
    let row = db.optional(&PASSWORD_CHANGED_AT, &[id.as_uuid()]).await?;
    row.map(|row| Ok(row.try_get("changed_at")?)).transpose()
}
