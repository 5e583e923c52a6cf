//! The types of problem that only this feature has, and its rules about fields.

use std::borrow::Cow;

use chassis_http::{ProblemType, ValidationError};
use http::StatusCode;

use super::{EmailError, PasswordError, UnknownRole};

/// Another account has the address.
pub static EMAIL_TAKEN: ProblemType = ProblemType {
    code: "email_taken",
    status: StatusCode::CONFLICT,
    title: "E-mail address taken",
    about: "Another account has this e-mail address; addresses are compared without case. Sign in \
            instead, or use another one.",
};

pub(super) static EMAIL_UNVERIFIED: ProblemType = ProblemType {
    code: "email_unverified",
    status: StatusCode::FORBIDDEN,
    title: "E-mail address not verified",
    about: "The password is right, and the address of the account has to be verified before anyone signs in: \
            open the link in the mail to it. A new password, set by a link in a mail, verifies it as well.",
};

pub(super) static REGISTRATION_CLOSED: ProblemType = ProblemType {
    code: "registration_closed",
    status: StatusCode::FORBIDDEN,
    title: "Registration closed",
    about: "Nobody registers here. Accounts are made by whoever runs the service.",
};

pub(super) static LAST_OWNER: ProblemType = ProblemType {
    code: "last_owner",
    status: StatusCode::CONFLICT,
    title: "Last owner",
    about: "The last active OWNER cannot be demoted, disabled or deleted. Make another OWNER first.",
};

/// The account, or the role, is above the caller's.
pub static INSUFFICIENT_LEVEL: ProblemType = ProblemType {
    code: "insufficient_level",
    status: StatusCode::FORBIDDEN,
    title: "Insufficient level",
    about: "Nobody edits an account above their own role, or grants a role above it.",
};

/// The current password is wrong.
pub static WRONG_PASSWORD: ProblemType = ProblemType {
    code: "current_password_incorrect",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "Current password incorrect",
    about: "Changes to an account's address or password ask for its current password, and the one \
            that was sent is not it. Attempts count towards the limits of signing in.",
};

pub(super) static UNAUTHENTICATED: ProblemType = ProblemType {
    code: "unauthenticated",
    status: StatusCode::UNAUTHORIZED,
    title: "Unauthenticated",
    about: "This address asks who you are. Send the access token from POST /auth/token as \
            'Authorization: Bearer <token>'; nowhere else is it looked for.",
};

/// The access token is not valid.
pub static INVALID_TOKEN: ProblemType = ProblemType {
    code: "invalid_token",
    status: StatusCode::UNAUTHORIZED,
    title: "Invalid token",
    about: "The token is malformed, expired, or its session has ended. Refresh it, or sign in again. \
            Which of these it is, is not told.",
};

pub(super) static INVALID_CREDENTIALS: ProblemType = ProblemType {
    code: "invalid_credentials",
    status: StatusCode::UNAUTHORIZED,
    title: "Invalid credentials",
    about: "There is no active account with this address and this password. Whether the address is \
            unknown, the password wrong or the account disabled is not told.",
};

pub(super) static INSUFFICIENT_ROLE: ProblemType = ProblemType {
    code: "insufficient_role",
    status: StatusCode::FORBIDDEN,
    title: "Insufficient role",
    about: "You are signed in, but your role is below the one this address asks for.",
};

pub(super) static REAUTHENTICATION_REQUIRED: ProblemType = ProblemType {
    code: "reauthentication_required",
    status: StatusCode::FORBIDDEN,
    title: "Reauthentication required",
    about: "This takes a password that was given within the last ten minutes. Send it to POST \
            /auth/reauthenticate, and try again.",
};

// browser_sessions: begin
/// A page of another site had a browser send its cookie.
pub static CROSS_SITE_REQUEST: ProblemType = ProblemType {
    code: "cross_site_request",
    status: StatusCode::FORBIDDEN,
    title: "Cross-site request",
    about: "A session cookie came with a request that changes something, and neither Sec-Fetch-Site nor Origin says \
            that a page of this service, or of an origin that it allows, sent it. A program that is no browser signs in \
            for tokens instead.",
};
// browser_sessions: end

// api_keys: begin
/// The API key is not good for this address.
pub static KEY_NOT_ALLOWED: ProblemType = ProblemType {
    code: "key_not_allowed",
    status: StatusCode::FORBIDDEN,
    title: "Key not allowed",
    about: "The API key is valid and lacks the scope that this address asks for, or the address takes no keys at all.",
};
// api_keys: end

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
