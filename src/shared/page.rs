//! Pages of lists: the page that is requested, its rows, and the cursor of the next page.
//!
//! A page begins after a row's place in the order, not at an offset: rows that are added or deleted meanwhile make no row
//! appear twice, and the database finds the place by an index. The order is that of ids, and the cursor a [`Cursor`],
//! unless a list states another one.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;
use warp::reply::Response;

use chassis_http::{PageView, ValidationError, ValidationErrors};

const DEFAULT_LIMIT: u16 = 20;
const MAX_LIMIT: u16 = 100;

/// A place in a list: after the row with this id.
///
/// Clients send it back as they got it. It has exactly one spelling.
///
/// ```
/// use uuid::Uuid;
/// use warp_skeleton::shared::Cursor;
///
/// let cursor = Cursor::behind(Uuid::now_v7());
/// assert_eq!(cursor.to_string().parse(), Ok(cursor));
/// assert!("1".parse::<Cursor>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Uuid);

/// The text is not a [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the next_cursor of another page")]
pub struct UnknownCursor;

impl Cursor {
    /// The place after this id.
    #[must_use]
    pub fn behind(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for Cursor {
    type Err = UnknownCursor;

    fn from_str(text: &str) -> Result<Self, UnknownCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let id = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok());
        id.map(Self).ok_or(UnknownCursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl ValidationError for UnknownCursor {
    fn code(&self) -> &'static str {
        "invalid_value"
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

/// The query of an endpoint that lists pages and has no filters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListPage {
    /// How many, from 1 to 100; 20 when absent.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<String>,
}

impl ListPage {
    /// Parses the query, or records its errors.
    pub fn parse(&self, errors: &mut ValidationErrors) -> PageRequest {
        PageRequest::parse(errors, self.limit.as_deref(), self.cursor.as_deref())
    }
}

/// The page that is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest<C = Cursor> {
    limit: u16,
    after: Option<C>,
}

impl PageRequest {
    /// The id after which the page begins. Every id is after the nil UUID, so the first page needs no query of its own.
    #[must_use]
    pub fn after(&self) -> Uuid {
        self.after.map_or(Uuid::nil(), |cursor| cursor.0)
    }
}

impl<C> PageRequest<C> {
    /// Up to `limit` rows after this place, or from the beginning.
    #[must_use]
    pub fn new(limit: u16, after: Option<C>) -> Self {
        Self { limit, after }
    }

    /// Parses the parameters `limit` and `cursor`, or records their errors.
    pub fn parse(errors: &mut ValidationErrors, limit: Option<&str>, cursor: Option<&str>) -> Self
    where
        C: FromStr<Err: ValidationError>,
    {
        let limit = errors.check_some("/limit", limit.map(parse_limit));
        let after = errors.check_some("/cursor", cursor.map(str::parse));
        Self::new(limit.unwrap_or(DEFAULT_LIMIT), after)
    }

    /// The place after which the page begins.
    #[must_use]
    pub fn cursor(&self) -> Option<&C> {
        self.after.as_ref()
    }

    /// How many rows to read: one more than are shown, to know whether there is another page.
    #[must_use]
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

fn parse_limit(text: &str) -> Result<u16, UnfitLimit> {
    // One spelling, as the schema has it: the library also takes +5 and 005.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let limit = text.parse().ok().filter(|_| is_plain);
    limit
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or(UnfitLimit)
}

/// The limit is not a number, or out of bounds.
#[derive(Debug)]
struct UnfitLimit;

impl ValidationError for UnfitLimit {
    fn code(&self) -> &'static str {
        "invalid_value"
    }

    fn detail(&self) -> Cow<'static, str> {
        format!("expected a whole number from 1 to {MAX_LIMIT}").into()
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C = Cursor> {
    /// Its items, in order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<C>,
}

impl<T> Page<T> {
    /// Makes a page from the rows that were read for this request; `id` returns the id of a row.
    #[must_use]
    pub fn of(rows: Vec<T>, request: PageRequest, id: impl Fn(&T) -> Uuid) -> Self {
        Self::ordered(rows, &request, |row| Cursor::behind(id(row)))
    }
}

impl<T, C> Page<T, C> {
    /// The same for a list in another order: `behind` returns the place after a row.
    #[must_use]
    pub fn ordered(mut rows: Vec<T>, request: &PageRequest<C>, behind: impl Fn(&T) -> C) -> Self {
        let limit = usize::from(request.limit);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        Self {
            next: last.map(behind),
            items: rows,
        }
    }

    /// The response: the page as JSON, and a `Link` header to the next page with the same filters.
    pub fn reply<V: From<T> + Serialize>(
        self,
        path: &str,
        request: PageRequest<C>,
        filters: &[(&str, Option<&str>)],
    ) -> Response
    where
        C: fmt::Display,
    {
        let next_cursor = self.next.map(|cursor| cursor.to_string());
        let items = self.items.into_iter().map(V::from).collect();
        PageView::new(items, next_cursor).into_response(path, request.limit, filters)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    #[test]
    fn one_row_too_many_tells_of_another_page() {
        let ids = [1, 2, 3].map(Uuid::from_u128);
        let page = |rows: &[Uuid]| Page::of(rows.to_vec(), PageRequest::new(2, None), |id| *id);

        let next = Some(Cursor::behind(ids[1]));
        assert_eq!(
            (page(&ids).items, page(&ids).next),
            (ids[..2].to_vec(), next)
        );
        assert_eq!(
            (page(&ids[..2]).items.len(), page(&ids[..2]).next),
            (2, None)
        );
        assert_eq!((page(&[]).items.len(), page(&[]).next), (0, None));
    }

    #[test]
    fn a_limit_has_one_spelling() {
        for text in ["1", "5", "20", "100"] {
            assert!(parse_limit(text).is_ok(), "{text}");
        }
        for text in [
            "0", "101", "+5", "005", "-1", "", " 5", "5 ", "5.0", "1e1", "\u{665}",
        ] {
            assert!(parse_limit(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn a_cursor_has_one_spelling(
            id in any::<u128>(),
            text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{22}", "[A-Za-z0-9_=+/-]{20,24}"],
        ) {
            let cursor = Cursor::behind(Uuid::from_u128(id));
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
