//! Gathers what is wrong with several fields, so that a client hears it all at once.

use std::borrow::Cow;

use super::problem::{FieldError, Problem};
use crate::domain::{Patch, TextError, UnknownTime};

/// What a rule that was broken says of itself. Domain errors implement it.
pub trait ValidationError {
    /// The stable code of the rule.
    fn code(&self) -> &'static str;
    /// The rule in words, without the value that broke it.
    fn detail(&self) -> Cow<'static, str>;
}

/// The broken rules found so far.
#[derive(Debug, Default)]
pub struct ValidationErrors(Vec<FieldError>);

impl ValidationErrors {
    /// Nothing wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the value out, or notes what is wrong with it.
    pub fn check<T, E: ValidationError>(
        &mut self,
        pointer: &'static str,
        parsed: Result<T, E>,
    ) -> Option<T> {
        let error = match parsed {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.0.push(FieldError {
            pointer: pointer.into(),
            code: error.code(),
            detail: error.detail(),
        });
        None
    }

    /// The same for a field that may be absent.
    pub fn check_some<T, E: ValidationError>(
        &mut self,
        pointer: &'static str,
        parsed: Option<Result<T, E>>,
    ) -> Option<T> {
        parsed.and_then(|parsed| self.check(pointer, parsed))
    }

    /// The same for a field that a change may also clear.
    pub fn check_patch<T, E: ValidationError>(
        &mut self,
        pointer: &'static str,
        parsed: Patch<Result<T, E>>,
    ) -> Patch<T> {
        match parsed {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(parsed) => self.check(pointer, parsed).map_or(Patch::Keep, Patch::Set),
        }
    }

    /// Goes on when nothing was wrong.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(self.into())
    }
}

impl From<ValidationErrors> for Problem {
    fn from(fields: ValidationErrors) -> Self {
        Problem::invalid(fields.0)
    }
}

impl ValidationError for TextError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "too_short",
            Self::TooLong(_) => "too_long",
            Self::Nul => "nul_character",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

impl ValidationError for UnknownTime {
    fn code(&self) -> &'static str {
        "invalid_value"
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}
