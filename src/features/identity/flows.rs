//! Where another feature takes part in the flows of this one.
//!
//! This feature knows nothing of mail. What a feature that has it changes (a new address is confirmed first, a registration
//! is answered by mail, an unconfirmed address may not sign in) is asked of it here. `app.rs` gives the answers; without
//! any, everything works without mail.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{ClientInfo, Email, Error, PasswordHash, User, WriteTransaction};
// browser_sessions: begin
use super::BrowserSessions;
// browser_sessions: end
// api_keys: begin
use super::ApiKeys;
// api_keys: end

/// Decides in the transaction of a sign-in, after the password was right, whether the account may have a session.
pub type Admit = Arc<
    dyn for<'a> Fn(&'a WriteTransaction, &'a User) -> BoxFuture<'a, Result<(), Error>>
        + Send
        + Sync,
>;

/// Takes note of the address that a user wants, in a transaction that has locked the user. Whoever confirms it gets it.
pub type ConfirmEmail = Arc<
    dyn for<'a> Fn(&'a WriteTransaction, &'a User, &'a Email) -> BoxFuture<'a, Result<(), Error>>
        + Send
        + Sync,
>;

/// Takes note of a registration whose outcome only the owner of the address learns.
pub type RegisterLater = Arc<
    dyn Fn(Email, PasswordHash, ClientInfo) -> BoxFuture<'static, Result<(), Error>> + Send + Sync,
>;

/// What `POST /auth/register` does.
#[derive(Clone, Default)]
pub enum Registration {
    /// Anyone gets an account, and learns whether an address has one.
    #[default]
    Open,
    /// Anyone gets an account, and the answer is the same whether or not the address has one.
    Neutral(RegisterLater),
    /// Nobody does.
    Closed,
}

/// Where another feature takes part; clones share everything. By default there is none.
#[derive(Clone, Default)]
pub struct Flows {
    /// Whether an account may sign in. `None`: every active one.
    pub admit: Option<Admit>,
    /// Who confirms a new address. `None`: it is taken at once.
    pub confirm_email: Option<ConfirmEmail>,
    /// What becomes of registrations.
    pub registration: Registration,
    // browser_sessions: begin
    /// Who has sessions of browsers. `None`: cookies are not looked at.
    pub browsers: Option<Arc<dyn BrowserSessions>>,
    // browser_sessions: end
    // api_keys: begin
    /// Who has keys of machines. `None`: every bearer token is an access token.
    pub keys: Option<Arc<dyn ApiKeys>>,
    // api_keys: end
}
