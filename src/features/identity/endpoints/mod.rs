//! The endpoints, one file each, and the one table from this feature's errors to problems.

mod change_email;
mod change_password;
mod change_user;
mod delete_user;
mod list_sessions;
mod list_users;
mod logout;
mod logout_all;
mod me;
mod reauthenticate;
mod refresh;
mod register;
mod revoke_session;
mod revoke_token;
mod schemas;
mod show_user;
mod sign_in;
mod token_form;
mod tokens_view;
mod user_view;

use chassis_http::{Feature, Problem, ValidationErrors};

pub use self::{
    schemas::{email_schema, new_password_schema},
    user_view::{UserView, role_schema},
};
use super::{
    Auth, Error, HashError,
    guard::{insufficient_role, invalid_credentials, invalid_token},
    policy::Denied,
    problems::{
        EMAIL_TAKEN, EMAIL_UNVERIFIED, INSUFFICIENT_LEVEL, LAST_OWNER, REAUTHENTICATION_REQUIRED,
        REGISTRATION_CLOSED, WRONG_PASSWORD,
    },
};
use crate::shared::problems::database_problem;

/// Every endpoint of this feature, under the two tags it has in the documentation.
#[must_use]
pub fn endpoints(auth: &Auth) -> [Feature; 2] {
    let own = Feature {
        name: "auth",
        description: "Sign up, sign in, and look after one's own account",
        endpoints: vec![
            register::endpoint(auth),
            sign_in::endpoint(auth),
            refresh::endpoint(auth),
            reauthenticate::endpoint(auth),
            logout::endpoint(auth),
            logout_all::endpoint(auth),
            revoke_token::endpoint(auth),
            me::endpoint(auth),
            change_email::endpoint(auth),
            change_password::endpoint(auth),
            list_sessions::endpoint(auth),
            revoke_session::endpoint(auth),
        ],
    };
    let users = Feature {
        name: "users",
        description: "Administer accounts",
        endpoints: vec![
            list_users::endpoint(auth),
            show_user::endpoint(auth),
            change_user::endpoint(auth),
            delete_user::endpoint(auth),
        ],
    };
    [own, users]
}

/// What a client is told about each error.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCredentials => invalid_credentials(),
            Error::InvalidRefreshToken | Error::InvalidAccessToken | Error::InvalidToken => {
                invalid_token()
            }
            Error::InsufficientRole(role) => insufficient_role(role),
            Error::ReauthenticationRequired => Problem::new(
                &REAUTHENTICATION_REQUIRED,
                "give the password again: POST /auth/reauthenticate",
            ),
            // browser_sessions: begin
            Error::CrossSite => Problem::new(
                &super::problems::CROSS_SITE_REQUEST,
                "this came with a session cookie, and not from a page that may send it",
            ),
            Error::AmbiguousCookie => {
                Problem::new(&chassis_http::problem::INVALID_REQUEST, error.to_string())
            }
            // browser_sessions: end
            // api_keys: begin
            Error::KeyNotAllowed => super::guard::key_not_allowed(),
            // api_keys: end
            Error::NotFound | Error::SessionNotFound => Problem::not_found(),
            Error::EmailTaken => {
                Problem::new(&EMAIL_TAKEN, "another account has this e-mail address")
            }
            Error::EmailUnverified => {
                Problem::new(&EMAIL_UNVERIFIED, Error::EmailUnverified.to_string())
            }
            Error::RegistrationClosed => {
                Problem::new(&REGISTRATION_CLOSED, Error::RegistrationClosed.to_string())
            }
            Error::Denied(denied @ Denied::AboveOwnLevel) => {
                Problem::new(&INSUFFICIENT_LEVEL, denied.to_string())
            }
            Error::Denied(denied @ Denied::LastOwner) => {
                Problem::new(&LAST_OWNER, denied.to_string())
            }
            Error::WrongPassword => Problem::new(&WRONG_PASSWORD, "the current password is wrong"),
            Error::NewPassword(error) => {
                let mut errors = ValidationErrors::new();
                errors.check("/new_password", Err::<(), _>(error));
                errors.into()
            }
            Error::Limits(error) => error.into(),
            Error::Hash(error @ HashError::Busy) => Problem::unavailable(error),
            Error::Hash(error @ HashError::Failed(_)) => Problem::internal(error),
            error @ Error::Failed(_) => Problem::internal(error),
            Error::Database(error) => database_problem(error),
        }
    }
}
