//! Signing up, signing in, and staying signed in.

mod cleanup;
mod email;
mod guard;
mod logout;
mod me;
mod password;
mod refresh;
mod register;
mod sessions;
mod token;
