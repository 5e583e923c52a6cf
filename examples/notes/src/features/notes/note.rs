//! A note, and what a change does to it.

use time::OffsetDateTime;

use crate::{
    features::identity::UserId,
    shared::{Patch, Text, id},
};

id! {
    /// The id of a note.
    NoteId
}

/// The title of a note.
pub type NoteTitle = Text<1, 1000>;

/// The body of a note.
pub type NoteBody = Text<1, 1000>;

/// A note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its id.
    pub id: NoteId,
    /// The user it belongs to.
    pub user_id: UserId,
    /// Its title.
    pub title: NoteTitle,
    /// Its body, if it has any.
    pub body: Option<NoteBody>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When anything about it last changed.
    pub updated_at: OffsetDateTime,
}

/// What a client says about a new note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNote {
    /// Its title.
    pub title: NoteTitle,
    /// Its body, if it has any.
    pub body: Option<NoteBody>,
    /// Whether it is pinned.
    pub pinned: bool,
}

/// What to change about a note.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoteChange {
    /// The new title, if it changes.
    pub title: Option<NoteTitle>,
    /// The new body, or that there is none, if that changes.
    pub body: Patch<NoteBody>,
    /// Whether it is pinned, if that changes.
    pub pinned: Option<bool>,
}

impl Note {
    /// A new note of this user.
    #[must_use]
    pub fn new(user_id: UserId, new: NewNote, now: OffsetDateTime) -> Self {
        Self {
            id: NoteId::generate(),
            user_id,
            title: new.title,
            body: new.body,
            pinned: new.pinned,
            created_at: now,
            updated_at: now,
        }
    }

    /// The note after this change.
    #[must_use]
    pub fn changed(mut self, change: NoteChange) -> Self {
        self.title = change.title.unwrap_or(self.title);
        change.body.apply(&mut self.body);
        self.pinned = change.pinned.unwrap_or(self.pinned);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        let new = NewNote {
            title: NoteTitle::parse("some title").unwrap(),
            body: Some(NoteBody::parse("some body").unwrap()),
            pinned: true,
        };
        Note::new(UserId::generate(), new, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn texts_have_bounds() {
        assert!(NoteTitle::parse("").is_err());
        assert!(NoteTitle::parse(&"x".repeat(1000)).is_ok());
        assert!(NoteTitle::parse(&"x".repeat(1001)).is_err());
        assert!(NoteBody::parse("").is_err());
        assert!(NoteBody::parse(&"x".repeat(1000)).is_ok());
        assert!(NoteBody::parse(&"x".repeat(1001)).is_err());
    }

    #[test]
    fn a_change_reaches_every_field() {
        let change = NoteChange {
            title: Some(NoteTitle::parse("another title").unwrap()),
            body: Patch::Set(NoteBody::parse("another body").unwrap()),
            pinned: Some(false),
        };

        let changed = note().changed(change);

        assert_eq!(changed.title.as_str(), "another title");
        assert_eq!(changed.body.unwrap().as_str(), "another body");
        assert!(!changed.pinned);
    }

    #[test]
    fn what_a_change_does_not_mention_stays() {
        let note = note();

        assert_eq!(note.clone().changed(NoteChange::default()), note);
    }
}
