//! Sessions of browsers: held by one cookie that no script can read, instead of by tokens.
//!
//! # Why there is no refresh token
//!
//! A session is read on each request, so a cookie that names it can be ended at once, on every replica. A token that expires
//! and another one that renews it would add nothing: the cookie itself is the one credential, and it lives as long as the
//! session, which goes on while it is used (`touch` in `tables`).
//!
//! # The cookie
//!
//! 256 random bits (`cookie.rs`), of which the database has the SHA-256. Its name begins with `__Host-`: it is set for this host
//! alone, over TLS alone, and for every path (RFC 6265bis, section 4.1.3.2). A value is never taken over from the client: each
//! sign-in makes a new one and ends the session of the one that came with it. So does giving the password again, because
//! the session is worth more from then on; requests that were on their way with the value before are answered for ten seconds
//! if they only read, and no answer to them sets a cookie, or a slow one would bring the old value back.
//!
//! # Requests of other sites
//!
//! A browser adds the cookie to each request to this host, whoever had it sent. A request that changes something is listened to only
//! when the browser says that a page of this origin, or of one in `CORS_ALLOWED_ORIGINS`, sent it (`origin.rs`). There is no
//! CSRF token that a front end would have to carry.
//!
//! # Where it is called
//!
//! `identity` asks for it by the trait [`BrowserSessions`](super::identity::BrowserSessions): the guards, sign-in, sign-out, and
//! giving the password again. Its lines there stand between `browser_sessions: begin` and `browser_sessions: end`.

mod cookie;
mod origin;
mod service;
mod settings;
mod tables;

pub use self::{
    service::{Cookies, Parts},
    settings::{CookieSettings, Surroundings},
};
