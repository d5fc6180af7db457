//! The browser client, served below the path as the original server does: `/socket.io/socket.io.min.js` and so on.
//!
//! The bundles are in the binary, each plain and packed, because packing 50 KB for every visitor would cost more than
//! sending it. No file system is touched, so no name can lead anywhere else. What the files do is written in `js/`.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use sockeye_engine::Body;

/// The answer for a name below the path; `None` for a name that is no bundle.
pub(crate) fn answer(name: &str, request: &Parts) -> Option<Response<Body>> {
    let file = FILES.iter().find(|file| file.name == name)?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    if !matches!(request.method, Method::GET | Method::HEAD) {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return Some(response);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    let (encoding, bytes, tag) = file.choose(&request.headers);
    headers.insert(ETAG, tag.clone());
    if file.is_known(&request.headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Some(response);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type()));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    // Everybody may have it, also pages that take nothing from elsewhere unless it says so.
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if request.method == Method::GET {
        *response.body_mut() = Body::from(Bytes::from_static(bytes));
    }
    Some(response)
}

/// One bundle or source map.
struct File {
    name: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
    tags: LazyLock<[HeaderValue; 3]>,
}

impl File {
    fn media_type(&self) -> &'static str {
        if self.name.ends_with(".map") {
            "application/json; charset=utf-8"
        } else {
            "application/javascript; charset=utf-8"
        }
    }

    /// The smallest variant that the browser can unpack, and its tag.
    fn choose(&self, request: &HeaderMap) -> (Option<&'static str>, &'static [u8], &HeaderValue) {
        let [plain, gzip, brotli] = &*self.tags;
        if accepts(request, "br") {
            (Some("br"), self.brotli, brotli)
        } else if accepts(request, "gzip") {
            (Some("gzip"), self.gzip, gzip)
        } else {
            (None, self.plain, plain)
        }
    }

    /// Whether the browser has the file already, in whatever variant.
    fn is_known(&self, request: &HeaderMap) -> bool {
        request
            .get_all(IF_NONE_MATCH)
            .iter()
            .flat_map(|tags| tags.as_bytes().split(|byte| *byte == b','))
            .any(|tag| {
                let tag = tag.trim_ascii();
                let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
                tag == b"*" || self.tags.iter().any(|own| own.as_bytes() == tag)
            })
    }
}

/// Whether the browser said that it can unpack `coding`; `q=0` says that it cannot (RFC 9110, 12.5.3).
fn accepts(request: &HeaderMap, coding: &str) -> bool {
    let lists = request.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let zero = |part: &str| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0_f32))
        };
        named && !parts.any(zero)
    })
}

/// The tags of the three variants. The files change with the binary only, but two builds of one version may differ
/// while developing: a sum of the bytes tells them apart (FNV-1a; nobody attacks his own cache).
fn tags(plain: &[u8]) -> [HeaderValue; 3] {
    let sum = plain.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    ["", "-gz", "-br"].map(|variant| {
        HeaderValue::try_from(format!("\"{sum:016x}{variant}\"")).unwrap_or(HeaderValue::from_static("\"\""))
    })
}

macro_rules! file {
    ($name:literal) => {
        File {
            name: $name,
            plain: include_bytes!(concat!("../client/", $name)),
            gzip: include_bytes!(concat!("../client/", $name, ".gz")),
            brotli: include_bytes!(concat!("../client/", $name, ".br")),
            tags: LazyLock::new(|| tags(include_bytes!(concat!("../client/", $name)))),
        }
    };
}

/// The names of the original, and the bundle without polling. `client` is a link to `js/dist`, so that the packaged
/// crate holds the files.
static FILES: [File; 10] = [
    file!("socket.io.js"),
    file!("socket.io.js.map"),
    file!("socket.io.min.js"),
    file!("socket.io.min.js.map"),
    file!("socket.io.esm.min.js"),
    file!("socket.io.esm.min.js.map"),
    file!("socket.io.msgpack.min.js"),
    file!("socket.io.msgpack.min.js.map"),
    file!("socket.io.websocket.esm.min.js"),
    file!("socket.io.websocket.esm.min.js.map"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, name: &str, headers: &[(http::HeaderName, &str)]) -> Option<Response<Body>> {
        let mut request = http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        answer(name, &request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_variant_is_the_smallest_the_browser_takes() {
        let length = |accept: &str| {
            let response = ask(Method::GET, "socket.io.js", &[(ACCEPT_ENCODING, accept)]).unwrap();
            let encoding =
                response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned());
            (encoding, response.headers()[CONTENT_LENGTH].to_str().unwrap().parse::<usize>().unwrap())
        };
        let (brotli, small) = length("gzip, deflate, br, zstd");
        let (gzip, middle) = length("GZIP;q=0.5, br;q=0.000");
        let (plain, large) = length("identity, gzip;q=0, brotli");
        assert_eq!((brotli.as_deref(), gzip.as_deref(), plain), (Some("br"), Some("gzip"), None));
        assert!(small < middle && middle < large);
    }

    #[test]
    fn a_browser_that_has_the_file_is_told_so() {
        let first = ask(Method::GET, "socket.io.min.js", &[(ACCEPT_ENCODING, "br")]).unwrap();
        let tag = first.headers()[ETAG].to_str().unwrap();
        for tags in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = ask(Method::GET, "socket.io.min.js", &[(IF_NONE_MATCH, &tags)]).unwrap();
            assert_eq!(again.status(), 304);
            assert!(!again.headers().contains_key(CONTENT_LENGTH));
        }
        let other = ask(Method::GET, "socket.io.js", &[(IF_NONE_MATCH, tag)]).unwrap();
        assert_eq!(other.status(), 200);
        assert_ne!(other.headers()[ETAG], first.headers()[ETAG]);
    }

    #[test]
    fn only_known_names_and_reading_methods() {
        assert!(ask(Method::GET, "socket.io.js/..", &[]).is_none());
        assert!(ask(Method::GET, "socket.io.js.br", &[]).is_none());
        assert_eq!(ask(Method::POST, "socket.io.js", &[]).unwrap().status(), 405);
        let head = ask(Method::HEAD, "socket.io.js.map", &[]).unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(head.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
    }

    #[test]
    fn each_bundle_names_its_map() {
        for file in FILES.iter().filter(|file| file.name.ends_with(".js")) {
            let last = format!("//# sourceMappingURL={}.map\n", file.name);
            assert!(file.plain.ends_with(last.as_bytes()), "{}", file.name);
            assert!(FILES.iter().any(|map| map.name == format!("{}.map", file.name)), "{}", file.name);
        }
    }
}
