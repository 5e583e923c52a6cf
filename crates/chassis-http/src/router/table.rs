//! The routing table: which endpoint serves a request.

use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use warp::reply::{Reply, Response};

use crate::{
    endpoint::{Endpoint, Operation},
    metrics::{EndpointSeries, method_label},
    rate_limit::RateLimitClass,
};

/// The label of requests whose path matches no template.
const UNMATCHED: &str = "unmatched";

/// All endpoints by path template.
pub(super) struct RoutingTable(matchit::Router<PathEntry>);

/// The endpoints that share a path template.
pub(super) struct PathEntry {
    template: &'static str,
    /// The value of the `Allow` header.
    pub(super) allow: HeaderValue,
    routes: Vec<Route>,
}

/// An endpoint, and the metrics of its responses.
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    series: EndpointSeries,
}

/// The result of a look-up.
pub(super) enum Found<'a> {
    Endpoint(&'a Route),
    /// `OPTIONS` on a path that exists.
    Options(&'a PathEntry),
    WrongMethod(&'a PathEntry),
    Nothing,
}

impl<'a> Found<'a> {
    /// The path template, for labels.
    pub(super) fn template(&self) -> &'static str {
        match self {
            Self::Endpoint(route) => route.endpoint.operation.template,
            Self::Options(entry) | Self::WrongMethod(entry) => entry.template,
            Self::Nothing => UNMATCHED,
        }
    }

    /// The class of the rate limit. Requests that no endpoint serves count like the others.
    pub(super) fn rate_limit(&self) -> RateLimitClass {
        match self {
            Self::Endpoint(route) => route.endpoint.operation.rate_limit,
            Self::Options(_) | Self::WrongMethod(_) | Self::Nothing => RateLimitClass::DEFAULT,
        }
    }

    /// Whether a probe answers.
    pub(super) fn is_probe(&self) -> bool {
        matches!(self, Self::Endpoint(route) if route.endpoint.operation.is_probe)
    }

    pub(super) fn scope(&self) -> Option<&'static str> {
        match self {
            Self::Endpoint(route) => route.endpoint.operation.scope,
            Self::Options(_) | Self::WrongMethod(_) | Self::Nothing => None,
        }
    }

    pub(super) fn series(&self) -> Option<&'a EndpointSeries> {
        match self {
            Self::Endpoint(route) => Some(&route.series),
            Self::Options(_) | Self::WrongMethod(_) | Self::Nothing => None,
        }
    }
}

impl RoutingTable {
    /// # Panics
    ///
    /// When two endpoints share method and path, or two templates match the same paths.
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        let mut entries: Vec<PathEntry> = Vec::new();
        for endpoint in endpoints {
            let Operation {
                method, template, ..
            } = &endpoint.operation;
            let known = entries.iter().position(|entry| entry.template == *template);
            let index = known.unwrap_or_else(|| {
                entries.push(PathEntry::new(template));
                entries.len() - 1
            });
            let entry = &mut entries[index];
            assert!(
                entry.route(method).is_none(),
                "{method} {template} is defined twice"
            );
            entry.routes.push(Route {
                series: EndpointSeries::new(method_label(method), &endpoint.operation),
                endpoint,
            });
        }
        let mut table = matchit::Router::new();
        for mut entry in entries {
            entry.allow = entry.methods();
            table
                .insert(entry.template, entry)
                .expect("no two templates match the same paths");
        }
        Self(table)
    }

    /// Looks up a request, and the values of its path where the template has `{…}`.
    pub(super) fn find(&self, parts: &Parts) -> (Found<'_>, Vec<String>) {
        let Ok(matched) = self.0.at(parts.uri.path()) else {
            return (Found::Nothing, Vec::new());
        };
        let entry = matched.value;
        if let Some(route) = entry.route(&parts.method) {
            let values = matched.params.iter().map(|(_, value)| value.to_owned());
            return (Found::Endpoint(route), values.collect());
        }
        let found = if parts.method == Method::OPTIONS {
            Found::Options(entry)
        } else {
            Found::WrongMethod(entry)
        };
        (found, Vec::new())
    }
}

impl PathEntry {
    fn new(template: &'static str) -> Self {
        Self {
            template,
            allow: HeaderValue::from_static(""),
            routes: Vec::new(),
        }
    }

    /// The endpoint for a method; `HEAD` is served by that of `GET`.
    fn route(&self, method: &Method) -> Option<&Route> {
        let served_by = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut routes = self.routes.iter();
        routes.find(|route| route.endpoint.operation.method == *served_by)
    }

    fn methods(&self) -> HeaderValue {
        let methods = self.routes.iter();
        let mut methods: Vec<&str> = methods
            .map(|route| route.endpoint.operation.method.as_str())
            .collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.sort_unstable();
        HeaderValue::from_str(&methods.join(", ")).expect("methods are tokens")
    }

    /// The answer to `OPTIONS`.
    pub(super) fn options(&self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response
            .headers_mut()
            .insert(header::ALLOW, self.allow.clone());
        response
    }
}
