//! SQL on the columns of `sessions` that this feature adds.

pub(super) mod session_cookies;
