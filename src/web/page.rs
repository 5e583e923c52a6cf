//! Lists, a page at a time: which part is asked for, where the next one begins, and how both are said.
//!
//! A page begins behind an id, not at a number: rows that come or go meanwhile
//! make none appear twice, and the database finds the place by an index.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type},
    },
};
use uuid::Uuid;
use warp::reply::Response;

use super::{
    validation::{ValidationError, ValidationErrors},
    json, openapi,
};

const DEFAULT_LIMIT: u16 = 20;
const MAX_LIMIT: u16 = 100;

/// A place in a list: behind the thing of this id.
///
/// Clients are to send it back as they got it, so it looks like nothing that
/// they could make up, and has one spelling.
///
/// ```
/// use uuid::Uuid;
/// use warp_skeleton::web::Cursor;
///
/// let cursor = Cursor::behind(Uuid::now_v7());
/// assert_eq!(cursor.to_string().parse(), Ok(cursor));
/// assert!("1".parse::<Cursor>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Uuid);

/// Not a [`Cursor`] of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the next_cursor of another page")]
pub struct UnknownCursor;

impl Cursor {
    /// The place behind this id.
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

/// Which part of a list to show: the query of an endpoint that asks for nothing else.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListPage {
    /// How many, from 1 to 100; 20 when absent.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ListPage {
    /// Reads it, or notes what is wrong with it.
    pub fn parse(&self, errors: &mut ValidationErrors) -> PageRequest {
        PageRequest::parse(errors, self.limit.as_deref(), self.cursor.as_deref())
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    limit: u16,
    after: Option<Cursor>,
}

impl PageRequest {
    /// So many things from this place on, or from the beginning.
    #[must_use]
    pub fn new(limit: u16, after: Option<Cursor>) -> Self {
        Self { limit, after }
    }

    /// Reads the parameters `limit` and `cursor`, or notes what is wrong with them.
    pub fn parse(errors: &mut ValidationErrors, limit: Option<&str>, cursor: Option<&str>) -> Self {
        let limit = errors.check_some("/limit", limit.map(parse_limit));
        let after = errors.check_some("/cursor", cursor.map(str::parse));
        Self::new(limit.unwrap_or(DEFAULT_LIMIT), after)
    }

    /// The id that the page is behind. Every id is behind the nil UUID, so the first page needs no other statement.
    #[must_use]
    pub fn after(&self) -> Uuid {
        self.after.map_or(Uuid::nil(), |cursor| cursor.0)
    }

    /// How many rows to read: one more than is shown tells whether there is another page.
    #[must_use]
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

fn parse_limit(text: &str) -> Result<u16, UnfitLimit> {
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or(UnfitLimit)
}

/// A limit that is no number, or out of bounds.
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

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it, in order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of the rows that were read for this request, with what tells their ids.
    #[must_use]
    pub fn of(mut rows: Vec<T>, request: PageRequest, id: impl Fn(&T) -> Uuid) -> Self {
        let limit = usize::from(request.limit);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        Self {
            next: last.map(|last| Cursor::behind(id(last))),
            items: rows,
        }
    }

    /// The reply: the page as JSON and, in a `Link` header, the address of the next one with the same filters.
    pub fn reply<V: From<T> + Serialize>(
        self,
        path: &str,
        request: PageRequest,
        filters: &[(&str, Option<&str>)],
    ) -> Response {
        let next_cursor = self.next.map(|cursor| cursor.to_string());
        let link = next_cursor
            .as_deref()
            .map(|cursor| next_link(path, request.limit, cursor, filters));
        let items = self.items.into_iter().map(V::from).collect();
        let mut response = json(StatusCode::OK, &PageView { items, next_cursor });
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// The address of the next page (RFC 8288).
fn next_link(
    path: &str,
    limit: u16,
    cursor: &str,
    filters: &[(&str, Option<&str>)],
) -> HeaderValue {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &limit.to_string());
    query.append_pair("cursor", cursor);
    for (name, value) in filters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let link = format!("<{path}?{}>; rel=\"next\"", query.finish());
    HeaderValue::from_str(&link).expect("an encoded address is ASCII")
}

/// A page as JSON. Its schema is named after what is on it: `UserPage` for users.
#[derive(Debug, Serialize)]
pub struct PageView<V> {
    items: Vec<V>,
    next_cursor: Option<String>,
}

impl<V: ToSchema> PartialSchema for PageView<V> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(openapi::reference::<V>());
        let next_cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some(
                "What to send as `cursor` for the next page; null on the last one.",
            ));
        ObjectBuilder::new()
            .description(Some("A part of a list, in order."))
            .property("items", items)
            .required("items")
            .property("next_cursor", next_cursor)
            .required("next_cursor")
            .into()
    }
}

impl<V: ToSchema> ToSchema for PageView<V> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", V::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        openapi::collect::<V>(schemas);
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
