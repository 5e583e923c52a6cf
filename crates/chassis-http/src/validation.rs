//! Collects what is wrong with several fields, so that a client learns of all of it at once.

use std::borrow::Cow;

use super::problem::{FieldError, Problem};

/// A rule that a field breaks. The errors of domain types implement it.
pub trait ValidationError {
    /// The stable code of the rule.
    fn code(&self) -> &'static str;
    /// The rule in words, without the value that broke it.
    fn detail(&self) -> Cow<'static, str>;
}

/// The errors found so far.
///
/// ```
/// use std::{borrow::Cow, num::ParseIntError};
/// use chassis_http::{ValidationError, ValidationErrors};
///
/// struct NotANumber(ParseIntError);
///
/// impl ValidationError for NotANumber {
///     fn code(&self) -> &'static str {
///         "invalid_value"
///     }
///     fn detail(&self) -> Cow<'static, str> {
///         "expected a whole number".into()
///     }
/// }
///
/// let parse = |text: &str| text.parse::<u8>().map_err(NotANumber);
/// let mut errors = ValidationErrors::new();
/// let width = errors.check("/width", parse("12"));
/// let height = errors.check("/height", parse("tall"));
///
/// assert_eq!((width, height), (Some(12), None));
/// assert!(errors.finish().is_err());
/// ```
#[derive(Debug, Default)]
pub struct ValidationErrors(Vec<FieldError>);

impl ValidationErrors {
    /// No errors yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the value, or records the error for the field at `pointer` (a JSON pointer, RFC 6901).
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

    /// [`check`](Self::check) for a field that may be absent.
    pub fn check_some<T, E: ValidationError>(
        &mut self,
        pointer: &'static str,
        parsed: Option<Result<T, E>>,
    ) -> Option<T> {
        parsed.and_then(|parsed| self.check(pointer, parsed))
    }

    /// Succeeds if there is no error; otherwise a 422 with all of them.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(self.into())
    }
}

impl From<ValidationErrors> for Problem {
    fn from(errors: ValidationErrors) -> Self {
        Problem::invalid(errors.0)
    }
}
