//! The table `notes`. Every statement names the user, so that no user reaches the notes of another.

use chassis_postgres::{
    DatabaseError, Parameters, ReadExecutor, ReadQuery, WriteExecutor, WriteQuery,
};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{
    features::{
        identity::{UserId, WriteTransaction},
        notes::{Note, NoteBody, NoteId, NoteTitle},
    },
    shared::PageRequest,
};

impl TryFrom<&Row> for Note {
    type Error = DatabaseError;

    fn try_from(row: &Row) -> Result<Self, DatabaseError> {
        let title = NoteTitle::parse(row.try_get("title")?);
        let body = row.try_get::<_, Option<&str>>("body")?;
        let body = body.map(NoteBody::parse).transpose();
        Ok(Self {
            id: row.try_get::<_, Uuid>("id")?.into(),
            user_id: row.try_get::<_, Uuid>("user_id")?.into(),
            title: title.map_err(|_| DatabaseError::InvalidColumn("title"))?,
            body: body.map_err(|_| DatabaseError::InvalidColumn("body"))?,
            pinned: row.try_get("pinned")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

static INSERT: WriteQuery = WriteQuery::insert(
    "notes_insert",
    "
INSERT INTO notes (id, user_id, title, body, pinned, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)",
    &[
        Type::UUID,
        Type::UUID,
        Type::TEXT,
        Type::TEXT,
        Type::BOOL,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
    ],
);

/// Adds a note.
pub(in crate::features::notes) async fn insert(
    transaction: &WriteTransaction,
    note: &Note,
) -> Result<(), DatabaseError> {
    let parameters: Parameters<'_> = &[
        note.id.as_uuid(),
        note.user_id.as_uuid(),
        &note.title.as_str(),
        &note.body.as_ref().map(NoteBody::as_str),
        &note.pinned,
        &note.created_at,
        &note.updated_at,
    ];
    transaction.execute(&INSERT, parameters).await?;
    Ok(())
}

static LIST: ReadQuery = ReadQuery::new(
    "notes_list",
    "
SELECT id, user_id, title, body, pinned, created_at, updated_at
FROM notes
WHERE user_id = $1 AND id > $2
ORDER BY id
LIMIT $3",
    &[Type::UUID, Type::UUID, Type::INT8],
);

/// The rows of this page of the user's notes, oldest first.
pub(in crate::features::notes) async fn list(
    db: &impl ReadExecutor,
    user_id: UserId,
    request: PageRequest,
) -> Result<Vec<Note>, DatabaseError> {
    let parameters: Parameters<'_> = &[user_id.as_uuid(), &request.after(), &request.rows()];
    let rows = db.rows(&LIST, parameters).await?;
    rows.iter().map(Note::try_from).collect()
}

static FIND: ReadQuery = ReadQuery::new(
    "notes_find",
    "
SELECT id, user_id, title, body, pinned, created_at, updated_at
FROM notes
WHERE user_id = $1 AND id = $2",
    &[Type::UUID, Type::UUID],
);

/// The note of this id, if it is this user's.
pub(in crate::features::notes) async fn find(
    db: &impl ReadExecutor,
    user_id: UserId,
    id: NoteId,
) -> Result<Option<Note>, DatabaseError> {
    let row = db
        .optional(&FIND, &[user_id.as_uuid(), id.as_uuid()])
        .await?;
    row.as_ref().map(Note::try_from).transpose()
}

static LOCK: WriteQuery = WriteQuery::select_for_update(
    "notes_lock",
    "
SELECT id, user_id, title, body, pinned, created_at, updated_at
FROM notes
WHERE user_id = $1 AND id = $2
FOR UPDATE",
    &[Type::UUID, Type::UUID],
);

/// The same, locked until the transaction ends.
pub(in crate::features::notes) async fn lock(
    transaction: &WriteTransaction,
    user_id: UserId,
    id: NoteId,
) -> Result<Option<Note>, DatabaseError> {
    let row = transaction
        .returning_optional(&LOCK, &[user_id.as_uuid(), id.as_uuid()])
        .await?;
    row.as_ref().map(Note::try_from).transpose()
}

static UPDATE: WriteQuery = WriteQuery::update(
    "notes_update",
    "
UPDATE notes
SET title = $3, body = $4, pinned = $5, updated_at = $6
WHERE user_id = $1 AND id = $2",
    &[
        Type::UUID,
        Type::UUID,
        Type::TEXT,
        Type::TEXT,
        Type::BOOL,
        Type::TIMESTAMPTZ,
    ],
);

/// Writes the columns that can change.
pub(in crate::features::notes) async fn update(
    transaction: &WriteTransaction,
    note: &Note,
) -> Result<(), DatabaseError> {
    let parameters: Parameters<'_> = &[
        note.user_id.as_uuid(),
        note.id.as_uuid(),
        &note.title.as_str(),
        &note.body.as_ref().map(NoteBody::as_str),
        &note.pinned,
        &note.updated_at,
    ];
    transaction.execute(&UPDATE, parameters).await?;
    Ok(())
}

static DELETE: WriteQuery = WriteQuery::delete(
    "notes_delete",
    "
DELETE FROM notes
WHERE user_id = $1 AND id = $2",
    &[Type::UUID, Type::UUID],
);

/// Removes the note of this id, if it is this user's. `false` when there is none.
pub(in crate::features::notes) async fn delete(
    transaction: &WriteTransaction,
    user_id: UserId,
    id: NoteId,
) -> Result<bool, DatabaseError> {
    let deleted = transaction
        .execute(&DELETE, &[user_id.as_uuid(), id.as_uuid()])
        .await?;
    Ok(deleted == 1)
}
