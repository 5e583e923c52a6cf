//! The table `mail_requests`.

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteExecutor, WriteQuery};
use time::OffsetDateTime;
use tokio_postgres::types::{ToSql, Type};

use crate::features::{
    identity::UserId,
    recovery::request::{MailRequestId, OpenRequest, Purpose},
};

static OPEN: WriteQuery = WriteQuery::insert(
    "mail_requests_open",
    "
INSERT INTO mail_requests AS open (id, user_id, purpose, new_email, created_at, expires_at, mails)
VALUES ($1, $2, $3, $4, $5, $6, 0)
ON CONFLICT (user_id, purpose) WHERE completed_at IS NULL DO UPDATE
SET (id, new_email, created_at, expires_at, mailed_at, mails) = (
    SELECT * FROM (VALUES (open.id, open.new_email, open.created_at, open.expires_at, open.mailed_at, open.mails)) AS same
    WHERE (open.expires_at > $5 OR open.mails = 0) AND open.new_email IS NOT DISTINCT FROM $4
    UNION ALL
    SELECT $1, $4, $5, $6, NULL, 0
    LIMIT 1
)
RETURNING id",
    &[
        Type::UUID,
        Type::UUID,
        Type::TEXT,
        Type::TEXT,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
    ],
);

/// Opens a request, or returns the one of the same purpose and address that is open and not expired, so that a stranger
/// who asks again does not void the link that the owner is about to use. One whose link was not sent yet does not expire.
pub(in crate::features::recovery) async fn open(
    db: &impl WriteExecutor,
    user: UserId,
    purpose: Purpose,
    new_email: Option<&str>,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<MailRequestId, DatabaseError> {
    let id = MailRequestId::generate();
    let parameters: [&(dyn ToSql + Sync); 6] = [
        id.as_uuid(),
        user.as_uuid(),
        &purpose.as_str(),
        &new_email,
        &now,
        &expires_at,
    ];
    let rows = db.returning(&OPEN, &parameters).await?;
    let row = rows.first().ok_or(DatabaseError::InvalidColumn("id"))?;
    Ok(row.try_get::<_, uuid::Uuid>("id")?.into())
}

static FIND_OPEN: ReadQuery = ReadQuery::new(
    "mail_requests_find_open",
    "
SELECT r.user_id, r.purpose, r.new_email, r.mailed_at, r.mails, r.expires_at, u.email, c.changed_at
FROM mail_requests AS r
JOIN users AS u ON u.id = r.user_id
JOIN credentials AS c ON c.user_id = r.user_id AND c.kind = 'password'
WHERE r.id = $1 AND r.completed_at IS NULL AND (r.expires_at > $2 OR ($3 AND r.mails = 0))",
    &[Type::UUID, Type::TIMESTAMPTZ, Type::BOOL],
);

/// The request of this id, unless it is completed or expired.
pub(in crate::features::recovery) async fn find_open(
    db: &impl ReadExecutor,
    id: MailRequestId,
    now: OffsetDateTime,
) -> Result<Option<(Purpose, OpenRequest)>, DatabaseError> {
    find(db, id, now, false).await
}

/// The same for who sends its link: what was not sent yet has not expired.
pub(in crate::features::recovery) async fn find_to_mail(
    db: &impl ReadExecutor,
    id: MailRequestId,
    now: OffsetDateTime,
) -> Result<Option<(Purpose, OpenRequest)>, DatabaseError> {
    find(db, id, now, true).await
}

async fn find(
    db: &impl ReadExecutor,
    id: MailRequestId,
    now: OffsetDateTime,
    or_unsent: bool,
) -> Result<Option<(Purpose, OpenRequest)>, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 3] = [id.as_uuid(), &now, &or_unsent];
    let Some(row) = db.optional(&FIND_OPEN, &parameters).await? else {
        return Ok(None);
    };
    let purpose: &str = row.try_get("purpose")?;
    let all = [Purpose::Verify, Purpose::Reset, Purpose::Change];
    let purpose = all.into_iter().find(|known| known.as_str() == purpose);
    let purpose = purpose.ok_or(DatabaseError::InvalidColumn("purpose"))?;
    let request = OpenRequest {
        id,
        user: row.try_get::<_, uuid::Uuid>("user_id")?.into(),
        email: row.try_get("email")?,
        new_email: row.try_get("new_email")?,
        password_changed_at: row.try_get("changed_at")?,
        mailed_at: row.try_get("mailed_at")?,
        mails: row.try_get("mails")?,
        expires_at: row.try_get("expires_at")?,
    };
    Ok(Some((purpose, request)))
}

static BEGIN: WriteQuery = WriteQuery::update(
    "mail_requests_begin",
    "
UPDATE mail_requests
SET expires_at = $2
WHERE id = $1 AND completed_at IS NULL AND mails = 0",
    &[Type::UUID, Type::TIMESTAMPTZ],
);

/// Has a request whose link is about to be sent for the first time expire then. Returns whether it still is.
pub(in crate::features::recovery) async fn begin(
    db: &impl WriteExecutor,
    id: MailRequestId,
    expires_at: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    Ok(db.execute(&BEGIN, &[id.as_uuid(), &expires_at]).await? == 1)
}

static NOTE_MAIL: WriteQuery = WriteQuery::update(
    "mail_requests_note_mail",
    "
UPDATE mail_requests
SET mailed_at = $2, mails = mails + 1
WHERE id = $1",
    &[Type::UUID, Type::TIMESTAMPTZ],
);

/// Notes that the link was sent.
pub(in crate::features::recovery) async fn note_mail(
    db: &impl WriteExecutor,
    id: MailRequestId,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    db.execute(&NOTE_MAIL, &[id.as_uuid(), &now]).await?;
    Ok(())
}

static COMPLETE: WriteQuery = WriteQuery::update(
    "mail_requests_complete",
    "
UPDATE mail_requests
SET completed_at = $2
WHERE id = $1 AND completed_at IS NULL",
    &[Type::UUID, Type::TIMESTAMPTZ],
);

/// Completes a request. Returns whether it was open: a token is good for one use.
pub(in crate::features::recovery) async fn complete(
    db: &impl WriteExecutor,
    id: MailRequestId,
    now: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    Ok(db.execute(&COMPLETE, &[id.as_uuid(), &now]).await? == 1)
}

static DELETE_OPEN: WriteQuery = WriteQuery::delete(
    "mail_requests_delete_open",
    "
DELETE FROM mail_requests
WHERE user_id = $1 AND completed_at IS NULL",
    &[Type::UUID],
);

/// Deletes the open requests of a user, who is locked: their links became void.
pub(in crate::features::recovery) async fn delete_open(
    db: &impl WriteExecutor,
    user: UserId,
) -> Result<(), DatabaseError> {
    db.execute(&DELETE_OPEN, &[user.as_uuid()]).await?;
    Ok(())
}

static SWEEP: WriteQuery = WriteQuery::delete(
    "mail_requests_sweep",
    "
DELETE FROM mail_requests
WHERE id IN (
    SELECT id FROM mail_requests
    WHERE expires_at < $1 AND (mails > 0 OR completed_at IS NOT NULL OR expires_at < $2)
    ORDER BY expires_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)",
    &[Type::TIMESTAMPTZ, Type::TIMESTAMPTZ, Type::INT8],
);

/// Deletes at most so many requests that have expired, and those whose link was never sent if that was before `unsent`.
/// Returns how many.
pub(in crate::features::recovery) async fn sweep(
    db: &impl WriteExecutor,
    now: OffsetDateTime,
    unsent: OffsetDateTime,
    most: i64,
) -> Result<u64, DatabaseError> {
    db.execute(&SWEEP, &[&now, &unsent, &most]).await
}
