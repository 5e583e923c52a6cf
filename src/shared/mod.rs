//! Types that several features use: ids, texts, times, changes, pages and the clock.

pub mod clock;
mod id;
mod page;
mod patch;
pub mod problems;
mod public_url;
mod text;
mod time;

pub use self::id::InvalidId;
pub(crate) use self::id::{id, parse_uuid, uuid_schema};
pub use self::{
    page::{Cursor, ListPage, Page, PageRequest, UnknownCursor},
    patch::{Patch, present},
    public_url::PublicUrl,
    text::{Text, TextError},
    time::{UnknownTime, cut_to_microseconds, parse_time},
};
