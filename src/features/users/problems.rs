//! The kinds of problem that only accounts have, and which failure is which.

use std::borrow::Cow;

use http::StatusCode;

use super::{
    domain::{EmailError, PasswordError, UnknownRole},
    error::Error,
    hasher::HashError,
};
use crate::{
    shared::problems::database_problem,
    web::{Problem, ProblemType, ValidationError},
};

pub(crate) static EMAIL_TAKEN: ProblemType = ProblemType {
    code: "email_taken",
    status: StatusCode::CONFLICT,
    title: "E-mail address taken",
    about: "Another account has this e-mail address; addresses are compared without case. Sign in \
            instead, or use another one.",
};

pub(crate) static LAST_OWNER: ProblemType = ProblemType {
    code: "last_owner",
    status: StatusCode::CONFLICT,
    title: "Last owner",
    about: "The last active OWNER cannot be demoted, disabled or deleted. Make another OWNER first.",
};

pub(crate) static INSUFFICIENT_LEVEL: ProblemType = ProblemType {
    code: "insufficient_level",
    status: StatusCode::FORBIDDEN,
    title: "Insufficient level",
    about: "Nobody edits an account above their own role, or grants a role above it.",
};

pub(crate) static WRONG_PASSWORD: ProblemType = ProblemType {
    code: "current_password_incorrect",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "Current password incorrect",
    about: "Changes to an account's address or password ask for its current password, and the one \
            that was sent is not it. Attempts count towards the limits of signing in.",
};

/// The one table from this room's failures to what a client may know.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::EmailTaken => {
                Problem::new(&EMAIL_TAKEN, "another account has this e-mail address")
            }
            Error::NotFound => Problem::not_found(),
            Error::AboveOwnLevel => Problem::new(
                &INSUFFICIENT_LEVEL,
                "nobody edits or grants above their own level",
            ),
            Error::LastOwner => Problem::new(&LAST_OWNER, "the last active owner stays"),
            Error::WrongPassword => Problem::new(&WRONG_PASSWORD, "the current password is wrong"),
            Error::Hash(error @ HashError::Busy) => Problem::unavailable(error),
            Error::Hash(error @ HashError::Failed(_)) => Problem::internal(error),
            Error::Database(error) => database_problem(error),
        }
    }
}

impl ValidationError for EmailError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Invalid => "invalid_email",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

impl ValidationError for PasswordError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "too_short",
            Self::TooLong => "too_long",
            Self::TooCommon => "too_common",
            Self::OwnAddress => "own_address",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

impl ValidationError for UnknownRole {
    fn code(&self) -> &'static str {
        "unknown_role"
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}
