//! The table of notes. Every statement names the user: nobody reaches what is somebody else's.

use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{
    domain::{Note, NoteBody, NoteId, NoteTitle},
    error::Error,
};
use crate::{
    database::{DatabaseError, Parameters, ReadExecutor, ReadQuery, WriteExecutor, WriteQuery},
    features::identity::UserId,
    web::PageRequest,
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
pub(super) async fn insert(db: &impl WriteExecutor, note: &Note) -> Result<(), Error> {
    let parameters: Parameters<'_> = &[
        note.id.as_uuid(),
        note.user_id.as_uuid(),
        &note.title.as_str(),
        &note.body.as_ref().map(NoteBody::as_str),
        &note.pinned,
        &note.created_at,
        &note.updated_at,
    ];
    match db.execute(&INSERT, parameters).await {
        Err(error) if error.violates("notes_user_id_fkey") => Err(Error::UserGone),
        outcome => Ok(outcome.map(drop)?),
    }
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

/// The rows for this page of a user's notes, oldest first.
pub(super) async fn list(
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
pub(super) async fn find(
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

/// The same, held until the transaction ends.
pub(super) async fn lock(
    db: &impl WriteExecutor,
    user_id: UserId,
    id: NoteId,
) -> Result<Option<Note>, DatabaseError> {
    let row = db
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

/// Writes what can change about a note.
pub(super) async fn update(db: &impl WriteExecutor, note: &Note) -> Result<(), DatabaseError> {
    let parameters: Parameters<'_> = &[
        note.user_id.as_uuid(),
        note.id.as_uuid(),
        &note.title.as_str(),
        &note.body.as_ref().map(NoteBody::as_str),
        &note.pinned,
        &note.updated_at,
    ];
    db.execute(&UPDATE, parameters).await?;
    Ok(())
}

static DELETE: WriteQuery = WriteQuery::delete(
    "notes_delete",
    "
DELETE FROM notes
WHERE user_id = $1 AND id = $2",
    &[Type::UUID, Type::UUID],
);

/// Removes a note of this user's. `false` when there is none.
pub(super) async fn delete(
    db: &impl WriteExecutor,
    user_id: UserId,
    id: NoteId,
) -> Result<bool, DatabaseError> {
    let deleted = db
        .execute(&DELETE, &[user_id.as_uuid(), id.as_uuid()])
        .await?;
    Ok(deleted == 1)
}
