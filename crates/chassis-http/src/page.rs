//! A page of a list as JSON, with a `Link` header that leads to the next one.
//!
//! Which rows a page holds, and what a cursor means, is up to the service: here a cursor is a text that
//! clients send back as they got it.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type},
    },
};
use warp::reply::Response;

use super::{response::json, schema};

/// A page as JSON. Its schema is named after its items: `UserPage` for items of the schema `User`.
#[derive(Debug, Serialize)]
pub struct PageView<V> {
    items: Vec<V>,
    next_cursor: Option<String>,
}

impl<V: Serialize> PageView<V> {
    /// A page with these items; `next_cursor` is where the next page begins, `None` on the last one.
    #[must_use]
    pub fn new(items: Vec<V>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor }
    }

    /// The response: the page, and a `Link` header ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)) to the
    /// next page of `path` with the same limit and the same filters. Filters without a value are left out.
    ///
    /// # Panics
    ///
    /// When `path` is not printable ASCII.
    pub fn into_response(
        self,
        path: &str,
        limit: u16,
        filters: &[(&str, Option<&str>)],
    ) -> Response {
        let mut response = json(StatusCode::OK, &self);
        if let Some(cursor) = &self.next_cursor {
            let link = next_link(path, limit, cursor, filters);
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

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

impl<V: ToSchema> PartialSchema for PageView<V> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(schema::reference::<V>());
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
        schema::collect::<V>(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_repeats_the_limit_and_the_filters_that_have_a_value() {
        let page = PageView::new(vec![1], Some("a b".to_owned()));

        let response = page.into_response("/notes", 5, &[("tag", Some("x&y")), ("color", None)]);

        assert_eq!(
            response.headers()[header::LINK],
            "</notes?limit=5&cursor=a+b&tag=x%26y>; rel=\"next\""
        );
    }

    #[test]
    fn the_last_page_links_to_nothing() {
        let response = PageView::new(vec![1], None).into_response("/notes", 5, &[]);

        assert!(!response.headers().contains_key(header::LINK));
    }
}
