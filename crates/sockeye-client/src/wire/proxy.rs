//! Getting to the server through a proxy: HTTP CONNECT, and SOCKS5 (RFC 1928, RFC 1929).
//!
//! Names are resolved by the proxy. Every answer is bounded, and nothing is said to the server before the proxy agreed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::SetupError;

/// The longest answer to a CONNECT that is read.
const ANSWER: usize = 16 * 1024;

/// A proxy in between.
#[derive(Clone)]
pub(crate) struct Proxy {
    kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
    user: Option<(String, String)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Connect,
    Socks5,
}

impl Proxy {
    /// `http://[user:password@]host[:port]`, or `socks5://…`.
    pub(crate) fn read(url: &str) -> Result<Proxy, SetupError> {
        // The URL itself is not repeated: it may hold a password.
        let bad = |why: &str| SetupError::option("proxy", why);
        let uri: Uri = url.parse().map_err(|_| bad("this is no URL"))?;
        let (kind, standard) = match uri.scheme_str() {
            Some("http") => (Kind::Connect, 80),
            Some("socks5" | "socks5h") => (Kind::Socks5, 1080),
            _ => return Err(bad("its scheme has to be http, socks5 or socks5h")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?.as_str();
        let user = match authority.rsplit_once('@') {
            None => None,
            Some((user, _)) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                let plain = |text: &str| unescaped(text).ok_or_else(|| bad("a bad escape in its user"));
                Some((plain(name)?, plain(password)?))
            }
        };
        if user.as_ref().is_some_and(|(name, password)| name.len() > 255 || password.len() > 255) {
            return Err(bad("its user or password is too long"));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Proxy { kind, host: host.to_owned(), port: uri.port_u16().unwrap_or(standard), user })
    }

    /// Asks the proxy, on a fresh stream to it, for the server. What follows on the stream is the server's.
    pub(super) async fn ask(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        host: &str,
        port: u16,
    ) -> Result<(), String> {
        match self.kind {
            Kind::Connect => self.connect(stream, host, port).await,
            Kind::Socks5 => self.socks5(stream, host, port).await,
        }
    }

    async fn connect(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        host: &str,
        port: u16,
    ) -> Result<(), String> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some((name, password)) = &self.user {
            let token = STANDARD.encode(format!("{name}:{password}"));
            request.push_str(&format!("Proxy-Authorization: Basic {token}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let mut answer = Vec::with_capacity(512);
        // A server of HTTP speaks when it is spoken to, so whatever comes is the proxy's.
        while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
            if answer.len() > ANSWER {
                return Err("its answer has no end".to_owned());
            }
            if stream.read_buf(&mut answer).await.map_err(broken)? == 0 {
                return Err("it hung up instead of an answer".to_owned());
            }
        }
        let head = String::from_utf8_lossy(&answer);
        let line = head.lines().next().unwrap_or_default();
        match line.split(' ').nth(1) {
            Some(status) if line.starts_with("HTTP/1.") && status.starts_with('2') => Ok(()),
            Some("407") => Err("it wants a user and a password (status 407)".to_owned()),
            _ => Err(format!("it says {:?}", line.chars().take(100).collect::<String>())),
        }
    }

    async fn socks5(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        host: &str,
        port: u16,
    ) -> Result<(), String> {
        let methods: &[u8] = if self.user.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
        stream.write_all(methods).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await.map_err(broken)?;
        match (chosen, &self.user) {
            ([5, 0], _) => {}
            ([5, 2], Some((name, password))) => {
                let mut login = vec![1];
                for text in [name, password] {
                    login.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
                    login.extend_from_slice(text.as_bytes());
                }
                stream.write_all(&login).await.map_err(broken)?;
                stream.flush().await.map_err(broken)?;
                let mut welcome = [0; 2];
                stream.read_exact(&mut welcome).await.map_err(broken)?;
                if welcome[1] != 0 {
                    return Err("it does not take this user and password".to_owned());
                }
            }
            ([5, _], _) => return Err("it wants to know who we are in a way we do not know".to_owned()),
            _ => return Err("this is no SOCKS5 proxy".to_owned()),
        }
        let mut request = vec![5, 1, 0];
        match host.parse() {
            Ok(std::net::IpAddr::V4(ip)) => {
                request.push(1);
                request.extend_from_slice(&ip.octets());
            }
            Ok(std::net::IpAddr::V6(ip)) => {
                request.push(4);
                request.extend_from_slice(&ip.octets());
            }
            Err(_) => {
                let length =
                    u8::try_from(host.len()).map_err(|_| "the server's name is too long".to_owned())?;
                request.extend_from_slice(&[3, length]);
                request.extend_from_slice(host.as_bytes());
            }
        }
        request.extend_from_slice(&port.to_be_bytes());
        stream.write_all(&request).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let mut head = [0; 4];
        stream.read_exact(&mut head).await.map_err(broken)?;
        if head[1] != 0 {
            return Err(format!("it cannot reach the server: {}", refusal(head[1])));
        }
        // The address it uses, which is of no interest.
        let rest = match head[3] {
            1 => 4,
            4 => 16,
            3 => usize::from(stream.read_u8().await.map_err(broken)?),
            _ => return Err("this is no SOCKS5 proxy".to_owned()),
        };
        let mut address = [0; 257];
        let address = address.get_mut(..rest + 2).unwrap_or_default();
        stream.read_exact(address).await.map_err(broken)?;
        Ok(())
    }
}

impl std::fmt::Debug for Proxy {
    /// Without its password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.kind == Kind::Socks5 { "socks5" } else { "http" };
        write!(f, "{kind}://{}:{}", self.host, self.port)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn broken(error: std::io::Error) -> String {
    format!("the connection to it broke: {error}")
}

/// RFC 1928, section 6.
fn refusal(code: u8) -> &'static str {
    match code {
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        _ => "general failure",
    }
}

/// `%40` as `@`. `None` where an escape is none.
fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
        out.push(high * 16 + low);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_and_its_password_kept() {
        let proxy = Proxy::read("socks5://me:s%40crt@proxy.example").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 1080));
        assert_eq!(proxy.user, Some(("me".to_owned(), "s@crt".to_owned())));
        assert_eq!(format!("{proxy:?}"), "socks5://proxy.example:1080");
        for url in ["ftp://me:secret@a", "http://me:%zz@a", "me:secret@a:1"] {
            let error = Proxy::read(url).unwrap_err().to_string();
            assert!(error.starts_with("proxy: ") && !error.contains("secret"), "{error}");
        }
    }
}
