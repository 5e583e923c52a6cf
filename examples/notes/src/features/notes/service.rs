//! The rules about notes: everybody has their own, and nobody else's.

use super::{
    domain::{NewNote, Note, NoteChange, NoteId},
    error::Error,
    repository,
};
use crate::{
    clock::Clock,
    database::{Database, DatabaseError},
    features::identity::UserId,
    web::{Page, PageRequest},
};

/// Notes.
#[derive(Clone)]
pub struct Notes {
    database: Database,
    clock: Clock,
}

impl Notes {
    /// Notes in this database.
    #[must_use]
    pub fn new(database: Database, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// Makes a note of this user's.
    pub async fn create(&self, user_id: UserId, new: NewNote) -> Result<Note, Error> {
        let note = Note::new(user_id, new, self.clock.now());
        let connection = self.database.connection().await?;
        repository::insert(&connection, &note).await?;
        Ok(note)
    }

    /// A page of this user's notes, oldest first.
    pub async fn list(
        &self,
        user_id: UserId,
        request: PageRequest,
    ) -> Result<Page<Note>, DatabaseError> {
        let notes = repository::list(self.database.read_pool(), user_id, request).await?;
        Ok(Page::of(notes, request, |note| *note.id.as_uuid()))
    }

    /// The note of this id, if it is this user's.
    pub async fn find(&self, user_id: UserId, id: NoteId) -> Result<Note, Error> {
        let found = repository::find(self.database.read_pool(), user_id, id).await?;
        found.ok_or(Error::NotFound)
    }

    /// Changes a note of this user's.
    pub async fn change(
        &self,
        user_id: UserId,
        id: NoteId,
        change: NoteChange,
    ) -> Result<Note, Error> {
        let mut connection = self.database.connection().await?;
        let transaction = connection.begin().await?;
        let found = repository::lock(&transaction, user_id, id).await?;
        let before = found.ok_or(Error::NotFound)?;
        let mut note = before.clone().changed(change);
        if note == before {
            return Ok(note);
        }
        note.updated_at = self.clock.now();
        repository::update(&transaction, &note).await?;
        transaction.commit().await?;
        Ok(note)
    }

    /// Deletes a note of this user's.
    pub async fn delete(&self, user_id: UserId, id: NoteId) -> Result<(), Error> {
        let connection = self.database.connection().await?;
        if repository::delete(&connection, user_id, id).await? {
            return Ok(());
        }
        Err(Error::NotFound)
    }
}
