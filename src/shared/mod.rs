//! What the rooms' own types are made of: ids, texts, times and changes.
//!
//! As in a room's `domain`, nothing here reads, writes or waits: these are
//! values that cannot be wrong, and the rules by which they are found right.

mod id;
mod patch;
mod text;
mod time;

pub(crate) use self::id::id;
pub use self::{
    patch::Patch,
    text::{Text, TextError},
    time::{UnknownTime, cut_to_microseconds, parse_time},
};
