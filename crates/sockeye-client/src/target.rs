//! Where a client goes: the URL it was given, taken apart once.

use std::fmt;

use http::Uri;

/// A URL, taken apart: the part after the host is a namespace, as in the JavaScript client, and not the path of the
/// requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) secure: bool,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) namespace: String,
    /// As it stood behind the question mark.
    pub(crate) query: String,
}

/// A URL that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no URL to connect to: {why}")]
pub struct UrlError {
    url: String,
    why: String,
}

impl Target {
    pub(crate) fn read(url: &str) -> Result<Target, UrlError> {
        let bad = |why: &str| UrlError { url: without_user(url), why: why.to_owned() };
        // What a URL may not hold by itself, but namespaces do: the rest of it is left to the parser.
        let uri: Uri = url.trim().parse().map_err(|error: http::uri::InvalidUri| bad(&error.to_string()))?;
        let secure = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            Some(_) => return Err(bad("its scheme has to be http, https, ws or wss")),
            None => return Err(bad("write http:// or https:// in front")),
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(bad("a name and password belong into `auth` or a header"));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        Ok(Target {
            secure,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            namespace: match uri.path() {
                "" => "/".to_owned(),
                path => path.to_owned(),
            },
            query: uri.query().unwrap_or_default().to_owned(),
        })
    }

    /// `host:port`, as it stands in a `Host` header; the scheme's own port is left out.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.secure, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority())
    }
}

/// Errors are logged, and passwords are not.
fn without_user(url: &str) -> String {
    match (url.find("://"), url.find('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}…{}", url.get(..scheme + 3).unwrap_or(""), url.get(at..).unwrap_or(""))
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_a_namespace_and_a_query() {
        let target = Target::read("https://chat.example/admin?token=1").unwrap();
        assert_eq!((target.secure, target.host.as_str(), target.port), (true, "chat.example", 443));
        assert_eq!((target.namespace.as_str(), target.query.as_str()), ("/admin", "token=1"));
        assert_eq!(target.to_string(), "https://chat.example");
        let target = Target::read("ws://[::1]:3000").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.namespace.as_str()), ("::1", 3000, "/"));
        assert_eq!(target.to_string(), "http://[::1]:3000");
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        for (url, why) in [
            ("localhost:3000", "http://"),
            ("ftp://a", "scheme"),
            ("", "empty"),
            ("http://", ""),
            ("http://me:secret@a", "header"),
        ] {
            let error = Target::read(url).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
