//! A change of something that may be missing.

/// What a change says about something that may be missing: nothing, that it goes, or what it becomes.
///
/// ```
/// use warp_skeleton::domain::Patch;
///
/// let mut body = Some("old");
/// Patch::Keep.apply(&mut body);
/// assert_eq!(body, Some("old"));
/// Patch::Set("new").apply(&mut body);
/// assert_eq!(body, Some("new"));
/// Patch::Clear.apply(&mut body);
/// assert_eq!(body, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is missing from now on.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Patch<T> {
    /// The same about something made of it.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(make(value)),
        }
    }

    /// Makes the change.
    pub fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *to = None,
            Self::Set(value) => *to = Some(value),
        }
    }
}

impl Patch<String> {
    /// The same about the text itself.
    #[must_use]
    pub fn as_deref(&self) -> Patch<&str> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(text) => Patch::Set(text),
        }
    }
}
