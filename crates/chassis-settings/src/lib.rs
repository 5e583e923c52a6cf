// The page is read where documentation is made, so that an edit to it compiles nothing.
#![cfg_attr(any(doc, doctest), doc = include_str!("../README.md"))]
#![cfg_attr(not(any(doc, doctest)), doc = "README.md says what this is for.")]

mod app_env;
mod catalogue;
mod dotenv;
mod error;
mod reader;
mod setting;
mod sources;
mod values;

pub use secrecy::{ExposeSecret, SecretString};

pub use self::{
    app_env::{APP_ENV, AppEnv},
    catalogue::{Catalogue, CatalogueSection, Section},
    error::SettingError,
    reader::{
        List, Number, OneOf, Optional, ParseWith, Reader, Span, days, hours, list, millis,
        millis_within, minutes, number, one_of, optional, parse_with, parsed, path, seconds,
        secret, switch, text,
    },
    setting::{Declaration, Setting, joined},
    values::{Entry, Shown, Values},
};
