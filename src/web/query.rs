//! Query strings, read as strictly as bodies.

use serde::de::DeserializeOwned;
use warp::{Filter, Rejection, filters::BoxedFilter};

use super::{
    problem::{FieldError, Problem},
    shape,
};

/// Reads the query string into `T`. Unknown and repeated parameters are refused.
#[must_use]
pub fn query<T: DeserializeOwned + Send + 'static>() -> BoxedFilter<(T,)> {
    raw()
        .and_then(|query: String| async move { parse_query(&query).map_err(Rejection::from) })
        .boxed()
}

/// Lets only requests without a query string through.
pub(super) fn no_query() -> BoxedFilter<()> {
    raw()
        .and_then(|query: String| async move {
            if query.is_empty() {
                return Ok(());
            }
            Err(Rejection::from(Problem::invalid(vec![FieldError {
                pointer: "".into(),
                code: "unknown_parameter",
                detail: "this address takes no query parameters".into(),
            }])))
        })
        .untuple_one()
        .boxed()
}

/// The query string, empty when there is none: `warp::query::raw` rejects that.
fn raw() -> BoxedFilter<(String,)> {
    warp::query::raw()
        .or(warp::any().map(String::new))
        .unify()
        .boxed()
}

/// Parses a query string as strictly as [`query`] does.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    let reader = serde_urlencoded::Deserializer::new(pairs());
    let value = serde_path_to_error::deserialize(reader).map_err(|error| {
        let pointer = shape::pointer(error.path());
        let mut error = shape::field_error(pointer, &error.inner().to_string());
        error.code = match error.code {
            "unknown_field" => "unknown_parameter",
            "duplicate_field" => "duplicate_parameter",
            other => other,
        };
        Problem::invalid(vec![error])
    })?;
    // Only now is every name known to be one of ours, and fit to be repeated.
    match pairs().find(|(_, value)| value.contains('\0')) {
        Some((name, _)) => Err(Problem::invalid(vec![FieldError {
            pointer: format!("/{name}").into(),
            code: "nul_character",
            detail: "the character U+0000 is not allowed".into(),
        }])),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Search {
        q: Option<String>,
    }

    #[test]
    fn known_parameters_are_read_once() {
        let search: Search = parse_query("q=a%20b").unwrap();

        assert_eq!(search.q.as_deref(), Some("a b"));
    }

    #[test]
    fn unknown_and_repeated_ones_and_nul_are_refused() {
        for query in ["x=1", "q=1&q=2", "q=%00", "q=1&"] {
            let outcome = parse_query::<Search>(query);
            assert_eq!(outcome.is_err(), query != "q=1&", "{query}");
        }
    }
}
