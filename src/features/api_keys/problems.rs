//! The types of problem that only this feature has.

use chassis_http::ProblemType;
use http::StatusCode;

pub(super) static TOO_MANY_KEYS: ProblemType = ProblemType {
    code: "too_many_keys",
    status: StatusCode::CONFLICT,
    title: "Too many keys",
    about: "The account has as many live API keys as it may. Revoke one that is not used any more. A key that was \
            rotated counts until it is over.",
};
