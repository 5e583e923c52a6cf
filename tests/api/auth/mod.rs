//! Signing up, signing in, and staying signed in.

mod register;
