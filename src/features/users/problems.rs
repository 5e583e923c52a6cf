//! The kinds of problem that only accounts have.

use http::StatusCode;

use crate::web::ProblemType;

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
