//! Where the load goes: a URL as Socket.IO clients understand it, taken apart once.

use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, bail, ensure};
use http::Uri;

/// One server, and the namespace on it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) secure: bool,
    /// The host's name, without port and brackets.
    pub(super) host: String,
    pub(super) address: SocketAddr,
    authority: String,
    /// The path Socket.IO is served under, with both slashes.
    path: String,
    namespace: String,
    query: String,
    headers: String,
    auth: String,
}

/// What the command line says about every target.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways<'a> {
    pub(super) path: &'a str,
    pub(super) headers: &'a [String],
    pub(super) auth: Option<&'a str>,
}

impl Target {
    /// Parses `http`, `https`, `ws` or `wss` URLs; without a scheme, `http`. The URL's path names the namespace.
    /// Resolves the host.
    pub(super) fn new(url: &str, ways: &Ways<'_>) -> anyhow::Result<Self> {
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = full.parse().with_context(|| format!("{url:?} is not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            other => bail!("{url:?}: expected http, https, ws or wss, not {:?}", other.unwrap_or("")),
        };
        let host = uri.host().with_context(|| format!("{url:?} names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let address = (host.as_str(), port)
            .to_socket_addrs()
            .with_context(|| format!("{host} cannot be resolved"))?
            // A server that listens on "localhost" mostly means IPv4.
            .min_by_key(SocketAddr::is_ipv6)
            .with_context(|| format!("{host} has no address"))?;
        let mut headers = String::new();
        for header in ways.headers {
            let (name, value) = header
                .split_once(':')
                .with_context(|| format!("--header {header:?}: expected NAME: VALUE"))?;
            ensure!(
                !header.contains(['\r', '\n']) && !name.trim().is_empty(),
                "--header {header:?}: expected NAME: VALUE"
            );
            let _ = write!(headers, "{}: {}\r\n", name.trim(), value.trim());
        }
        let auth = match ways.auth {
            Some(auth) => {
                let value: serde_json::Value =
                    serde_json::from_str(auth).with_context(|| format!("--auth {auth:?} is not JSON"))?;
                ensure!(value.is_object(), "--auth {auth:?}: expected a JSON object");
                value.to_string()
            }
            None => String::new(),
        };
        Ok(Self {
            secure,
            host,
            address,
            authority: uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default(),
            path: match ways.path.trim_matches('/') {
                "" => "/".to_owned(),
                path => format!("/{path}/"),
            },
            namespace: uri.path().to_owned(),
            query: uri.query().map(|query| format!("{query}&")).unwrap_or_default(),
            headers,
            auth,
        })
    }

    pub(super) fn host_header(&self) -> &str {
        self.authority.rsplit('@').next().unwrap_or_default()
    }

    /// The lines that `--header` added.
    pub(super) fn headers(&self) -> &str {
        &self.headers
    }

    /// The request target of the handshake, or of a session's later requests.
    pub(super) fn request_path(&self, transport: &str, sid: Option<&str>) -> String {
        let mut path = format!("{}?{}EIO=4&transport={transport}", self.path, self.query);
        if let Some(sid) = sid {
            let _ = write!(path, "&sid={sid}");
        }
        path
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What stands between a packet's type and the rest: nothing in the main namespace.
    pub(super) fn prefix(&self) -> String {
        if self.namespace == "/" { String::new() } else { format!("{},", self.namespace) }
    }

    /// The packet that enters the namespace.
    pub(super) fn connect_packet(&self) -> String {
        format!("40{}{}", self.prefix(), self.auth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> anyhow::Result<Target> {
        Target::new(url, &Ways { path: "/socket.io/", auth: Some(r#"{"token": 1}"#), ..Ways::default() })
    }

    #[test]
    fn a_url_means_what_it_means_to_a_client() {
        let target = target("ws://127.0.0.1:3000/chat?room=1").unwrap();
        assert_eq!(target.request_path("websocket", None), "/socket.io/?room=1&EIO=4&transport=websocket");
        assert_eq!(target.host_header(), "127.0.0.1:3000");
        assert_eq!(target.connect_packet(), r#"40/chat,{"token":1}"#);
        assert!(!target.secure);
    }

    #[test]
    fn the_scheme_may_be_left_out() {
        let target = target("127.0.0.1:3000").unwrap();
        assert_eq!((target.prefix().as_str(), target.address.port()), ("", 3000));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        assert!(target("ftp://127.0.0.1").unwrap_err().to_string().contains("expected http"));
        assert!(target("http://").is_err());
    }
}
