//! The features: what the service does, a folder for each subject.
//!
//! A feature is entered through its `mod.rs`, which exports a few names. Inside,
//! dependencies point one way: endpoints use use cases, those use tables, and all
//! of them use the domain types. [`identity`] uses [`limits`]; every feature may
//! use the guards of [`identity`].

pub mod api_docs;
// api_keys: begin
pub mod api_keys;
// api_keys: end
// browser_sessions: begin
pub mod browser_sessions;
// browser_sessions: end
pub mod identity;
pub mod jobs;
pub mod limits;
pub mod mail;
pub mod operations;
pub mod recovery;
