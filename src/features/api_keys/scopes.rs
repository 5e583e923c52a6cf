//! Scopes: which there are, and which a key has.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use chassis_http::{Feature, ValidationError};

/// The scopes that endpoints state, in alphabetical order; clones share everything.
#[derive(Debug, Clone)]
pub struct KnownScopes(Arc<[&'static str]>);

impl KnownScopes {
    /// Those of these features: the definitions of endpoints are the one list of scopes.
    #[must_use]
    pub fn of(features: &[Feature]) -> Self {
        let endpoints = features.iter().flat_map(|feature| &feature.endpoints);
        let scopes: BTreeSet<_> = endpoints
            .filter_map(|endpoint| endpoint.operation().scope)
            .collect();
        Self(scopes.into_iter().collect())
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[&'static str] {
        &self.0
    }
}

/// The scopes of a key: one at least, each once, in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

/// Why these are no scopes for a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// There is none.
    #[error("a key needs one scope at least; there are {0}")]
    None(String),
    /// No endpoint has it.
    #[error("no endpoint has this scope; there are {0}")]
    Unknown(String),
}

impl ValidationError for ScopeError {
    fn code(&self) -> &'static str {
        match self {
            Self::None(_) => "required",
            Self::Unknown(_) => "unknown_scope",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

impl Scopes {
    /// Those that somebody wants for a key.
    pub fn parse(wanted: &[String], known: &KnownScopes) -> Result<Self, ScopeError> {
        let all = || known.0.join(", ");
        if wanted.is_empty() {
            return Err(ScopeError::None(all()));
        }
        let is_known = |scope: &&String| known.0.contains(&scope.as_str());
        if !wanted.iter().all(|scope| is_known(&scope)) {
            return Err(ScopeError::Unknown(all()));
        }
        let scopes: BTreeSet<_> = wanted.iter().cloned().collect();
        Ok(Self(scopes.into_iter().collect()))
    }

    /// Those that a key was made with. An endpoint that stated one of them may be gone.
    pub(super) fn stored(scopes: Vec<String>) -> Self {
        Self(scopes)
    }

    /// Each by its name.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether an endpoint with this scope may be called. One without a scope may not.
    #[must_use]
    pub fn allow(&self, scope: Option<&str>) -> bool {
        scope.is_some_and(|wanted| self.0.iter().any(|scope| scope == wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(wanted: &[&str]) -> Result<Vec<String>, &'static str> {
        let known = KnownScopes(["notes:read", "notes:write", "users:read"].into());
        let wanted: Vec<_> = wanted.iter().map(|scope| (*scope).to_owned()).collect();
        let scopes = Scopes::parse(&wanted, &known);
        scopes.map(|scopes| scopes.0).map_err(|error| error.code())
    }

    #[test]
    fn a_key_has_known_scopes_each_once_and_at_least_one() {
        let two = ["notes:write", "users:read"].map(str::to_owned).to_vec();
        assert_eq!(parse(&["users:read", "notes:write", "users:read"]), Ok(two));
        assert_eq!(parse(&[]), Err("required"));
        for unknown in ["notes", "notes:*", "NOTES:READ", "notes:read ", ""] {
            assert_eq!(parse(&["users:read", unknown]), Err("unknown_scope"));
        }
    }

    #[test]
    fn a_scope_allows_its_endpoints_and_no_others() {
        let scopes = Scopes::stored(vec!["notes:read".to_owned()]);
        assert!(scopes.allow(Some("notes:read")));
        assert!(!scopes.allow(Some("notes:write")));
        assert!(!scopes.allow(None));
    }
}
