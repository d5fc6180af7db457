//! The files of the demo page. They are in the binary; no file system is touched, so no path can lead anywhere else.
//! The browser client is served by `sockeye` itself.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

const JAVASCRIPT: &str = "application/javascript; charset=utf-8";

/// One file.
pub(crate) struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

/// The chat demo, served beside `/`.
const DEMO: [Asset; 4] = [
    Asset { name: "", media_type: "text/html; charset=utf-8", bytes: include_bytes!("../assets/index.html") },
    Asset {
        name: "chat.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../assets/chat.css"),
    },
    Asset { name: "chat.js", media_type: JAVASCRIPT, bytes: include_bytes!("../assets/chat.js") },
    Asset { name: "icon.svg", media_type: "image/svg+xml", bytes: include_bytes!("../assets/icon.svg") },
];

/// A file of the demo by its name below `/`.
pub(crate) fn demo(name: &str) -> Option<&'static Asset> {
    DEMO.iter().find(|asset| asset.name == name)
}

/// No script but our own files, no frames, no other hosts; pictures may be blobs, because that is how the page shows
/// what came over the socket.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Asset {
    /// 200 with the file, 304 if the browser has it, 405 for a method that does not read.
    pub(crate) fn response<B: From<Bytes> + Default>(
        &self,
        method: &Method,
        request: &HeaderMap,
    ) -> Response<B> {
        let mut response = Response::new(B::default());
        if !matches!(*method, Method::GET | Method::HEAD) {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            return response;
        }
        let tag = self.tag();
        let known = request.get(IF_NONE_MATCH).is_some_and(|tags| {
            tags.as_bytes().split(|byte| *byte == b',').any(|one| {
                let one = one.trim_ascii();
                one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes()
            })
        });
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        if self.media_type.starts_with("text/html") {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
        }
        if *method == Method::GET {
            *response.body_mut() = B::from(Bytes::from_static(self.bytes));
        }
        response
    }

    /// The files change with the binary only, but two builds of one version may differ while developing: a sum of the
    /// bytes tells them apart (FNV-1a; nobody attacks his own cache).
    fn tag(&self) -> String {
        let sum = self.bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("\"{sum:016x}\"")
    }
}

/// The demo's answer for a path, 404 for what it has not.
pub(crate) fn demo_page(path: &str, method: &Method, request: &HeaderMap) -> Response<Body> {
    match demo(path.trim_start_matches('/')) {
        Some(asset) => asset.response(method, request),
        None => {
            let mut response = Response::new(Body::from("not found\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_has_the_file_is_told_so() {
        let asset = demo("chat.js").unwrap();
        let first: Response<Body> = asset.response(&Method::GET, &HeaderMap::new());
        assert_eq!(first.status(), 200);
        assert_eq!(first.headers()[CONTENT_TYPE], JAVASCRIPT);
        for tags in [first.headers()[ETAG].to_str().unwrap().to_owned(), format!("\"x\", W/{}", asset.tag())]
        {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, tags.parse().unwrap());
            let again: Response<Body> = asset.response(&Method::GET, &request);
            assert_eq!(again.status(), 304);
        }
    }

    #[test]
    fn only_known_names_and_reading_methods() {
        assert!(demo("../Cargo.toml").is_none());
        let refused: Response<Body> = demo("").unwrap().response(&Method::POST, &HeaderMap::new());
        assert_eq!(refused.status(), 405);
    }

    #[test]
    fn every_file_the_page_asks_for_is_there() {
        let page = std::str::from_utf8(demo("").unwrap().bytes).unwrap();
        for (attribute, _) in
            page.match_indices("src=\"").chain(page.match_indices("<link rel=\"stylesheet\" href=\""))
        {
            let rest = &page[attribute..];
            let at = rest.find("src=\"").map_or_else(|| rest.find("href=\"").unwrap() + 6, |at| at + 5);
            let name = rest[at..].split('"').next().unwrap();
            assert!(name == "socket.io/socket.io.min.js" || demo(name).is_some(), "{name}");
        }
    }
}
