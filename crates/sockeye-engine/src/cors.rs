//! Cross-origin rules: which pages may read answers (CORS), and which may connect at all.
//!
//! CORS alone protects nothing here, because a WebSocket is not subject to it: a page of another site
//! could open one with the user's cookies. So the same list of origins also decides who may connect, on
//! every transport.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::config::ConfigError;

/// A set of web origins.
#[derive(Clone)]
pub enum Origins {
    /// Every origin.
    Any,
    /// Exactly these, written `scheme://host` or `scheme://host:port`. Compared without regard to ASCII case;
    /// a default port may be written or left out; `null` is an origin of its own.
    List(Vec<String>),
    /// Whatever this says. It gets the header's text as sent.
    Matching(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origins::Any => f.write_str("Any"),
            Origins::List(list) => list.fmt(f),
            Origins::Matching(_) => f.write_str("Matching"),
        }
    }
}

impl Origins {
    /// Origins from a list.
    pub fn list<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        Origins::List(origins.into_iter().map(Into::into).collect())
    }

    /// Origins for which `f` says yes.
    pub fn matching(f: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Origins::Matching(Arc::new(f))
    }

    /// Whether `origin`, the text of an `Origin` header, is in the set.
    pub fn contains(&self, origin: &str) -> bool {
        match self {
            Origins::Any => true,
            Origins::List(list) => {
                let wanted = Origin::parse(origin);
                wanted.is_some() && list.iter().any(|one| Origin::parse(one) == wanted)
            }
            Origins::Matching(f) => f(origin),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if let Origins::List(list) = self
            && let Some(bad) = list.iter().find(|one| Origin::parse(one).is_none())
        {
            return Err(ConfigError::BadOrigin(bad.clone()));
        }
        Ok(())
    }
}

/// A parsed origin: what two of them are compared by.
#[derive(PartialEq, Eq)]
enum Origin {
    Null,
    Tuple { scheme: String, host: String, port: Option<u16> },
}

impl Origin {
    fn parse(text: &str) -> Option<Origin> {
        if text == "null" {
            return Some(Origin::Null);
        }
        let (scheme, authority) = text.split_once("://")?;
        let name = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        if scheme.is_empty() || !scheme.bytes().all(name) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = authority_parts(authority)?;
        let port = port.filter(|port| default_port(&scheme) != Some(*port));
        Some(Origin::Tuple { scheme, host, port })
    }
}

/// Host in lower case and port. `None` for anything that is not one, such as user info or a path.
fn authority_parts(text: &str) -> Option<(String, Option<u16>)> {
    // An IPv6 address has colons of its own, inside brackets.
    let (host, port) = match text.rfind(':') {
        Some(at) if !text[at..].contains(']') => (&text[..at], Some(text[at + 1..].parse().ok()?)),
        _ => (text, None),
    };
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-._~[]:".contains(&b);
    if host.is_empty() || !host.bytes().all(fine) || (host.contains(':') && !host.starts_with('[')) {
        return None;
    }
    Some((host.to_ascii_lowercase(), port))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Whether a page of `origin` is on the host that the request was sent to. The scheme is not compared:
/// behind a proxy that ends TLS, we cannot know it.
pub(crate) fn same_host(origin: &str, host: &str) -> bool {
    let Some(Origin::Tuple { scheme, host: theirs, port }) = Origin::parse(origin) else { return false };
    let Some((ours, our_port)) = authority_parts(host) else { return false };
    let default = default_port(&scheme);
    theirs == ours && port.or(default) == our_port.or(default)
}

/// Cross-origin resource sharing, with the meanings of the npm package `cors`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cors {
    /// Who may read answers. With [`Origins::Any`] the answer is `*`, otherwise the origin is repeated.
    pub origins: Origins,
    /// Whether cookies may be sent. Not together with [`Origins::Any`]. Default `false`.
    pub credentials: bool,
    /// Methods told to a preflight. Default `GET,HEAD,PUT,PATCH,POST,DELETE`.
    pub methods: String,
    /// Request headers allowed in a preflight. Default none: whatever is asked for.
    pub allowed_headers: Option<String>,
    /// Answer headers that scripts may read. Default none.
    pub exposed_headers: Option<String>,
    /// How long a preflight may be remembered. Default none.
    pub max_age: Option<Duration>,
}

impl Cors {
    /// CORS for these origins, everything else as by default.
    pub fn new(origins: Origins) -> Self {
        Cors {
            origins,
            credentials: false,
            methods: "GET,HEAD,PUT,PATCH,POST,DELETE".to_owned(),
            allowed_headers: None,
            exposed_headers: None,
            max_age: None,
        }
    }

    /// Every origin, without credentials.
    pub fn any() -> Self {
        Self::new(Origins::Any)
    }

    /// Allows credentials.
    pub fn credentials(mut self, yes: bool) -> Self {
        self.credentials = yes;
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.credentials && matches!(self.origins, Origins::Any) {
            return Err(ConfigError::CredentialsForEveryone);
        }
        self.origins.check()?;
        let values = [Some(&self.methods), self.allowed_headers.as_ref(), self.exposed_headers.as_ref()];
        for value in values.into_iter().flatten() {
            HeaderValue::from_str(value).map_err(|_| ConfigError::BadCors(value.clone()))?;
        }
        Ok(())
    }

    /// Adds the headers of an ordinary answer.
    pub(crate) fn headers(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if let Origins::Any = self.origins {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            vary(answer, header::ORIGIN);
            let origin = request.get(header::ORIGIN);
            if let Some(origin) = origin.filter(|o| o.to_str().is_ok_and(|o| self.origins.contains(o))) {
                answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            }
        }
        if self.credentials {
            answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        set(answer, header::ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed_headers.as_deref());
    }

    /// Adds the headers of the answer to a preflight.
    pub(crate) fn preflight(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        self.headers(request, answer);
        set(answer, header::ACCESS_CONTROL_ALLOW_METHODS, Some(&self.methods));
        match &self.allowed_headers {
            Some(list) => set(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, Some(list)),
            None => {
                vary(answer, header::ACCESS_CONTROL_REQUEST_HEADERS);
                if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
                }
            }
        }
        if let Some(age) = self.max_age {
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
        }
    }
}

fn set(answer: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|v| HeaderValue::from_str(v).ok()) {
        answer.insert(name, value);
    }
}

/// Says that the answer depends on a request header, so that no cache hands it to somebody else.
pub(crate) fn vary(answer: &mut HeaderMap, name: HeaderName) {
    answer.append(header::VARY, HeaderValue::from(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        let good = Origins::list(["https://good.example", "http://localhost:3000", "http://[::1]:80"]);
        for yes in [
            "https://good.example",
            "HTTPS://GOOD.example",
            "https://good.example:443",
            "http://localhost:3000",
            "http://[::1]",
        ] {
            assert!(good.contains(yes), "{yes}");
        }
        for no in [
            "http://good.example",
            "https://good.example.evil.com",
            "https://evilgood.example",
            "https://good.example:444",
            "https://good.example.",
            "https://good.example@evil.com",
            "https://good.example/",
            "https://good.example https://evil.com",
            "null",
            "",
            "good.example",
        ] {
            assert!(!good.contains(no), "{no}");
        }
        assert!(Origins::list(["null"]).contains("null"));
        assert!(Origins::list(["good.example"]).check().is_err());
    }

    #[test]
    fn a_page_is_at_home_on_its_own_host() {
        assert!(same_host("https://a.example", "a.example"));
        assert!(same_host("https://a.example", "a.example:443"));
        assert!(same_host("http://A.example:3000", "a.example:3000"));
        assert!(!same_host("http://a.example:3000", "a.example:3001"));
        assert!(!same_host("https://b.example", "a.example"));
        assert!(!same_host("null", "a.example"));
        assert!(!same_host("https://a.example.evil.com", "a.example"));
    }

    #[test]
    fn credentials_never_go_to_everyone() {
        assert_eq!(Cors::any().credentials(true).check(), Err(ConfigError::CredentialsForEveryone));
        assert_eq!(Cors::new(Origins::list(["https://a.example"])).credentials(true).check(), Ok(()));
    }

    #[test]
    fn the_answer_varies_with_the_origin_whether_or_not_it_is_allowed() {
        let cors = Cors::new(Origins::list(["https://a.example"])).credentials(true);
        for (origin, allowed) in [("https://a.example", true), ("https://b.example", false)] {
            let mut request = HeaderMap::new();
            request.insert(header::ORIGIN, HeaderValue::from_static(origin));
            let mut answer = HeaderMap::new();
            cors.headers(&request, &mut answer);
            assert_eq!(answer.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), allowed);
            assert_eq!(answer[header::VARY], "origin");
        }
    }
}
