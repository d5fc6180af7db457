//! One request, one connection: the doctor's way to the server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// No answer that matters is longer; the rest is not read.
const LONGEST: usize = 64 << 10;

/// Everything that requests have in common.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    /// With TLS: how, and whose certificate is expected.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(super) authority: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) origin: Option<String>,
    /// What the server has set, to be sent back as browsers do.
    pub(super) cookies: Vec<(String, String)>,
    pub(super) timeout: Duration,
}

/// What a request asks.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Vec<u8>,
}

impl Ask {
    pub(super) fn get(uri: impl Into<String>) -> Ask {
        Ask { method: Method::GET, uri: uri.into(), headers: Vec::new(), body: Vec::new() }
    }
}

/// An answer, as far as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// At most [`LONGEST`] bytes of it.
    pub(super) body: Vec<u8>,
    /// The head came, and then the body did not come to its end in time.
    pub(super) held: bool,
    /// From the request to the end of the answer.
    pub(super) took: Duration,
    /// Our clock when the head came.
    pub(super) at: SystemTime,
    /// After a 101.
    pub(super) upgraded: Option<TokioIo<Upgraded>>,
}

impl Answer {
    /// The body as text; what is not UTF-8 is replaced.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn header(&self, name: impl AsRef<str>) -> Option<&str> {
        self.headers.get(name.as_ref())?.to_str().ok()
    }

    /// In one line: status, type, and how the body begins.
    pub(super) fn line(&self) -> String {
        let mut line = format!("HTTP {}", self.status);
        if let Some(kind) = self.header("content-type") {
            line.push_str(&format!(" {kind}"));
        }
        if let Some(server) = self.header("server").or_else(|| self.header("via")) {
            line.push_str(&format!(" by {server}"));
        }
        let body = self.text();
        if !body.trim().is_empty() {
            line.push_str(&format!(": {}", super::escaped(body.trim(), 160)));
        }
        if self.held {
            line.push_str(" … and no end of it came");
        }
        line
    }
}

/// Why there is no answer at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("nothing came within {0:?}")]
    Silence(Duration),
    #[error("the connection was closed without an answer")]
    Closed,
    #[error("the answer is not HTTP")]
    NotHttp,
}

impl Door {
    /// Asks over a fresh connection.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Trouble> {
        let begun = Instant::now();
        let deadline = tokio::time::Instant::now() + self.timeout;
        let silence = |_| Trouble::Silence(self.timeout);
        let stream = timeout_at(deadline, self.dial()).await.map_err(silence)??;
        let (mut sender, connection) =
            http1::Builder::new().max_headers(200).handshake(TokioIo::new(stream)).await.map_err(trouble)?;
        // Ends with the answer, or with the program.
        tokio::spawn(connection.with_upgrades());
        let request = self.request(ask).map_err(|_| Trouble::NotHttp)?;
        let response =
            timeout_at(deadline, sender.send_request(request)).await.map_err(silence)?.map_err(trouble)?;
        let mut answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
            held: false,
            took: begun.elapsed(),
            at: SystemTime::now(),
            upgraded: None,
        };
        if answer.status == 101 {
            answer.upgraded = hyper::upgrade::on(response).await.ok().map(TokioIo::new);
            return Ok(answer);
        }
        let mut body = response.into_body();
        while answer.body.len() < LONGEST {
            match timeout_at(deadline, body.frame()).await {
                Err(_) => {
                    answer.held = true;
                    break;
                }
                Ok(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        let room = LONGEST - answer.body.len();
                        answer.body.extend_from_slice(&data[..data.len().min(room)]);
                    }
                }
                // A body that breaks off is what came of it.
                Ok(None | Some(Err(_))) => break,
            }
        }
        answer.took = begun.elapsed();
        Ok(answer)
    }

    /// Keeps the cookies of an answer, without looking at their attributes: all is one host and minutes.
    pub(super) fn keep_cookies(&mut self, answer: &Answer) {
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let pair = line.to_str().ok().and_then(|line| line.split(';').next()?.split_once('='));
            let Some((name, value)) = pair else { continue };
            self.cookies.retain(|(known, _)| known != name.trim());
            if self.cookies.len() < 50 {
                self.cookies.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }

    /// A connection, with TLS if that is wanted.
    pub(super) async fn dial(&self) -> Result<Box<dyn Stream>, Trouble> {
        let tcp = TcpStream::connect(self.address).await.map_err(Trouble::Connect)?;
        let _ = tcp.set_nodelay(true);
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some((config, name)) => {
                let connector = TlsConnector::from(config.clone());
                let stream = connector.connect(name.clone(), tcp).await.map_err(Trouble::Tls)?;
                Ok(Box::new(stream))
            }
        }
    }

    fn request(&self, ask: Ask) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request =
            Request::builder().method(ask.method).uri(ask.uri).header(header::HOST, &self.authority);
        if let Some(origin) = &self.origin {
            request = request.header(header::ORIGIN, origin);
        }
        if !self.cookies.is_empty() {
            let all: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, all.join("; "));
        }
        request = request.header(header::USER_AGENT, concat!("sockeye-doctor/", env!("CARGO_PKG_VERSION")));
        request = request.header(header::ACCEPT, "*/*");
        for (name, value) in self.headers.iter().cloned().chain(ask.headers) {
            request = request.header(name, value);
        }
        request.body(Full::new(Bytes::from(ask.body)))
    }
}

/// A byte stream of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

fn trouble(error: hyper::Error) -> Trouble {
    if error.is_parse() || error.is_parse_too_large() { Trouble::NotHttp } else { Trouble::Closed }
}
