//! What every command that speaks to a server is told: where it is, and how to connect.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use http::{HeaderName, HeaderValue, Uri};

/// Where a server is and how to connect to it. The same flags for every command that does.
#[derive(Args, Clone)]
pub(crate) struct Server {
    /// Where the server is, such as https://example.org; a path in it is the namespace
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// Path that the server serves Socket.IO under
    #[arg(long, default_value = "/socket.io/", value_name = "PATH")]
    pub(crate) path: String,

    /// What to connect with (the client's `auth`): JSON, or @FILE
    #[arg(long, env = "SOCKEYE_AUTH", hide_env_values = true, value_name = "JSON")]
    auth: Option<String>,

    /// A header for every request, such as 'Authorization: Bearer …'; repeat it for more
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// A pair for the query of every request, as `key=value`; repeat it for more
    #[arg(long = "query", value_name = "KEY=VALUE")]
    query: Vec<String>,

    /// Use this transport only; without it polling comes first and is upgraded
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    pub(crate) transport: Option<Transport>,

    /// Engine.IO protocol: 4 for Socket.IO 3 and 4, 3 for Socket.IO 1 and 2
    #[arg(long, default_value = "4", value_name = "VERSION", value_parser = clap::value_parser!(u8).range(3..=4))]
    pub(crate) eio: u8,

    /// How packets are written; must be the server's way
    #[arg(long, value_enum, default_value = "json", value_name = "PARSER")]
    pub(crate) parser: Parser,

    /// Go on although the server's certificate is not valid: anybody in between can read along
    #[arg(long)]
    pub(crate) insecure: bool,

    /// PEM file with certificates to trust besides the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// The transports that a command can be held to.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// HTTP long-polling only
    Polling,
    /// WebSocket only
    Websocket,
}

/// How packets are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Parser {
    /// The default parser
    Json,
    /// socket.io-msgpack-parser
    Msgpack,
}

impl Server {
    /// The URL and its relatives, read.
    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        let mut target = Target::parse(&self.url)?;
        target.path = format!("/{}", self.path.trim_start_matches('/'));
        if !target.path.ends_with('/') {
            target.path.push('/');
        }
        if target.path.parse::<Uri>().is_err() || target.path.contains(['?', '#']) {
            bail!("--path {:?} is no path", self.path);
        }
        for pair in &self.query {
            let (key, value) =
                pair.split_once('=').with_context(|| format!("--query {pair:?}: expected key=value"))?;
            target.query.push_str(&format!("&{}={}", escape(key), escape(value)));
        }
        Ok(target)
    }

    /// The JSON text of `--auth`, if there is one. It is an object, as every client's is.
    pub(crate) fn auth(&self) -> anyhow::Result<Option<String>> {
        let Some(given) = &self.auth else { return Ok(None) };
        let text = match given.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).with_context(|| format!("--auth @{file}"))?,
            None => given.clone(),
        };
        // What was given is a secret: it is not shown.
        let value: serde_json::Value = serde_json::from_str(&text).context("--auth is not JSON")?;
        if !value.is_object() {
            bail!("--auth must be a JSON object, such as '{{\"token\":\"…\"}}'");
        }
        Ok(Some(value.to_string()))
    }

    /// The headers, read.
    pub(crate) fn headers(&self) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
        let read = |line: &String| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
        };
        let all = self.headers.iter().map(|line| {
            // Values are often secrets: only the name is shown.
            let name = line.split(':').next().unwrap_or_default();
            read(line).with_context(|| format!("--header {name:?}: expected 'Name: value'"))
        });
        all.collect()
    }
}

/// A server's place, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Whether it is spoken to with TLS.
    pub(crate) tls: bool,
    /// A name or an address; an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `/` or deeper: the path of the URL.
    pub(crate) namespace: String,
    /// Where Socket.IO is served, with a slash at both ends.
    pub(crate) path: String,
    /// Empty, or pairs that each begin with `&`.
    pub(crate) query: String,
}

impl Target {
    fn parse(url: &str) -> anyhow::Result<Target> {
        let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let help = || format!("{url:?} is no URL; expected something like http://localhost:3000");
        let uri: Uri = whole.parse().with_context(help)?;
        let tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => bail!("{url:?}: expected http, https, ws or wss"),
        };
        let host = uri.host().filter(|host| !host.is_empty()).with_context(help)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            bail!("a user and a password in the URL are not sent; give --header 'Authorization: Basic …'");
        }
        Ok(Target {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            namespace: match uri.path().trim_end_matches('/') {
                "" => "/".to_owned(),
                path => path.to_owned(),
            },
            path: "/socket.io/".to_owned(),
            query: uri
                .query()
                .filter(|query| !query.is_empty())
                .map(|query| format!("&{query}"))
                .unwrap_or_default(),
        })
    }

    /// Host, and port unless it is the scheme's own: what stands in the header `Host`.
    pub(crate) fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The scheme and the authority: what a browser calls the origin of its pages.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.namespace)
    }
}

/// A number of seconds, for flags.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "expected a number of seconds, 0 or more".to_owned())
}

/// What a query may not hold as it is becomes `%` and two digits.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        match plain(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server {
            url: url.to_owned(),
            path: "live".to_owned(),
            auth: None,
            headers: Vec::new(),
            query: vec!["a b=c&d".to_owned()],
            transport: None,
            eio: 4,
            parser: Parser::Json,
            insecure: false,
            ca: None,
        }
    }

    #[test]
    fn urls() {
        let target = server("wss://[::1]:8443/admin/?x=1").target().unwrap();
        assert!(target.tls);
        assert_eq!(target.host, "::1");
        assert_eq!(target.authority(), "[::1]:8443");
        assert_eq!(target.namespace, "/admin");
        assert_eq!(target.path, "/live/");
        assert_eq!(target.query, "&x=1&a%20b=c%26d");
        assert_eq!(server("localhost:3000").target().unwrap().to_string(), "http://localhost:3000/");
        assert_eq!(server("https://example.org:443").target().unwrap().origin(), "https://example.org");
        for bad in ["", "ftp://x", "http://", "http://a b", "http://me:secret@x/"] {
            assert!(server(bad).target().is_err(), "{bad}");
        }
    }
}
