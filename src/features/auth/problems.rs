//! The kinds of problem that only signing in has.

use http::StatusCode;

use crate::web::ProblemType;

pub(super) static UNAUTHENTICATED: ProblemType = ProblemType {
    code: "unauthenticated",
    status: StatusCode::UNAUTHORIZED,
    title: "Unauthenticated",
    about: "This address asks who you are. Send the access token from POST /auth/token as \
            'Authorization: Bearer <token>'; nowhere else is it looked for.",
};

pub(super) static INVALID_TOKEN: ProblemType = ProblemType {
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
