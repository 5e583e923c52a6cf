//! Query strings, parsed as strictly as JSON bodies.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use warp::{Filter, Rejection, filters::BoxedFilter};

use super::{
    context::{RequestContext, context},
    problem::{FieldError, Problem},
    serde_error,
};

/// A filter that reads the query string into `T`. Unknown and repeated parameters are refused.
#[must_use]
pub fn query<T: DeserializeOwned + Send + 'static>() -> BoxedFilter<(T,)> {
    context()
        .and_then(|context: Arc<RequestContext>| async move {
            parse_query(&context.query).map_err(Rejection::from)
        })
        .boxed()
}

/// What a query string is refused with where there may be none.
pub(super) fn no_query() -> Problem {
    Problem::invalid(vec![FieldError {
        pointer: "".into(),
        code: "unknown_parameter",
        detail: "this address takes no query parameters".into(),
    }])
}

/// Parses a query string as strictly as [`query`] does.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    let reader = serde_urlencoded::Deserializer::new(pairs());
    let value = serde_path_to_error::deserialize(reader).map_err(|error| {
        let pointer = serde_error::pointer(error.path());
        let mut error = serde_error::field_error(pointer, &error.inner().to_string());
        error.code = match error.code {
            "unknown_field" => "unknown_parameter",
            "duplicate_field" => "duplicate_parameter",
            other => other,
        };
        Problem::invalid(vec![error])
    })?;
    // From here on every name is known to be a name of `T`, which may be repeated to the client.
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
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::properties;

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

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn any_text_comes_back_as_it_was_encoded(text in any::<String>()) {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("q", &text)
                .finish();
            match parse_query::<Search>(&query) {
                Ok(search) => prop_assert_eq!(search.q.as_deref(), Some(text.as_str())),
                Err(_) => prop_assert!(text.contains('\0')),
            }
        }

        #[test]
        fn a_second_or_an_unknown_parameter_is_refused_whatever_it_is(
            name in prop_oneof![Just("q".to_owned()), "[a-zA-Z\\[\\]._%]{1,8}", any::<String>()],
            value in any::<String>(),
        ) {
            prop_assume!(!(name.is_empty() && value.is_empty()));
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("q", "a")
                .append_pair(&name, &value)
                .finish();
            let problem = parse_query::<Search>(&query).unwrap_err();
            prop_assert_eq!(problem.kind().code, "validation_failed");
        }

        #[test]
        fn any_query_is_read_or_refused(query in any::<String>()) {
            let outcome = parse_query::<Search>(&query);
            let nul = outcome.is_ok_and(|search| search.q.is_some_and(|q| q.contains('\0')));
            prop_assert!(!nul);
        }
    }
}
