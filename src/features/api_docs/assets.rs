//! The static files behind `/docs` and `/redoc`, built into the program.
//!
//! Large files are stored gzipped and sent as they are to clients that accept gzip, which is nearly
//! all. For the others a file is unpacked once and kept. Each file has a weak `ETag`, the hash of its
//! content, so that a browser asks again but does not load again.

use std::{io::Read, sync::OnceLock};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use warp::reply::{Reply, Response};

/// A file that is built into the program.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    /// Whether `content` is gzipped.
    gzip: bool,
    /// The unpacked content, filled by the first request of a client that does not accept gzip.
    plain: OnceLock<Bytes>,
    etag: OnceLock<HeaderValue>,
}

macro_rules! asset {
    ($name:literal, $media_type:literal) => {
        Asset {
            name: $name,
            media_type: $media_type,
            content: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/docs/", $name)),
            gzip: false,
            plain: OnceLock::new(),
            etag: OnceLock::new(),
        }
    };
    ($name:literal.gz, $media_type:literal) => {
        Asset {
            name: $name,
            media_type: $media_type,
            content: include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/assets/docs/",
                $name,
                ".gz"
            )),
            gzip: true,
            plain: OnceLock::new(),
            etag: OnceLock::new(),
        }
    };
}

static SWAGGER: Asset = asset!("swagger.html", "text/html; charset=utf-8");
static REDOC: Asset = asset!("redoc.html", "text/html; charset=utf-8");
static ASSETS: [Asset; 5] = [
    asset!("swagger-ui-bundle.js".gz, "text/javascript; charset=utf-8"),
    asset!("swagger-ui.css".gz, "text/css; charset=utf-8"),
    asset!("swagger-start.js", "text/javascript; charset=utf-8"),
    asset!("redoc.standalone.js".gz, "text/javascript; charset=utf-8"),
    asset!("redoc.css", "text/css; charset=utf-8"),
];

/// The `Content-Security-Policy` of both pages: files of this origin, inline styles (both libraries write them), and
/// a worker from a blob (`ReDoc` searches in one).
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// The page that shows the API in Swagger UI.
pub(super) fn swagger(request: &HeaderMap) -> Response {
    SWAGGER.serve(request)
}

/// The page that shows the API in `ReDoc`.
pub(super) fn redoc(request: &HeaderMap) -> Response {
    REDOC.serve(request)
}

/// The script or stylesheet of this name, if there is one.
pub(super) fn find(name: &str, request: &HeaderMap) -> Option<Response> {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    found.map(|asset| asset.serve(request))
}

impl Asset {
    fn serve(&self, request: &HeaderMap) -> Response {
        let etag = self.etag();
        let known = request.get_all(header::IF_NONE_MATCH).iter();
        if known.into_iter().any(|sent| contains_tag(sent, &etag)) {
            return self.with_headers(StatusCode::NOT_MODIFIED.into_response(), etag, false);
        }
        let compressed = self.gzip && accepts_gzip(request);
        let body = if compressed || !self.gzip {
            Bytes::from_static(self.content)
        } else {
            self.unpack()
        };
        self.with_headers(Response::new(body.into()), etag, compressed)
    }

    fn with_headers(
        &self,
        mut response: Response,
        etag: HeaderValue,
        compressed: bool,
    ) -> Response {
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.media_type),
        );
        headers.insert(header::ETAG, etag);
        // Five minutes: a new release may bring new files under the same names.
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=300"),
        );
        if self.media_type.starts_with("text/html") {
            headers.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
        }
        if self.gzip {
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if compressed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    /// Weak, because the same file is sent gzipped and unpacked.
    fn etag(&self) -> HeaderValue {
        let tag = self.etag.get_or_init(|| {
            let hash = Sha256::digest(self.content);
            let tag = format!("W/\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&hash[..9]));
            HeaderValue::from_str(&tag).expect("Base64 is ASCII")
        });
        tag.clone()
    }

    fn unpack(&self) -> Bytes {
        let plain = self.plain.get_or_init(|| {
            let mut plain = Vec::new();
            let unpacked = GzDecoder::new(self.content).read_to_end(&mut plain);
            unpacked.expect("the built-in file is valid gzip");
            plain.into()
        });
        plain.clone()
    }
}

fn contains_tag(sent: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(sent), Ok(etag)) = (sent.to_str(), etag.to_str()) else {
        return false;
    };
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    sent.split(',')
        .any(|tag| tag.trim() == "*" || strong(tag) == strong(etag))
}

/// Whether `Accept-Encoding` takes gzip (RFC 9110, section 12.5.3): by name, or by `*` where it is not named, and not with
/// weight zero.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    let items = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let (mut by_name, mut by_star) = (None, false);
    for item in items {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().to_ascii_lowercase();
        let taken = !matches!(
            weight.as_str(),
            "q=0" | "q=0." | "q=0.0" | "q=0.00" | "q=0.000"
        );
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => by_name = Some(taken),
            "*" => by_star = taken,
            _ => {}
        }
    }
    by_name.unwrap_or(by_star)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        [(name, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for (value, expected) in [
            ("gzip, br", true),
            ("*", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("br;q=1, gzip;q=0.5", true),
            ("GZIP", true),
            ("gzip;q=0, *", false),
            ("*, gzip;Q=0", false),
            ("*;q=0, gzip", true),
            ("identity, *;q=0", false),
        ] {
            assert_eq!(
                accepts_gzip(&headers(header::ACCEPT_ENCODING, value)),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn every_asset_can_be_unpacked() {
        for asset in ASSETS.iter().filter(|asset| asset.gzip) {
            assert!(asset.unpack().len() > asset.content.len(), "{}", asset.name);
        }
    }

    #[test]
    fn an_asset_that_the_browser_has_is_not_sent_again() {
        let first = find("redoc.css", &HeaderMap::new()).unwrap();
        let etag = first.headers()[header::ETAG].to_str().unwrap().to_owned();

        let again = find("redoc.css", &headers(header::IF_NONE_MATCH, &etag)).unwrap();

        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }
}
