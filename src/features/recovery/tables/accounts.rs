//! What this feature reads and writes of accounts and sessions.

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteExecutor, WriteQuery};
use time::OffsetDateTime;
use tokio_postgres::types::Type;

use crate::features::identity::{SessionId, UserId};

static SET_VERIFIED: WriteQuery = WriteQuery::update(
    "users_set_email_verified",
    "
UPDATE users
SET email_verified_at = $2
WHERE id = $1",
    &[Type::UUID, Type::TIMESTAMPTZ],
);

/// Notes that the address of an account, which is locked or new, was proven.
pub(in crate::features::recovery) async fn set_verified(
    db: &impl WriteExecutor,
    id: UserId,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    db.execute(&SET_VERIFIED, &[id.as_uuid(), &now]).await?;
    Ok(())
}

static IS_VERIFIED: ReadQuery = ReadQuery::new(
    "users_is_email_verified",
    "
SELECT FROM users
WHERE id = $1 AND email_verified_at IS NOT NULL",
    &[Type::UUID],
);

/// Whether the address of the account was proven.
pub(in crate::features::recovery) async fn is_verified(
    db: &impl ReadExecutor,
    id: UserId,
) -> Result<bool, DatabaseError> {
    Ok(db.optional(&IS_VERIFIED, &[id.as_uuid()]).await?.is_some())
}

static VERIFICATION: ReadQuery = ReadQuery::new(
    "users_email_verification",
    "
SELECT u.email_verified_at IS NOT NULL AS is_verified, r.new_email
FROM users AS u
LEFT JOIN mail_requests AS r
  ON r.user_id = u.id AND r.purpose = 'change' AND r.completed_at IS NULL
  AND (r.expires_at > $2 OR r.mails = 0)
WHERE u.id = $1",
    &[Type::UUID, Type::TIMESTAMPTZ],
);

/// Whether the address of the account was proven, and the one that is to replace it. An account that is gone has neither.
pub(in crate::features::recovery) async fn verification(
    db: &impl ReadExecutor,
    id: UserId,
    now: OffsetDateTime,
) -> Result<(bool, Option<String>), DatabaseError> {
    match db.optional(&VERIFICATION, &[id.as_uuid(), &now]).await? {
        Some(row) => Ok((row.try_get("is_verified")?, row.try_get("new_email")?)),
        None => Ok((false, None)),
    }
}

static IS_TAKEN: ReadQuery = ReadQuery::new(
    "users_is_email_taken",
    "
SELECT FROM users
WHERE email = $1 AND id <> $2",
    &[Type::TEXT, Type::UUID],
);

/// Whether another account has this address.
pub(in crate::features::recovery) async fn is_taken(
    db: &impl ReadExecutor,
    email: &str,
    by_another_than: UserId,
) -> Result<bool, DatabaseError> {
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
        [&email, by_another_than.as_uuid()];
    Ok(db.optional(&IS_TAKEN, &parameters).await?.is_some())
}

static IS_NEW_CLIENT: ReadQuery = ReadQuery::new(
    "sessions_is_new_client",
    "
SELECT FROM sessions AS new
WHERE new.id = $2
  AND (
    EXISTS (SELECT FROM sessions AS old WHERE old.user_id = $1 AND old.id <> $2)
    OR ($3 AND 1 < (SELECT count(*) FROM auth_networks WHERE user_id = $1))
  )
  AND NOT EXISTS (
    SELECT FROM sessions AS old
    WHERE old.user_id = $1
      AND old.id <> $2
      AND old.ip IS NOT DISTINCT FROM new.ip
      AND old.user_agent IS NOT DISTINCT FROM new.user_agent
  )",
    &[Type::UUID, Type::UUID, Type::BOOL],
);

/// Whether an account was in use before, but by no session of the same program at the same address. Sessions are only known
/// for an hour after they ended; after that it takes a network that is new while others are known.
pub(in crate::features::recovery) async fn is_new_client(
    db: &impl ReadExecutor,
    user: UserId,
    session: SessionId,
    from_new_network: bool,
) -> Result<bool, DatabaseError> {
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [user.as_uuid(), session.as_uuid(), &from_new_network];
    Ok(db.optional(&IS_NEW_CLIENT, &parameters).await?.is_some())
}

static SIGN_IN: ReadQuery = ReadQuery::new(
    "sessions_sign_in",
    "
SELECT created_at, host(ip) AS address, user_agent
FROM sessions
WHERE id = $1",
    &[Type::UUID],
);

/// When, from where and by what program somebody signed in.
pub(in crate::features::recovery) struct SignIn {
    pub(in crate::features::recovery) at: OffsetDateTime,
    pub(in crate::features::recovery) address: Option<String>,
    pub(in crate::features::recovery) user_agent: Option<String>,
}

/// The sign-in that opened this session, if it is still known.
pub(in crate::features::recovery) async fn sign_in(
    db: &impl ReadExecutor,
    session: SessionId,
) -> Result<Option<SignIn>, DatabaseError> {
    let row = db.optional(&SIGN_IN, &[session.as_uuid()]).await?;
    row.map(|row| {
        Ok(SignIn {
            at: row.try_get("created_at")?,
            address: row.try_get("address")?,
            user_agent: row.try_get("user_agent")?,
        })
    })
    .transpose()
}
