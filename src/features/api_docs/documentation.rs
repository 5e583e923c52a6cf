//! What is generated about the API when the endpoints are known.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use chassis_http::ProblemType;

/// The OpenAPI document and the types of problems; clones share them.
///
/// The endpoints that serve these are part of what they describe. So the endpoints are made first,
/// with an empty `Documentation`, which is filled once when all endpoints are known.
#[derive(Debug, Clone, Default)]
pub struct Documentation(Arc<OnceLock<Content>>);

#[derive(Debug)]
struct Content {
    openapi: Bytes,
    problems: Vec<&'static ProblemType>,
}

impl Documentation {
    /// Fills in the OpenAPI document, as JSON, and the types of problems. Later calls have no effect.
    pub fn write(&self, openapi: String, problems: Vec<&'static ProblemType>) {
        let openapi = Bytes::from(openapi);
        let _ = self.0.set(Content { openapi, problems });
    }

    /// The document as JSON; empty before [`write`](Self::write).
    pub(super) fn openapi(&self) -> Bytes {
        let content = self.0.get();
        content
            .map(|content| content.openapi.clone())
            .unwrap_or_default()
    }

    /// The type of problem with this code.
    pub(super) fn problem(&self, code: &str) -> Option<&'static ProblemType> {
        let mut problems = self.0.get()?.problems.iter().copied();
        problems.find(|kind| kind.code == code)
    }
}
