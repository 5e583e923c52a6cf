//! The types of problem that only this feature has.

use chassis_http::ProblemType;
use http::StatusCode;

pub(super) static TOKEN_INVALID: ProblemType = ProblemType {
    code: "token_invalid",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "Link not valid",
    about: "The token of the link is malformed, was used, expired, or was made void by another password or \
            address. Which of these it is, is not told. Ask for another mail.",
};

pub(super) static MAIL_OFF: ProblemType = ProblemType {
    code: "mail_off",
    status: StatusCode::NOT_IMPLEMENTED,
    title: "No mail",
    about: "This installation sends no mail, and this takes one. Whoever runs it sets MAIL_URL, or changes passwords \
            and addresses on the command line.",
};
